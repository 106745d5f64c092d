// Blocks that were free when the volume was mounted, and that metadata is meant to grow into.
#pragma once

#include <cstdint>
#include <vector>

namespace driveprep::ntfs {

class FreshBlocks {
  struct Zone {
    std::uint64_t first;
    std::vector<bool> written;
    std::vector<bool> referenced;
  };

  // There are a handful of zones: one for each gap in what was in use.
  template <typename Zones>
  static auto* find(Zones& zones, std::uint64_t number) {
    for (auto& zone : zones) {
      if (number >= zone.first && number - zone.first < zone.written.size()) return &zone;
    }
    return decltype(&zones.front())(nullptr);
  }

 public:
  bool empty() const { return zones_.empty(); }
  // Numbers of blocks.
  void add(std::uint64_t first, std::uint64_t count) {
    zones_.push_back({first, std::vector<bool>(count), std::vector<bool>(count)});
  }

  // Has no content yet.
  bool is_unwritten(std::uint64_t number) const {
    const Zone* zone = find(zones_, number);
    return zone != nullptr && !zone->written[number - zone->first];
  }
  // Nothing on the device refers to it.
  bool is_unreferenced(std::uint64_t number) const {
    const Zone* zone = find(zones_, number);
    return zone != nullptr && !zone->referenced[number - zone->first];
  }
  // Numbers of other blocks are taken, and change nothing.
  void set_written(std::uint64_t number) {
    if (Zone* zone = find(zones_, number)) zone->written[number - zone->first] = true;
  }
  void set_referenced(std::uint64_t number) {
    if (Zone* zone = find(zones_, number)) zone->referenced[number - zone->first] = true;
  }

 private:
  std::vector<Zone> zones_;
};

}  // namespace driveprep::ntfs
