// The data of a file, read from the volume a window at a time. Internal.
#pragma once

#include <algorithm>
#include <cstdint>

#include "drive/block/aligned_buffer.h"
#include "drive/block/block_device.h"
#include "drive/ntfs/volume_reader.h"

namespace driveprep::ntfs {

// Calls look(piece) for the first `bytes` bytes of a file that has clusters, or for as many as
// these hold, in pieces of up to 1 MiB that it may change; each but the last is whole clusters.
// look returns false to stop.
template <typename Look>
void read_pieces(const block::ReadableDevice& volume, const FileInfo& file, std::uint64_t bytes,
                 Look look) {
  block::AlignedBuffer window(kMiB);
  std::uint64_t left = bytes;
  for (const ByteRange& range : file.ranges) {
    for (std::uint64_t done = 0; done < range.length && left > 0;) {
      const std::size_t length = std::min<std::uint64_t>(window.size(), range.length - done);
      volume.read(range.offset + done, window.span().first(length));
      const std::size_t used = std::min<std::uint64_t>(length, left);
      if (!look(window.span().first(used))) return;
      left -= used;
      done += length;
    }
  }
}

}  // namespace driveprep::ntfs
