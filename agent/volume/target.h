// What a volume command works on: a block device, a partition, an image file, or a partition inside
// one of them. Only what the operator names is touched; nothing is looked for elsewhere.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "drive/block/file_device.h"

namespace driveprep::volume {

enum class Access { kRead, kWrite };

struct TargetRequest {
  std::filesystem::path path;
  std::optional<int> partition;  // its number; none: the first BitLocker volume there is
};

class Target {
 public:
  // Errors: kUsage "target-missing", "target-kind" (neither a file nor a block device),
  // "partition-unknown", "partition-needed" (several, and none of them shows what it is); kBusy
  // "target-busy" (mounted or in use), "image-busy", "image-backs-loop"; kRefused
  // "target-not-readable", "target-not-writable", "target-empty".
  Target(const TargetRequest& request, Access access);

  // The volume's place: the whole device or one partition of it.
  const block::ReadableDevice& volume() const { return *slice_; }
  block::BlockDevice& volume() { return *slice_; }
  const block::FileDevice& device() const { return *device_; }
  const ByteRange& range() const { return range_; }  // of the volume, on the device
  std::optional<int> partition() const { return partition_; }

 private:
  void open(Access access);
  void choose_partition(std::optional<int> wanted);

  std::filesystem::path path_;
  std::unique_ptr<block::FileDevice> device_;
  ByteRange range_;
  std::optional<int> partition_;
  std::unique_ptr<block::Slice> slice_;
};

}  // namespace driveprep::volume
