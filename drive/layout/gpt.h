// The partition table of a drive: GPT with one basic-data partition, written through libfdisk on
// our own descriptor, and read back by a parser of our own that shares no code with the writer.
// libfdisk is met here and nowhere else.
//
// Format: UEFI specification, chapter 5 "GUID Partition Table (GPT) Disk Layout".
#pragma once

#include <cstdint>
#include <string>

#include "base/guid.h"
#include "base/units.h"
#include "drive/block/block_device.h"
#include "drive/block/file_device.h"

namespace driveprep::layout {

// The grain of the partition: its start, and what its end is rounded down to. The last grain of
// the disk stays free, so the backup table never shares it with the volume.
inline constexpr std::uint64_t kPartitionGrain = kMiB;

// Microsoft basic data: EBD0A0A2-B9E5-4433-87C0-68B6B72699C7.
Guid basic_data_type();

struct GptLayout {
  Guid disk_guid;
  Guid partition_guid;
  Guid type_guid;
  ByteRange partition;  // bytes from the start of the disk
  std::string name;     // of the partition, UTF-8

  friend bool operator==(const GptLayout&, const GptLayout&) = default;
};

// What is asked for. The GUIDs are random, version 4, and chosen by the caller so that the journal
// knows them before the disk does.
struct GptRequest {
  Guid disk_guid;
  Guid partition_guid;
  std::string name = "Basic data partition";  // at most 36 UTF-16 units
};

// Where the partition lies on a disk of `disk_size` bytes: from 1 MiB to the last whole MiB before
// the final one. Throws kRefused "disk-too-small" when nothing of 1 MiB would be left.
ByteRange partition_range(std::uint64_t disk_size);

// The layout that `write_gpt` makes, without writing it.
GptLayout planned_layout(std::uint64_t disk_size, const GptRequest& request);

// Writes protective MBR, both headers and both tables, flushes, reads everything back and compares.
// The device must have been wiped. Throws kWrite "gpt-write-failed" or kVerification "gpt-differs".
GptLayout write_gpt(block::FileDevice& device, const GptRequest& request);

// Reads and checks the table: protective MBR, both headers and both entry arrays with their
// checksums, their agreement, and that there is exactly one partition inside the usable area.
// Throws kVerification "gpt-invalid" naming what is wrong.
GptLayout read_gpt(const block::ReadableDevice& device);

// Whether one of the two headers has this disk GUID, sound or not: tells a disk with a damaged
// table from another disk.
bool names_disk(const block::ReadableDevice& device, const Guid& disk_guid);

}  // namespace driveprep::layout
