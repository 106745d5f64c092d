#include "drive/inventory/signatures.h"

#include <blkid/blkid.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string_view>

#include "base/utf16.h"
#include "drive/inventory/membership.h"

namespace driveprep::inventory {
namespace {

// Far above what any disk carries; a probe that never ends would hang the program.
constexpr int kMostSignatures = 1000;
// libblkid counts partitions in these units, whatever the sector size.
constexpr std::uint64_t kBlkidUnit = 512;

struct FreeProbe {
  void operator()(blkid_probe probe) const { blkid_free_probe(probe); }
};
using Probe = std::unique_ptr<std::remove_pointer_t<blkid_probe>, FreeProbe>;

[[noreturn]] void probe_failed(const std::string& name, const ByteRange& area, int error_number) {
  throw Error::from_errno(ErrorKind::kBusy, "probe-failed",
                          "look for signatures on " + name + " (" + std::to_string(area.length) +
                              " bytes at offset " + std::to_string(area.offset) + ")",
                          error_number != 0 ? error_number : EIO,
                          "Check that the medium can be read; see the kernel log (dmesg).");
}

enum class Tables { kLookFor, kIgnore };

Probe open_probe(int fd, const ByteRange& area, SectorSize sector, Tables tables,
                 const std::string& name) {
  errno = 0;
  Probe probe(blkid_new_probe());
  if (!probe) probe_failed(name, area, ENOMEM);
  if (blkid_probe_set_device(probe.get(), fd, static_cast<blkid_loff_t>(area.offset),
                             static_cast<blkid_loff_t>(area.length)) != 0) {
    probe_failed(name, area, errno);
  }
  // libblkid takes a file to have sectors of 512 bytes and then misses a table of 4096-byte ones.
  blkid_probe_set_sectorsize(probe.get(), sector.bytes());
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE |
                                                     BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID |
                                                     BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_BADCSUM);
  blkid_probe_enable_partitions(probe.get(), tables == Tables::kLookFor ? 1 : 0);
  blkid_probe_set_partitions_flags(probe.get(), BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT);
  return probe;
}

std::string value_of(blkid_probe probe, const char* key) {
  const char* data = nullptr;
  if (blkid_probe_lookup_value(probe, key, &data, nullptr) != 0 || data == nullptr) return {};
  return data;
}

std::uint64_t number_of(blkid_probe probe, const char* key) {
  const std::string text = value_of(probe, key);
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t length_of(blkid_probe probe, const char* key) {
  std::size_t length = 0;
  const char* data = nullptr;
  return blkid_probe_lookup_value(probe, key, &data, &length) == 0 ? length : 0;
}

// A label comes from the disk: a control or text-direction character in it could make the terminal
// show another label than the one that is there.
std::string printable(const std::string& text) {
  const auto is_control = [](char16_t c) {
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x200E || c == 0x200F ||
           (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
  };
  std::optional<std::u16string> wide = utf16_from_utf8(text);
  if (!wide) {
    std::string ascii = text;
    std::ranges::replace_if(
        ascii, [](char c) { return c < 0x20 || c > 0x7E; }, '?');
    return ascii;
  }
  std::erase_if(*wide, is_control);
  return utf8_from_utf16(*wide).value_or(std::string());
}

Usage usage_of(const std::string& text) {
  if (text == "filesystem") return Usage::kFilesystem;
  if (text == "crypto") return Usage::kCrypto;
  if (text == "raid") return Usage::kRaid;
  return Usage::kOther;
}

void collect(blkid_probe probe, const ByteRange& area, const std::string& name,
             std::vector<Signature>& found) {
  for (int i = 0; i < kMostSignatures; ++i) {
    errno = 0;
    const int result = blkid_do_probe(probe);
    if (result == 1) return;
    if (result != 0) probe_failed(name, area, errno);
    Signature signature;
    signature.area = area;
    if (const std::string type = value_of(probe, "TYPE"); !type.empty()) {
      signature.type = type;
      signature.usage = usage_of(value_of(probe, "USAGE"));
      signature.label = printable(value_of(probe, "LABEL"));
      signature.uuid = printable(value_of(probe, "UUID"));
      signature.offset = area.offset + number_of(probe, "SBMAGIC_OFFSET");
      signature.length = length_of(probe, "SBMAGIC");
    } else {
      signature.type = value_of(probe, "PTTYPE");
      if (signature.type.empty()) continue;
      signature.usage = Usage::kPartitionTable;
      signature.uuid = printable(value_of(probe, "PTUUID"));
      signature.offset = area.offset + number_of(probe, "PTMAGIC_OFFSET");
      signature.length = length_of(probe, "PTMAGIC");
    }
    found.push_back(std::move(signature));
  }
  throw Error(ErrorKind::kBusy, "probe-failed",
              name + " shows more than " + std::to_string(kMostSignatures) + " signatures");
}

std::string hex_type(int type) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "0x%x", static_cast<unsigned>(type) & 0xFF);
  return text.data();
}

// Of a table on `area`; libblkid counts from where the probe begins.
std::vector<Partition> partitions_of(blkid_probe probe, const ByteRange& area) {
  std::vector<Partition> partitions;
  blkid_partlist list = blkid_probe_get_partitions(probe);
  const int count = list == nullptr ? 0 : blkid_partlist_numof_partitions(list);
  for (int i = 0; i < count; ++i) {
    blkid_partition partition = blkid_partlist_get_partition(list, i);
    if (partition == nullptr) continue;
    ByteRange range{static_cast<std::uint64_t>(blkid_partition_get_start(partition)) * kBlkidUnit,
                    static_cast<std::uint64_t>(blkid_partition_get_size(partition)) * kBlkidUnit};
    if (range.offset >= area.length) continue;
    range.length = std::min(range.length, area.length - range.offset);
    range.offset += area.offset;
    if (range.length == 0) continue;
    const char* type = blkid_partition_get_type_string(partition);
    partitions.push_back(
        {blkid_partition_get_partno(partition), range,
         type != nullptr ? std::string(type) : hex_type(blkid_partition_get_type(partition))});
  }
  return partitions;
}

}  // namespace

