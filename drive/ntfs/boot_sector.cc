#include <algorithm>
#include <bit>
#include <string>

#include "drive/ntfs/format.h"

namespace driveprep::ntfs {
namespace {

[[noreturn]] void not_ntfs(const std::string& why) {
  throw Error(ErrorKind::kVerification, "not-ntfs", "the boot sector is not one of NTFS: " + why,
              "Prepare the drive again.");
}

// Sizes that may be below one cluster: positive counts clusters, negative is a power of two.
std::uint32_t coded_size(std::uint8_t code, std::uint32_t unit) {
  if (code < 0x80) return code * unit;
  const unsigned shift = 256U - code;
  return shift < 32 ? std::uint32_t{1} << shift : 0;
}

bool plausible(std::uint32_t size, std::uint32_t least, std::uint32_t most) {
  return std::has_single_bit(size) && size >= least && size <= most;
}

}  // namespace

Geometry parse_boot_sector(ByteView sector) {
  if (sector.size() < 512) not_ntfs("it is shorter than 512 bytes");
  ByteReader reader(sector.first(512));
  reader.skip(3);
  if (as_text(reader.take(8)) != "NTFS    ") not_ntfs("the name NTFS is missing");
  if (sector[510] != std::byte{0x55} || sector[511] != std::byte{0xAA}) {
    not_ntfs("the end mark 55 AA is missing");
  }
  const std::uint16_t bytes_per_sector = reader.u16();
  if (!SectorSize::is_valid(bytes_per_sector)) {
    not_ntfs("its sectors have " + std::to_string(bytes_per_sector) + " bytes");
  }
  Geometry geometry;
  geometry.sector = SectorSize(bytes_per_sector);
  const std::uint8_t cluster_code = reader.u8();
  // Above 0x80 the count of sectors is a negative power of two as well.
  const std::uint32_t sectors =
      cluster_code <= 0x80 ? cluster_code : coded_size(cluster_code, 1);
  geometry.cluster_size = sectors * bytes_per_sector;
  if (!plausible(geometry.cluster_size, bytes_per_sector, 2 * kMiB)) {
    not_ntfs("its clusters have " + std::to_string(geometry.cluster_size) + " bytes");
  }
  reader.skip(0x28 - reader.position());
  const std::uint64_t total_sectors = reader.u64();
  geometry.total_clusters = total_sectors / sectors;
  geometry.mft = {reader.u64()};
  geometry.mft_mirror = {reader.u64()};
  if (geometry.mft.value >= geometry.total_clusters ||
      geometry.mft_mirror.value >= geometry.total_clusters) {
    not_ntfs("$MFT lies outside the volume");
  }
  geometry.record_size = coded_size(reader.u8(), geometry.cluster_size);
  if (!plausible(geometry.record_size, 512, 65536)) {
    not_ntfs("its records have " + std::to_string(geometry.record_size) + " bytes");
  }
  reader.skip(0x48 - reader.position());
  geometry.serial = reader.u64();
  return geometry;
}

}  // namespace driveprep::ntfs
