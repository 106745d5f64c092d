// Where the NTFS writer hands over what does not have to wait for a checkpoint.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/units.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::ntfs {

// For content of clusters that no checkpoint refers to yet: packed small files, new records, new
// index blocks. A checkpoint begins after wait() and a flush of the device.
class DataSink {
 public:
  static constexpr std::size_t kBufferBytes = 4 * kMiB;

  enum class Content {
    kFiles,       // of small files
    kStructures,  // records and index blocks
  };

  virtual ~DataSink() = default;
  // Takes over `data`, whose first `length` bytes (a multiple of 4096) belong at `offset` of the
  // volume. May return before they are written.
  virtual void write(Content content, std::uint64_t offset, block::AlignedBuffer data,
                     std::size_t length) = 0;
  // Returns when everything handed over so far is written, not necessarily flushed.
  virtual void wait() = 0;
  // An empty buffer of kBufferBytes; a sink that recycles its buffers overrides this.
  virtual block::AlignedBuffer new_buffer() { return block::AlignedBuffer(kBufferBytes); }
};

}  // namespace driveprep::ntfs
