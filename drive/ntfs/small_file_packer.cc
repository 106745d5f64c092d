#include "drive/ntfs/small_file_packer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace driveprep::ntfs {

void SmallFilePacker::add(std::span<const ClusterRun> runs, ByteView content) {
  for (const ClusterRun& run : runs) {
    std::uint64_t at = run.first * cluster_size_;
    std::uint64_t left = run.count * cluster_size_;
    while (left != 0) {
      if (filled_ != 0 && (at != offset_ + filled_ || filled_ == buffer_.size())) flush();
      if (filled_ == 0) {
        if (buffer_.size() == 0) buffer_ = sink_.new_buffer();
        offset_ = at;
      }
      const std::size_t part = std::min<std::uint64_t>(left, buffer_.size() - filled_);
      const std::size_t data = std::min(part, content.size());
      std::byte* to = buffer_.span().data() + filled_;
      if (data != 0) std::memcpy(to, content.data(), data);
      std::memset(to + data, 0, part - data);
      content = content.subspan(data);
      filled_ += part;
      at += part;
      left -= part;
    }
  }
  require(content.empty(), "a small file has more bytes than clusters");
}

void SmallFilePacker::flush() {
  if (filled_ == 0) return;
  const std::size_t length = std::exchange(filled_, 0);
  sink_.write(DataSink::Content::kFiles, offset_, std::exchange(buffer_, {}), length);
}

}  // namespace driveprep::ntfs
