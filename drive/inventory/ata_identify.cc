#include "drive/inventory/ata_identify.h"

#include <numeric>

#include "drive/inventory/device_text.h"

namespace driveprep::inventory {
namespace {

constexpr std::uint8_t kChecksumSignature = 0xA5;

class Words {
 public:
  explicit Words(ByteView page) : page_(page) {}

  std::uint16_t operator[](std::size_t word) const {
    return ByteReader(page_.subspan(2 * word)).u16();
  }
  bool bit(std::size_t word, unsigned number) const { return ((*this)[word] >> number & 1) != 0; }
  // Words of feature bits say in their two highest bits that they are valid: 01.
  bool valid(std::size_t word) const { return (*this)[word] >> 14 == 1; }
  std::uint64_t number(std::size_t first, std::size_t count) const {
    std::uint64_t value = 0;
    for (std::size_t i = count; i-- > 0;) value = value << 16 | (*this)[first + i];
    return value;
  }
  std::string text(std::size_t first, std::size_t last) const {
    std::string raw;
    for (std::size_t word = first; word <= last; ++word) {
      raw += static_cast<char>((*this)[word] >> 8);
      raw += static_cast<char>((*this)[word] & 0xFF);
    }
    return clean_device_text(raw);
  }

 private:
  ByteView page_;
};

void read_sector_sizes(const Words& words, AtaIdentify& drive) {
  if (!words.valid(106)) return;
  if (words.bit(106, 12)) {
    drive.logical_sector = static_cast<std::uint32_t>(words.number(117, 2) * 2);
  }
  drive.physical_sector = drive.logical_sector;
  if (words.bit(106, 13)) drive.physical_sector <<= words[106] & 0xF;
}

// Without LBA48, or where its words are left at zero, the older count says it.
std::uint64_t count_sectors(const Words& words) {
  const bool lba48 = words.valid(83) && words.bit(83, 10);
  const std::uint64_t large = lba48 ? words.number(100, 4) : 0;
  return large != 0 ? large : words.number(60, 2);
}

// The word tells revolutions from 0x0401 on, and 1 for none; the rest is reserved.
std::optional<unsigned> rotation_of(std::uint16_t word) {
  if (word == 1) return 0;
  if (word >= 0x0401 && word <= 0xFFFE) return word;
  return std::nullopt;
}

}  // namespace

bool has_right_checksum(ByteView page) {
  const unsigned sum = std::accumulate(
      page.begin(), page.end(), 0U,
      [](unsigned total, std::byte b) { return total + std::to_integer<unsigned>(b); });
  return (sum & 0xFF) == 0;
}

AtaIdentify parse_ata_identify(ByteView page) {
  if (page.size() != kAtaPageBytes) throw FormatError("an IDENTIFY page has 512 bytes");
  const Words words(page);
  if (words.bit(0, 15)) throw FormatError("it is a packet device, not a disk");
  // Older drives have none.
  if (std::to_integer<std::uint8_t>(page[510]) == kChecksumSignature && !has_right_checksum(page)) {
    throw FormatError("the checksum of the IDENTIFY page is wrong");
  }

  AtaIdentify drive;
  drive.serial = words.text(10, 19);
  drive.firmware = words.text(23, 26);
  drive.model = words.text(27, 46);
  // The four words begin with the highest.
  if (words.valid(87) && words.bit(87, 8)) {
    drive.wwn = static_cast<std::uint64_t>(words[108]) << 48 |
                static_cast<std::uint64_t>(words[109]) << 32 |
                static_cast<std::uint64_t>(words[110]) << 16 | words[111];
  }
  drive.sectors = count_sectors(words);
  if (drive.sectors == 0) throw FormatError("the IDENTIFY page tells no capacity");
  read_sector_sizes(words, drive);
  drive.rotation = rotation_of(words[217]);
  drive.smart_supported = words.valid(83) && words.bit(82, 0);
  drive.smart_enabled = words.valid(87) && words.bit(85, 0);
  drive.hides_areas = words.valid(83) && words.bit(82, 10);
  drive.locked = words.bit(128, 1) && words.bit(128, 2);
  return drive;
}

}  // namespace driveprep::inventory
