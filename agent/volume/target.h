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

// What is meant without a partition number.
enum class Choice {
  kBitLocker,  // the first BitLocker volume there is
  kNamed,      // what is named, and nothing in it: refused where there are partitions
};

struct TargetRequest {
  std::filesystem::path path;
  std::optional<int> partition = {};  // its number
  Choice choice = Choice::kBitLocker;
  SectorSize image_sector = SectorSize(512);  // an image file does not tell; a device does
};

class Target {
 public:
  // Errors: kUsage "target-missing", "target-kind" (neither a file nor a block device),
  // "partition-unknown", "partition-needed" (several, and none of them shows what it is, or none is
  // named where it has to be); kBusy "target-busy" (mounted or in use), "image-busy",
  // "image-backs-loop"; kRefused "target-not-readable", "target-not-writable", "target-empty".
  Target(const TargetRequest& request, Access access);

  // The volume's place: the whole device or one partition of it.
  const block::ReadableDevice& volume() const { return *slice_; }
  block::BlockDevice& volume() { return *slice_; }
  const block::FileDevice& device() const { return *device_; }
  block::FileDevice& device() { return *device_; }
  const ByteRange& range() const { return range_; }  // of the volume, on the device
  std::optional<int> partition() const { return partition_; }
  // Where the volume begins on its disk, in bytes, also when the target is a partition's device: 0
  // when that cannot be found out.
  std::uint64_t offset_on_disk() const;

 private:
  void open(Access access);
  void choose_partition();

  TargetRequest request_;
  std::unique_ptr<block::FileDevice> device_;
  ByteRange range_;
  std::optional<int> partition_;
  std::unique_ptr<block::Slice> slice_;
};

}  // namespace driveprep::volume
