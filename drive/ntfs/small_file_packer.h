// Collects small files in one buffer for each contiguous stretch of the volume, so that thousands
// of them become one write.
#pragma once

#include <span>

#include "drive/ntfs/cluster_allocator.h"
#include "drive/ntfs/data_sink.h"

namespace driveprep::ntfs {

class SmallFilePacker {
 public:
  SmallFilePacker(DataSink& sink, std::uint32_t cluster_size)
      : sink_(sink), cluster_size_(cluster_size) {}

  // Puts `content` into `runs`, which hold it exactly; the rest of the last cluster becomes zeros,
  // so nothing of an earlier file or of memory reaches the drive.
  void add(std::span<const ClusterRun> runs, ByteView content);
  // Hands over what there is; the next file starts a new buffer.
  void flush();
  bool empty() const { return filled_ == 0; }

 private:
  DataSink& sink_;
  const std::uint64_t cluster_size_;
  block::AlignedBuffer buffer_;
  std::uint64_t offset_ = 0;  // where the buffer belongs on the volume
  std::size_t filled_ = 0;    // whole clusters
};

}  // namespace driveprep::ntfs
