// The content of one file of a volume.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace driveprep::ntfs {

// Belongs to the thread of its FileTree, which must outlive it.
class FileReader {
 public:
  virtual ~FileReader() = default;

  virtual std::uint64_t size() const = 0;  // bytes

  // Fills all of `out` from byte `offset` on. The range lies inside the file. Long reads of memory
  // that is aligned (block::AlignedBuffer) are fast. Throws kVerification "volume-damaged", and
  // what the device throws.
  virtual void read(std::uint64_t offset, MutableByteView out) = 0;

  // What comes from `offset` (below size()) on: so many bytes that are no content of the volume but
  // zeros, a hole or behind the valid length; or so many that are to be read.
  struct Stretch {
    std::uint64_t length = 0;
    bool hole = false;
  };
  virtual Stretch stretch(std::uint64_t offset) const = 0;
};

}  // namespace driveprep::ntfs
