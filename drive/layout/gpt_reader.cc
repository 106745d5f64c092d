// Reading the table. Nothing here is shared with the writer but the types.
#include <zlib.h>

#include <algorithm>
#include <array>

#include "base/utf16.h"
#include "drive/layout/gpt.h"

namespace driveprep::layout {
namespace {

constexpr std::string_view kSignature = "EFI PART";
constexpr std::uint32_t kRevision1 = 0x00010000;
constexpr std::uint32_t kHeaderSize = 92;
constexpr std::size_t kDiskGuidOffset = 56;
constexpr std::uint32_t kEntrySize = 128;
constexpr std::uint32_t kMostEntries = 1024;
constexpr std::size_t kNameBytes = 72;
constexpr std::size_t kMbrRecords = 446;
constexpr std::uint8_t kProtectiveType = 0xEE;

[[noreturn]] void invalid(const block::ReadableDevice& device, const std::string& what) {
  throw Error(ErrorKind::kVerification, "gpt-invalid",
              "the partition table of " + device.name() + " is not valid: " + what,
              "Prepare this drive again; if that repeats, use another drive.");
}

std::uint32_t crc32_of(ByteView bytes) {
  return static_cast<std::uint32_t>(
      ::crc32(::crc32(0, nullptr, 0), uchars(bytes), static_cast<uInt>(bytes.size())));
}

struct Header {
  std::uint64_t my_lba = 0;
  std::uint64_t alternate_lba = 0;
  std::uint64_t first_usable = 0;
  std::uint64_t last_usable = 0;
  Guid disk_guid;
  std::uint64_t entries_lba = 0;
  std::uint32_t entry_count = 0;
  std::uint32_t entries_crc = 0;
};

Header parse_header(const block::ReadableDevice& device, ByteView sector, const char* which) {
  const auto bad = [&](const std::string& what) {
    invalid(device, std::string("the ") + which + " header " + what);
  };
  ByteReader reader(sector);
  if (as_text(reader.take(kSignature.size())) != kSignature) bad("has no signature");
  if (reader.u32() != kRevision1) bad("has an unknown revision");
  if (reader.u32() != kHeaderSize) bad("has an unexpected size");
  const std::uint32_t crc = reader.u32();
  Bytes copy(sector.begin(), sector.begin() + kHeaderSize);
  std::fill_n(copy.begin() + 16, 4, std::byte{0});
  if (crc32_of(copy) != crc) bad("has a wrong checksum");
  if (reader.u32() != 0) bad("has a reserved field that is not zero");
  Header header;
  header.my_lba = reader.u64();
  header.alternate_lba = reader.u64();
  header.first_usable = reader.u64();
  header.last_usable = reader.u64();
  header.disk_guid = Guid::from_disk(reader.take(Guid::kSize));
  header.entries_lba = reader.u64();
  header.entry_count = reader.u32();
  if (reader.u32() != kEntrySize) bad("has an unexpected entry size");
  header.entries_crc = reader.u32();
  if (header.entry_count == 0 || header.entry_count > kMostEntries) {
    bad("has an unexpected number of entries");
  }
  if (header.first_usable > header.last_usable) bad("has no usable sectors");
  return header;
}

Bytes read_entries(const block::ReadableDevice& device, const Header& header, const char* which) {
  const std::uint64_t total = device.size() / device.sector_size().bytes();
  const std::uint64_t length = std::uint64_t{header.entry_count} * kEntrySize;
  if (header.entries_lba >= total ||
      length > device.size() - Lba{header.entries_lba}.bytes(device.sector_size())) {
    invalid(device, std::string("the ") + which + " entries lie outside the disk");
  }
  Bytes entries(length);
  device.read(Lba{header.entries_lba}.bytes(device.sector_size()), entries);
  if (crc32_of(entries) != header.entries_crc) {
    invalid(device, std::string("the ") + which + " entries have a wrong checksum");
  }
  return entries;
}

void check_protective_mbr(const block::ReadableDevice& device, ByteView sector,
                          std::uint64_t total_sectors) {
  ByteReader reader(sector.first(512));
  reader.skip(kMbrRecords);
  for (int record = 0; record < 4; ++record) {
    reader.skip(4);  // boot indicator and first CHS address
    const std::uint8_t type = reader.u8();
    reader.skip(3);
    const std::uint32_t start = reader.u32();
    const std::uint32_t count = reader.u32();
    if (record > 0) {
      if (type != 0 || count != 0) invalid(device, "the protective MBR has a second record");
      continue;
    }
    const std::uint64_t expected = std::min<std::uint64_t>(total_sectors - 1, 0xFFFFFFFF);
    if (type != kProtectiveType || start != 1 || count != expected) {
      invalid(device, "the protective MBR does not cover the disk");
    }
  }
  if (reader.u16() != 0xAA55) invalid(device, "the protective MBR has no signature");
}

struct Entry {
  Guid type_guid;
  Guid partition_guid;
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // inclusive
  std::uint64_t attributes = 0;
  std::u16string name;
};

Entry parse_entry(ByteView raw) {
  ByteReader reader(raw);
  Entry entry;
  entry.type_guid = Guid::from_disk(reader.take(Guid::kSize));
  entry.partition_guid = Guid::from_disk(reader.take(Guid::kSize));
  entry.first = reader.u64();
  entry.last = reader.u64();
  entry.attributes = reader.u64();
  entry.name = from_utf16le(reader.take(kNameBytes)).value_or(std::u16string());
  if (const std::size_t end = entry.name.find(u'\0'); end != std::u16string::npos) {
    entry.name.resize(end);
  }
  return entry;
}

}  // namespace

GptLayout read_gpt(const block::ReadableDevice& device) {
  const SectorSize sector = device.sector_size();
  const std::uint64_t total = device.size() / sector.bytes();
  if (device.size() % sector.bytes() != 0 || total < 8) {
    invalid(device, "the disk has " + std::to_string(device.size()) + " bytes");
  }
  const auto read_sector = [&](std::uint64_t lba) {
    Bytes bytes(sector.bytes());
    device.read(Lba{lba}.bytes(sector), bytes);
    return bytes;
  };

  check_protective_mbr(device, read_sector(0), total);
  const Header primary = parse_header(device, read_sector(1), "primary");
  const Header backup = parse_header(device, read_sector(total - 1), "backup");
  if (primary.my_lba != 1 || primary.alternate_lba != total - 1 || backup.my_lba != total - 1 ||
      backup.alternate_lba != 1) {
    invalid(device, "the headers do not point at each other");
  }
  if (primary.disk_guid != backup.disk_guid || primary.first_usable != backup.first_usable ||
      primary.last_usable != backup.last_usable || primary.entry_count != backup.entry_count ||
      primary.entries_crc != backup.entries_crc) {
    invalid(device, "the two headers differ");
  }
  const Bytes entries = read_entries(device, primary, "primary");
  if (read_entries(device, backup, "backup") != entries) invalid(device, "the entries differ");

  const std::uint64_t table_sectors = round_up(entries.size(), sector.bytes()) / sector.bytes();
  if (primary.first_usable < primary.entries_lba + table_sectors || primary.entries_lba < 2 ||
      primary.last_usable >= backup.entries_lba ||
      backup.entries_lba + table_sectors > backup.my_lba) {
    invalid(device, "a table overlaps the usable sectors");
  }

  std::vector<Entry> used;
  for (std::size_t at = 0; at < entries.size(); at += kEntrySize) {
    Entry entry = parse_entry(ByteView(entries).subspan(at, kEntrySize));
    if (entry.type_guid != Guid()) used.push_back(std::move(entry));
  }
  if (used.size() != 1) {
    invalid(device, "it has " + std::to_string(used.size()) + " partitions instead of one");
  }
  const Entry& entry = used.front();
  if (entry.first > entry.last || entry.first < primary.first_usable ||
      entry.last > primary.last_usable) {
    invalid(device, "the partition lies outside the usable sectors");
  }
  if (entry.attributes != 0) invalid(device, "the partition has attributes");

  GptLayout layout;
  layout.disk_guid = primary.disk_guid;
  layout.partition_guid = entry.partition_guid;
  layout.type_guid = entry.type_guid;
  layout.partition = {Lba{entry.first}.bytes(sector),
                      Lba{entry.last - entry.first + 1}.bytes(sector)};
  layout.name = utf8_from_utf16(entry.name).value_or(std::string());
  return layout;
}

bool names_disk(const block::ReadableDevice& device, const Guid& disk_guid) {
  const std::size_t sector = device.sector_size().bytes();
  const std::uint64_t total = device.size() / sector;
  if (total < 3) return false;
  Bytes header(sector);
  for (const std::uint64_t lba : {std::uint64_t{1}, total - 1}) {
    device.read(lba * sector, header);
    ByteReader reader(header);
    reader.skip(kDiskGuidOffset);
    if (Guid::from_disk(reader.take(Guid::kSize)) == disk_guid) return true;
  }
  return false;
}

}  // namespace driveprep::layout