std::vector<Partition> read_partitions(int fd, std::uint64_t size, SectorSize sector,
                                       const std::string& name) {
  if (size == 0) return {};
  const ByteRange whole{0, size};
  return partitions_of(open_probe(fd, whole, sector, Tables::kLookFor, name).get(), whole);
}

Signatures probe_signatures(int fd, const ByteRange& area, SectorSize sector,
                            const std::string& name) {
  Signatures result;
  if (area.length == 0) return result;
  collect(open_probe(fd, area, sector, Tables::kLookFor, name).get(), area, name, result.found);
  const Probe tables = open_probe(fd, area, sector, Tables::kLookFor, name);
  for (const Partition& partition : partitions_of(tables.get(), area)) {
    result.partitions.push_back(partition.range);
    if (const auto whole = larger_whole(partition.type)) result.part_of.emplace_back(*whole);
  }
  // Inside a partition the end mark of a boot sector would pass for an MBR.
  for (const ByteRange& partition : result.partitions) {
    collect(open_probe(fd, partition, sector, Tables::kIgnore, name).get(), partition, name,
            result.found);
  }
  for (const Signature& signature : result.found) {
    if (const auto whole = larger_whole(fd, signature, name)) result.part_of.push_back(*whole);
  }
  return result;
}

std::string describe(const Signatures& signatures) {
  static const std::map<std::string_view, std::string_view> kNames = {
      {"gpt", "GPT"},
      {"dos", "MBR partition table"},
      {"PMBR", "protective MBR"},
      {"ntfs", "NTFS"},
      {"vfat", "FAT"},
      {"exfat", "exFAT"},
      {"BitLocker", "BitLocker volume"},
      {"crypto_LUKS", "LUKS volume"},
      {"LVM2_member", "LVM member"},
      {"linux_raid_member", "RAID member"},
      {"zfs_member", "ZFS member"},
      {"swap", "swap space"},
  };
  const bool gpt =
      std::ranges::any_of(signatures.found, [](const Signature& s) { return s.type == "gpt"; });
  std::string text;
  std::set<std::string> told;
  for (const Signature& signature : signatures.found) {
    if (gpt && signature.type == "PMBR") continue;
    const auto known = kNames.find(signature.type);
    std::string words(known == kNames.end() ? std::string_view(signature.type) : known->second);
    if (!signature.label.empty()) words += " '" + signature.label + "'";
    if (!told.insert(words).second) continue;
    text += (text.empty() ? "" : ", ") + words;
  }
  return text;
}

}  // namespace driveprep::inventory
