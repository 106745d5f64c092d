#include "bitlocker/relocation.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::uint16_t kExtensionVersion = 5;
constexpr std::uint16_t kExtensionSize = 76;
// Finished volumes of Windows 8 and later; bit 0 goes with sectors of 4096 bytes.
constexpr std::uint64_t kFlags512 = 0x0A;
constexpr std::uint64_t kFlags4096 = 0x0B;
// The system that made the volume, as its version record: Windows 10 2004.
constexpr std::uint32_t kMajor = 10;
constexpr std::uint32_t kBuild = 19041;
constexpr std::uint32_t kPlatformNt = 2;
constexpr std::uint16_t kSuiteMask = 0x0110;
constexpr std::uint8_t kWorkstation = 1;

}  // namespace

std::optional<Relocation> parse_relocation(const Entry& entry) {
  if (entry.type != ValueType::kRelocation || entry.fixed.empty()) return std::nullopt;
  ByteReader fixed(entry.fixed);
  Relocation relocation;
  relocation.offset = fixed.u64();
  relocation.size = fixed.u64();
  if (entry.data.size() < kExtensionSize) return relocation;
  ByteReader reader(entry.data);
  reader.skip(8);
  RelocationExtension extension;
  extension.flags = reader.u64();
  reader.skip(12);
  extension.sector_size = reader.u32();
  reader.skip(28);
  extension.reserved_offset = reader.u64();
  extension.reserved_size = reader.u32();
  relocation.extension = extension;
  return relocation;
}

Entry make_relocation(const VolumeLayout& layout) {
  require(layout.reserved.has_value(), "a new volume has a region D");
  const std::uint32_t sector = layout.sector_size.bytes();
  Entry entry;
  entry.role = Role::kRelocation;
  entry.type = ValueType::kRelocation;
  entry.fixed = ByteWriter().u64(layout.header_backup).u64(layout.header_backup_size).take();
  ByteWriter extension;
  extension.u16(kExtensionVersion)
      .u16(kExtensionSize)
      .u32(0)
      .u64(sector == 4096 ? kFlags4096 : kFlags512)
      .u64(0)  // conversion log: offset, size
      .u32(0)
      .u32(sector)
      .u32(sector)
      .u32(kMajor)
      .u32(0)
      .u32(kBuild)
      .u32(kPlatformNt)
      .u32(0)
      .u16(kSuiteMask)
      .u8(kWorkstation)
      .u8(2)
      .u64(*layout.reserved)
      .u32(kReservedSize)
      .u32(0);
  entry.data = extension.take();
  return entry;
}

}  // namespace driveprep::bitlocker
