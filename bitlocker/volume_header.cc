#include "bitlocker/volume_header.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "base/guid.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kSize = 512;
constexpr std::string_view kFveSignature = "-FVE-FS-";
constexpr std::string_view kToGoSignature = "MSWIN4.1";
constexpr std::size_t kSignatureAt = 0x03;
constexpr std::size_t kGuidAt = 0xA0;
constexpr std::size_t kToGoGuidAt = 0x1A8;

const Guid kFinished = *Guid::parse("4967d63b-2e29-4ad8-8399-f6a339e3d001");
const Guid kEncryptOnWrite = *Guid::parse("92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8");

bool starts_with_jump(ByteView sector, std::uint8_t second) {
  return sector[0] == std::byte{0xEB} && sector[1] == std::byte{second} &&
         sector[2] == std::byte{0x90};
}

void parse_geometry(ByteView sector, VolumeHeader& header) {
  ByteReader reader(sector.subspan(0x0B));
  header.bytes_per_sector = reader.u16();
  const std::uint8_t per_cluster = reader.u8();
  // Above 128 NTFS stores the count as a negative power of two.
  const std::uint64_t sectors =
      per_cluster <= 0x80 ? per_cluster : 1ull << (256 - per_cluster) % 64;
  header.cluster_size = header.bytes_per_sector * sectors;
  if (header.cluster_size > 2 * kMiB || !std::has_single_bit(header.cluster_size)) {
    header.cluster_size = 0;
  }
}

void parse_offsets(ByteView sector, std::size_t guid_at, VolumeKind finished,
                   VolumeHeader& header) {
  ByteReader reader(sector.subspan(guid_at));
  const Guid guid = Guid::from_disk(reader.take(Guid::kSize));
  if (guid == kFinished) header.kind = finished;
  if (guid == kEncryptOnWrite) header.kind = VolumeKind::kConverting;
  for (std::uint64_t& offset : header.metadata) offset = reader.u64();
}

void put(Bytes& sector, std::size_t at, ByteView data) {
  std::copy(data.begin(), data.end(), sector.begin() + at);
}

}  // namespace

VolumeHeader parse_volume_header(ByteView sector) {
  VolumeHeader header;
  if (sector.size() < kSize || sector[0x1FE] != std::byte{0x55} ||
      sector[0x1FF] != std::byte{0xAA}) {
    return header;
  }
  const std::string_view signature = as_text(sector.subspan(kSignatureAt, kFveSignature.size()));
  if (signature == kFveSignature && starts_with_jump(sector, 0x52)) {
    header.kind = VolumeKind::kVista;
  } else if (signature == kFveSignature && starts_with_jump(sector, 0x58)) {
    parse_offsets(sector, kGuidAt, VolumeKind::kNtfs, header);
  } else if (signature == kToGoSignature && starts_with_jump(sector, 0x58)) {
    parse_offsets(sector, kToGoGuidAt, VolumeKind::kToGo, header);
  }
  if (header.kind != VolumeKind::kNone) parse_geometry(sector, header);
  return header;
}

Bytes make_volume_header(ByteView ntfs_boot_sector, const std::array<std::uint64_t, 3>& metadata) {
  require(ntfs_boot_sector.size() >= kSize &&
              as_text(ntfs_boot_sector.subspan(kSignatureAt, 8)) == "NTFS    ",
          "the volume header is made from the boot sector of NTFS");
  Bytes sector(kSize);
  constexpr std::array kJump = {std::byte{0xEB}, std::byte{0x58}, std::byte{0x90}};
  put(sector, 0x00, kJump);
  put(sector, kSignatureAt, as_bytes(kFveSignature));
  put(sector, 0x0B, ntfs_boot_sector.subspan(0x0B, 3));  // bytes a sector, sectors a cluster
  sector[0x15] = std::byte{0xF8};
  put(sector, 0x18, ntfs_boot_sector.subspan(0x18, 8));  // geometry, hidden sectors
  // The rest of what looks like FAT32 keeps older systems from taking the volume for anything else.
  put(sector, 0x24, ByteWriter().u32(0x1FE0).view());
  put(sector, 0x30, ByteWriter().u16(1).u16(6).view());
  sector[0x40] = std::byte{0x80};
  sector[0x42] = std::byte{0x29};
  put(sector, 0x47, as_bytes("NO NAME    FAT32   "));
  constexpr std::array kHalt = {std::byte{0xF4}, std::byte{0xEB}, std::byte{0xFD}};  // hlt; jmp $-1
  put(sector, 0x5A, kHalt);
  put(sector, kGuidAt, kFinished.on_disk());
  ByteWriter offsets;
  for (const std::uint64_t offset : metadata) offsets.u64(offset);
  put(sector, kGuidAt + Guid::kSize, offsets.view());
  std::fill_n(sector.begin() + 0x198, 80, std::byte{0x78});
  std::fill_n(sector.begin() + 0x1E8, 19, std::byte{0xFF});
  put(sector, 0x1FB, ByteWriter().u8(0x00).u8(0x1F).u8(0x2C).u8(0x55).u8(0xAA).view());
  return sector;
}

}  // namespace driveprep::bitlocker
