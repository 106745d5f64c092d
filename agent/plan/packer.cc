#include "agent/plan/packer.h"

#include <utility>

#include "base/error.h"

namespace driveprep::plan {

Packer::Packer(std::vector<std::uint64_t> room, PackRule rule)
    : room_(std::move(room)), rule_(rule) {}

void Packer::take(std::size_t drive, std::uint64_t bytes) {
  require(bytes <= room_[drive], "a drive was packed beyond its room");
  room_[drive] -= bytes;
}

void DirectoryCosts::add(std::uint32_t parent, std::uint64_t cost) {
  require(parent <= nodes_.size(), "a directory was added before its parent");
  nodes_.push_back({parent, static_cast<std::uint32_t>(cost)});
  total_ += cost;
}

void DirectoryCosts::start(std::size_t drives) {
  placed_.assign(drives, std::vector<bool>(nodes_.size(), false));
}

std::uint64_t DirectoryCosts::missing(std::size_t drive, std::uint32_t directory) const {
  std::uint64_t cost = 0;
  for (; directory != 0 && !placed_[drive][directory - 1];
       directory = nodes_[directory - 1].parent) {
    cost += nodes_[directory - 1].cost;
  }
  return cost;
}

void DirectoryCosts::place(std::size_t drive, std::uint32_t directory) {
  for (; directory != 0 && !placed_[drive][directory - 1];
       directory = nodes_[directory - 1].parent) {
    placed_[drive][directory - 1] = true;
  }
}

}  // namespace driveprep::plan
