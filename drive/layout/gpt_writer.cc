#include <libfdisk/libfdisk.h>

#include <cerrno>
#include <memory>

#include "base/utf16.h"
#include "drive/layout/gpt.h"

namespace driveprep::layout {
namespace {

constexpr std::size_t kMostNameUnits = 36;

struct Unref {
  void operator()(fdisk_context* context) const { fdisk_unref_context(context); }
  void operator()(fdisk_partition* partition) const { fdisk_unref_partition(partition); }
  void operator()(fdisk_parttype* type) const { fdisk_unref_parttype(type); }
};
template <typename T>
using Handle = std::unique_ptr<T, Unref>;

// libfdisk answers with a negative errno.
void check(int result, const block::FileDevice& device, const char* step) {
  if (result >= 0) return;
  throw Error::from_errno(
      ErrorKind::kWrite, "gpt-write-failed",
      std::string("write the partition table of ") + device.name() + ": " + step, -result,
      "See the kernel log (dmesg); if the medium is at fault, use another drive.");
}

Handle<fdisk_context> open_context(block::FileDevice& device) {
  Handle<fdisk_context> context(fdisk_new_context());
  require(context != nullptr, "fdisk_new_context failed");
  // Without dialogs and without a question callback libfdisk cannot ask anybody anything.
  check(fdisk_disable_dialogs(context.get(), 1), device, "turn dialogs off");
  // An image file cannot tell its sector size; a disk's own must be the same by now.
  check(fdisk_save_user_sector_size(context.get(), device.sector_size().bytes(),
                                    device.sector_size().bytes()),
        device, "set the sector size");
  check(fdisk_save_user_grain(context.get(), kPartitionGrain), device, "set the grain");
  check(fdisk_assign_device_by_fd(context.get(), device.fd(), device.name().c_str(), 0), device,
        "assign the device");
  const std::uint64_t seen =
      fdisk_get_nsectors(context.get()) * std::uint64_t{fdisk_get_sector_size(context.get())};
  if (fdisk_get_sector_size(context.get()) != device.sector_size().bytes() ||
      seen != device.size()) {
    throw Error(ErrorKind::kWrite, "gpt-write-failed",
                "libfdisk sees " + device.name() + " as " + std::to_string(seen) +
                    " bytes in sectors of " + std::to_string(fdisk_get_sector_size(context.get())) +
                    "; expected " + std::to_string(device.size()) + " bytes in sectors of " +
                    std::to_string(device.sector_size().bytes()));
  }
  return context;
}

}  // namespace

Guid basic_data_type() { return *Guid::parse("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"); }

ByteRange partition_range(std::uint64_t disk_size) {
  // The first grain holds the primary table, the last whole or broken one the backup.
  if (disk_size < 3 * kPartitionGrain) {
    throw Error(ErrorKind::kRefused, "disk-too-small",
                "a disk of " + std::to_string(disk_size) + " bytes has no room for a partition",
                "Use a larger drive.");
  }
  const std::uint64_t end = round_down(disk_size - kPartitionGrain, kPartitionGrain);
  return {kPartitionGrain, end - kPartitionGrain};
}

GptLayout planned_layout(std::uint64_t disk_size, const GptRequest& request) {
  return {request.disk_guid, request.partition_guid, basic_data_type(), partition_range(disk_size),
          request.name};
}

GptLayout write_gpt(block::FileDevice& device, const GptRequest& request) {
  const GptLayout planned = planned_layout(device.size(), request);
  const std::optional<std::u16string> wide = utf16_from_utf8(request.name);
  require(wide && wide->size() <= kMostNameUnits, "a partition name has at most 36 UTF-16 units");

  {
    const Handle<fdisk_context> context = open_context(device);
    check(fdisk_create_disklabel(context.get(), "gpt"), device, "create the label");
    check(fdisk_set_disklabel_id_from_string(context.get(), request.disk_guid.upper().c_str()),
          device, "set the disk GUID");

    const Handle<fdisk_parttype> type(fdisk_label_get_parttype_from_string(
        fdisk_get_label(context.get(), nullptr), planned.type_guid.upper().c_str()));
    require(type != nullptr, "libfdisk does not know the basic data type");
    const Handle<fdisk_partition> partition(fdisk_new_partition());
    require(partition != nullptr, "fdisk_new_partition failed");
    const std::uint64_t sector = device.sector_size().bytes();
    check(fdisk_partition_set_partno(partition.get(), 0), device, "set the number");
    check(fdisk_partition_set_start(partition.get(), planned.partition.offset / sector), device,
          "set the start");
    check(fdisk_partition_set_size(partition.get(), planned.partition.length / sector), device,
          "set the size");
    check(fdisk_partition_set_type(partition.get(), type.get()), device, "set the type");
    check(fdisk_partition_set_uuid(partition.get(), request.partition_guid.upper().c_str()), device,
          "set the partition GUID");
    check(fdisk_partition_set_name(partition.get(), request.name.c_str()), device, "set the name");
    std::size_t number = 0;
    check(fdisk_add_partition(context.get(), partition.get(), &number), device,
          "add the partition");
    check(fdisk_write_disklabel(context.get()), device, "write the sectors");
    // 1: no sync here, which would be the whole system's; the flush below is the device's own.
    check(fdisk_deassign_device(context.get(), 1), device, "let go of the device");
  }
  device.flush();

  const GptLayout found = read_gpt(device);
  if (found != planned) {
    throw Error(
        ErrorKind::kVerification, "gpt-differs",
        "the partition table read back from " + device.name() + " is not the one that was written",
        "Use another drive: this one does not keep what is written to it.");
  }
  return found;
}

}  // namespace driveprep::layout
