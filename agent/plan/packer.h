// Which drive takes what: files placed one after the other, by a simple rule, onto drives with a
// known amount of room. Pure; knows nothing of files but what they cost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace driveprep::plan {

enum class PackRule {
  kMostRoom,  // spreads the load, so that drives are written in parallel to the end
  kBestFit,   // the fullest drive that still takes it: fits more when space is tight
};

class Packer {
 public:
  // `room`: bytes on each drive.
  Packer(std::vector<std::uint64_t> room, PackRule rule);

  std::uint64_t room(std::size_t drive) const { return room_[drive]; }
  std::size_t drives() const { return room_.size(); }

  // The drive the rule chooses for something that costs `cost(drive)` there; nothing is taken.
  template <typename Cost>
  std::optional<std::size_t> choose(const Cost& cost) const {
    std::optional<std::size_t> chosen;
    for (std::size_t drive = 0; drive < room_.size(); ++drive) {
      if (cost(drive) > room_[drive]) continue;
      if (!chosen || better(drive, *chosen)) chosen = drive;
    }
    return chosen;
  }
  // `bytes` no more than the room there.
  void take(std::size_t drive, std::uint64_t bytes);

 private:
  // Ties go to the drive that comes first.
  bool better(std::size_t candidate, std::size_t chosen) const {
    return rule_ == PackRule::kMostRoom ? room_[candidate] > room_[chosen]
                                        : room_[candidate] < room_[chosen];
  }

  std::vector<std::uint64_t> room_;
  PackRule rule_;
};

// The directory tree as the packer sees it: what each directory costs, and on which drives it is
// already. Ten bytes a directory.
class DirectoryCosts {
 public:
  // Directories have ids 1, 2, 3 ... in the order of addition; parent 0: none.
  void add(std::uint32_t parent, std::uint64_t cost);
  std::size_t size() const { return nodes_.size(); }
  std::uint64_t total() const { return total_; }

  // Forgets all placements.
  void start(std::size_t drives);
  // What `directory` and its parents still cost on `drive`.
  std::uint64_t missing(std::size_t drive, std::uint32_t directory) const;
  void place(std::size_t drive, std::uint32_t directory);

 private:
  struct Node {
    std::uint32_t parent;
    std::uint32_t cost;
  };
  std::vector<Node> nodes_;
  std::vector<std::vector<bool>> placed_;
  std::uint64_t total_ = 0;
};

}  // namespace driveprep::plan
