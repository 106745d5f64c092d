// A disk in memory of which every byte is known: it can neither grow nor shrink, and what nobody
// has written still holds the pattern.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <vector>

#include "base/posix.h"
#include "base/units.h"
#include "drive/block/file_device.h"
#include "tests/support/scratch.h"

namespace driveprep::test {

class SealedDisk {
 public:
  explicit SealedDisk(std::uint64_t size, SectorSize sector = SectorSize(512))
      : filler_(pattern(size)), sector_(sector) {
    fd_ = UniqueFd(::memfd_create("sealed disk", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    require(fd_.valid(), "memfd_create failed");
    fill();
    require(::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0, "sealing failed");
  }

  // As it was at the beginning.
  void fill() { put(filler_); }
  // As it was when this was taken by content().
  void put(const Bytes& content) {
    posix::pwrite_all(fd_.get(), 0, content, "sealed disk", ErrorKind::kWrite);
  }
  Bytes content() const {
    Bytes bytes(filler_.size());
    posix::pread_exact(fd_.get(), 0, bytes, "sealed disk", ErrorKind::kWrite);
    return bytes;
  }

  std::uint64_t size() const { return filler_.size(); }
  // A device of it, as an image or a disk would have.
  block::FileDevice device() const {
    return {UniqueFd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)), "sealed disk", size(), sector_};
  }

 private:
  Bytes filler_;
  SectorSize sector_;
  UniqueFd fd_;
};

// The first byte outside `allowed` in which the two differ; nullopt when there is none.
inline std::optional<std::uint64_t> stray_byte(const Bytes& before, const Bytes& after,
                                               std::vector<ByteRange> allowed) {
  std::ranges::sort(allowed);
  allowed.push_back({before.size(), 0});
  std::uint64_t at = 0;
  for (const ByteRange& range : allowed) {
    if (range.offset > at) {
      const auto begin = before.begin() + static_cast<std::ptrdiff_t>(at);
      const auto end = before.begin() + static_cast<std::ptrdiff_t>(range.offset);
      const auto differs =
          std::mismatch(begin, end, after.begin() + static_cast<std::ptrdiff_t>(at)).first;
      if (differs != end) return static_cast<std::uint64_t>(differs - before.begin());
    }
    at = std::max(at, range.end());
  }
  return std::nullopt;
}

}  // namespace driveprep::test
