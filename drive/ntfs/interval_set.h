// A set of disjoint byte ranges, neighbours joined. Cheap when ranges come in ascending order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

#include "base/units.h"

namespace driveprep::ntfs {

class IntervalSet {
 public:
  void add(ByteRange range) {
    if (range.length == 0) return;
    std::uint64_t begin = range.offset;
    std::uint64_t end = range.end();
    auto at = ends_.upper_bound(begin);
    if (at != ends_.begin()) {
      auto before = std::prev(at);
      if (before->second >= begin) {
        begin = before->first;
        end = std::max(end, before->second);
        at = before;
      }
    }
    while (at != ends_.end() && at->first <= end) {
      end = std::max(end, at->second);
      at = ends_.erase(at);
    }
    ends_.emplace_hint(at, begin, end);
  }

  void remove(ByteRange range) {
    if (range.length == 0) return;
    auto at = ends_.upper_bound(range.offset);
    if (at != ends_.begin()) --at;
    while (at != ends_.end() && at->first < range.end()) {
      const auto [begin, end] = *at;
      if (end <= range.offset) {
        ++at;
        continue;
      }
      at = ends_.erase(at);
      if (begin < range.offset) ends_.emplace(begin, range.offset);
      if (end > range.end()) at = ends_.emplace(range.end(), end).first;
    }
  }

  bool overlaps(ByteRange range) const {
    if (range.length == 0) return false;
    auto at = ends_.lower_bound(range.end());
    return at != ends_.begin() && std::prev(at)->second > range.offset;
  }

  // (begin, end) of each range, ascending.
  auto begin() const { return ends_.begin(); }
  auto end() const { return ends_.end(); }
  bool empty() const { return ends_.empty(); }
  std::size_t count() const { return ends_.size(); }
  void clear() { ends_.clear(); }

 private:
  std::map<std::uint64_t, std::uint64_t> ends_;  // begin -> end
};

}  // namespace driveprep::ntfs
