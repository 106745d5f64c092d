// The plain DataSink: writes at once, in the caller's thread.
#pragma once

#include "drive/block/block_device.h"
#include "drive/ntfs/data_sink.h"

namespace driveprep::ntfs {

class DirectSink : public DataSink {
 public:
  // `device`: the volume; it must outlive this.
  explicit DirectSink(block::BlockDevice& device) : device_(device) {}
  void write(Content, std::uint64_t offset, block::AlignedBuffer data,
             std::size_t length) override {
    device_.write(offset, data.span().first(length));
  }
  void wait() override {}

 private:
  block::BlockDevice& device_;
};

}  // namespace driveprep::ntfs
