#include "bitlocker/metadata_backup.h"

#include <algorithm>
#include <string_view>

#include "bitlocker/create.h"
#include "bitlocker/layout.h"
#include "bitlocker/metadata.h"
#include "bitlocker/relocation.h"
#include "bitlocker/volume_header.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::string_view kMagic = "DPVMETA1";
constexpr std::size_t kHead = 28;
constexpr std::uint64_t kMostRelocated = 64 * kKiB;

void check(bool condition, const char* what) {
  if (!condition) {
    throw Error(ErrorKind::kKey, "metadata-backup",
                std::string("this is no backup of a volume's metadata: ") + what,
                "Give the file that driveprep volume backup-metadata made.");
  }
}

SecretBytes read_secret(const block::ReadableDevice& partition, std::uint64_t offset,
                        std::size_t length) {
  SecretBytes bytes(length);
  partition.read(offset, bytes.span());
  return bytes;
}

std::size_t without_zeros(ByteView bytes) {
  const auto last =
      std::find_if(bytes.rbegin(), bytes.rend(), [](std::byte b) { return b != std::byte{0}; });
  return static_cast<std::size_t>(last.base() - bytes.begin());
}

void write_aligned(block::BlockDevice& partition, std::uint64_t offset, ByteView data) {
  block::AlignedBuffer buffer(data.size());
  std::ranges::copy(data, buffer.span().begin());
  partition.write(offset, buffer.span());
  partition.flush();
}

}  // namespace

Guid MetadataBackup::volume_id() const { return parse_metadata(metadata.span()).volume_id; }

MetadataBackup back_up_metadata(const block::ReadableDevice& partition, const VolumeFacts& facts) {
  const CopyFacts* copy = facts.newest();
  if (copy == nullptr && facts.header.kind == VolumeKind::kNone) {
    throw Error(ErrorKind::kRefused, "not-bitlocker",
                partition.name() + " does not hold a BitLocker volume",
                "Check that this is the right drive and partition.");
  }
  if (copy == nullptr) {
    throw Error(ErrorKind::kVerification, "bitlocker-metadata-damaged",
                "none of the three metadata copies of " + partition.name() + " is usable",
                "Restore them from an earlier backup.");
  }
  if (facts.header.kind == VolumeKind::kNone || facts.header.metadata != copy->metadata->offsets) {
    throw Error(ErrorKind::kRefused, "bitlocker-header-lost",
                "the header of the volume on " + partition.name() +
                    (facts.header.kind == VolumeKind::kNone ? " is lost"
                                                            : " does not lead to its metadata"),
                "Restore it from an earlier backup, or export the volume.");
  }
  const std::uint64_t sector = std::max<std::uint64_t>(sector_size_of(*copy->metadata), 512);
  const std::uint64_t relocated = copy->metadata->relocated_sectors * sector;
  MetadataBackup backup;
  backup.volume_size = partition.size();
  backup.header = read_secret(partition, 0, sector);
  backup.metadata = read_secret(partition, copy->offset, kMetadataSize);
  if (relocated <= kMostRelocated) {
    backup.relocated = read_secret(partition, copy->metadata->relocation_offset, relocated);
  }
  return backup;
}

SecretBytes serialise(const MetadataBackup& backup) {
  const std::size_t metadata = without_zeros(backup.metadata.span());
  ByteWriter head;
  head.bytes(as_bytes(kMagic))
      .u64(backup.volume_size)
      .u32(static_cast<std::uint32_t>(backup.header.size()))
      .u32(static_cast<std::uint32_t>(metadata))
      .u32(static_cast<std::uint32_t>(backup.relocated.size()));
  SecretBytes bytes(kHead + backup.header.size() + metadata + backup.relocated.size());
  auto at = std::ranges::copy(head.view(), bytes.span().begin()).out;
  at = std::ranges::copy(backup.header.span(), at).out;
  at = std::ranges::copy(backup.metadata.span().first(metadata), at).out;
  std::ranges::copy(backup.relocated.span(), at);
  return bytes;
}

MetadataBackup parse_metadata_backup(const SecretBytes& bytes) {
  check(bytes.size() >= kHead, "it is too short");
  ByteReader reader(bytes.span());
  check(as_text(reader.take(kMagic.size())) == kMagic, "its signature is missing");
  MetadataBackup backup;
  backup.volume_size = reader.u64();
  const std::uint64_t header = reader.u32();
  const std::uint64_t metadata = reader.u32();
  const std::uint64_t relocated = reader.u32();
  check(SectorSize::is_valid(header) && metadata <= kMetadataSize && relocated <= kMostRelocated &&
            header + metadata + relocated == reader.remaining(),
        "its sizes are impossible");
  backup.header = SecretBytes::copy_of(reader.take(header));
  backup.metadata = SecretBytes(kMetadataSize);
  std::ranges::copy(reader.take(metadata), backup.metadata.span().begin());
  backup.relocated = SecretBytes::copy_of(reader.take(relocated));
  try {
    const Metadata parsed = parse_metadata(backup.metadata.span());
    check(crc_matches(parsed, backup.metadata.span()), "the checksum of its metadata is wrong");
    check(parse_volume_header(backup.header.span()).metadata == parsed.offsets,
          "its header does not lead to its metadata");
    const std::uint64_t sector = sector_size_of(parsed);
    check(relocated == 0 || parsed.relocated_sectors * sector == relocated,
          "its parts contradict each other");
    for (const std::uint64_t offset : parsed.offsets) {
      check(offset >= header && offset <= backup.volume_size &&
                backup.volume_size - offset >= kMetadataSize,
            "a copy of its metadata lies outside the volume");
    }
    check(parsed.relocation_offset <= backup.volume_size &&
              backup.volume_size - parsed.relocation_offset >= relocated,
          "its relocated part lies outside the volume");
  } catch (const FormatError& error) {
    check(false, error.what());
  }
  return backup;
}

void restore_metadata(block::BlockDevice& partition, const MetadataBackup& backup) {
  if (partition.size() != backup.volume_size) {
    throw Error(ErrorKind::kRefused, "metadata-backup-size",
                "the backup is of a volume of " + std::to_string(backup.volume_size) +
                    " bytes, and " + partition.name() + " has " + std::to_string(partition.size()),
                "Name the partition that held the volume; make it as it was if it is gone.");
  }
  const Metadata metadata = parse_metadata(backup.metadata.span());
  VolumeLayout layout;
  layout.metadata = metadata.offsets;
  write_metadata(partition, layout, backup.metadata.span());
  if (!backup.relocated.empty()) {
    write_aligned(partition, metadata.relocation_offset, backup.relocated.span());
  }
  write_aligned(partition, 0, backup.header.span());

  const VolumeFacts facts = examine(partition);
  const bool whole = std::ranges::all_of(facts.copies, [&](const CopyFacts& copy) {
    return copy.sound() && *copy.metadata == metadata;
  });
  if (!whole) {
    throw Error(ErrorKind::kVerification, "metadata-restore-differs",
                "the metadata on " + partition.name() + " is not what was written",
                "Copy the drive to another one, and restore it there.");
  }
}

}  // namespace driveprep::bitlocker
