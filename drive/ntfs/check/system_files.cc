#include "drive/ntfs/check/system_files.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <set>
#include <utility>

#include "drive/ntfs/check/finding.h"
#include "drive/ntfs/file_pieces.h"

namespace driveprep::ntfs::check {
namespace {

constexpr std::uint64_t kSmall = 4 * kMiB;    // no file that is read whole is larger
constexpr std::size_t kDefinition = 160;      // bytes of an entry of $AttrDef
constexpr std::size_t kDefinitionType = 128;  // behind its name
constexpr std::size_t kDescriptorHeader = 20;
constexpr std::uint64_t kCopyDistance = 256 * kKiB;  // of the two copies in $SDS

FileInfo find(VolumeReader& reader, const std::u16string& name, const std::string& shown) {
  const std::optional<FileInfo> file = reader.open(name);
  demand(file.has_value(), "there is no " + shown);
  return *file;
}

// Calls `look` for one piece after the other of all its data, wherever that is.
void look_through(const block::ReadableDevice& volume, const FileInfo& file,
                  const std::function<void(ByteView)>& look) {
  if (file.resident) return look(file.content);
  read_pieces(volume, file, file.size, [&](ByteView piece) {
    look(piece);
    return true;
  });
}

Bytes read_whole(const block::ReadableDevice& volume, VolumeReader& reader,
                 const std::u16string& name, const std::string& shown) {
  const FileInfo file = find(reader, name, shown);
  demand(file.size <= kSmall, shown + " is larger than it can be");
  Bytes content;
  look_through(volume, file,
               [&](ByteView piece) { content.insert(content.end(), piece.begin(), piece.end()); });
  demand(content.size() == file.size, shown + " has not all its clusters");
  return content;
}

// Two copies of a record may have been written with different update sequences.
void forget_sequence(MutableByteView record) {
  restore_strides(record, "FILE");
  const auto [offset, length] = update_sequence(record);
  std::ranges::fill(record.subspan(offset, length), std::byte{0});
}

std::uint32_t hash_of_descriptor(ByteView descriptor) {
  std::uint32_t hash = 0;
  for (ByteReader words(descriptor); words.remaining() >= 4;) {
    hash = std::rotl(hash, 3) + words.u32();
  }
  return hash;
}

}  // namespace

void check_boot_sector(const block::ReadableDevice& volume) {
  Bytes first(volume.sector_size().bytes());
  Bytes last(first.size());
  volume.read(0, first);
  volume.read(volume.size() - last.size(), last);
  demand(first == last, "the copy of the boot sector in the last sector differs from it");
}

void check_mirror(const block::ReadableDevice& volume, VolumeReader& reader) {
  const std::size_t record = reader.geometry().record_size;
  Bytes mirror = read_whole(volume, reader, u"$MFTMirr", "$MFTMirr");
  const FileInfo mft = find(reader, u"$MFT", "$MFT");
  demand(mirror.size() >= 4 * record && mirror.size() % record == 0 && !mft.ranges.empty() &&
             mirror.size() <= mft.ranges.front().length,
         "$MFTMirr has another size than it must have");
  Bytes records(mirror.size());
  volume.read(mft.ranges.front().offset, records);
  for (std::size_t at = 0; at < mirror.size(); at += record) {
    const std::string which = std::to_string(at / record);
    const MutableByteView copy = MutableByteView(mirror).subspan(at, record);
    const MutableByteView original = MutableByteView(records).subspan(at, record);
    try {
      forget_sequence(copy);
      forget_sequence(original);
    } catch (const FormatError& error) {
      throw Inconsistency("record " + which + " of $MFTMirr or of $MFT: " + error.what());
    }
    demand(std::ranges::equal(copy, original),
           "record " + which + " of $MFTMirr differs from that of $MFT");
  }
}

void check_upcase(const block::ReadableDevice& volume, VolumeReader& reader,
                  const std::vector<char16_t>& expected) {
  const Bytes table = read_whole(volume, reader, u"$UpCase", "$UpCase");
  ByteReader units(table);
  const bool same =
      table.size() == 2 * expected.size() &&
      std::ranges::all_of(expected, [&](char16_t unit) { return units.u16() == unit; });
  demand(same, "$UpCase is not the table of upper case letters that was written");
}

void check_definitions(const block::ReadableDevice& volume, VolumeReader& reader) {
  const Bytes table = read_whole(volume, reader, u"$AttrDef", "$AttrDef");
  std::set<std::uint32_t> types;
  std::uint32_t before = 0;
  for (std::size_t at = 0; at + kDefinition <= table.size(); at += kDefinition) {
    ByteReader entry(ByteView(table).subspan(at + kDefinitionType));
    const std::uint32_t type = entry.u32();
    if (type == 0) break;
    demand(type > before, "$AttrDef does not define the attributes in their order");
    types.insert(before = type);
  }
  for (const std::uint32_t needed : {kStandardInformation, kAttributeList, kFileName, kData,
                                     kIndexRoot, kIndexAllocation, kBitmap}) {
    demand(types.contains(needed), "$AttrDef does not define every attribute");
  }
}

void check_log(const block::ReadableDevice& volume, VolumeReader& reader) {
  bool used = false;
  bool first = true;
  look_through(volume, find(reader, u"$LogFile", "$LogFile"), [&](ByteView piece) {
    if (std::exchange(first, false)) used = as_text(piece).starts_with("RSTR");
    demand(
        used || std::ranges::all_of(piece, [](std::byte byte) { return byte == std::byte{0xFF}; }),
        "$LogFile is not empty");
  });
}

void check_security(const StoredAttribute& descriptors, const Index& by_id,
                    const std::set<std::uint32_t>& named, library::Storage& volume,
                    const Geometry& geometry) {
  try {
    const Bytes stream = descriptors.read_all(volume, geometry.cluster_size);
    std::set<std::uint32_t> found;
    walk_index(by_id, volume, geometry, {}, [&](const RawIndexEntry& entry) {
      ByteReader data(entry.data);
      const std::uint32_t hash = data.u32();
      const std::uint32_t id = data.u32();
      const std::uint64_t offset = data.u64();
      const std::uint64_t length = data.u32();
      const std::uint64_t copy = offset + kCopyDistance;
      if (length <= kDescriptorHeader || length > kCopyDistance || offset > stream.size() ||
          copy + length > stream.size()) {
        throw FormatError("permissions are said to be where there are none");
      }
      const ByteView kept = ByteView(stream).subspan(offset, length);
      if (!std::ranges::equal(kept.first(kDescriptorHeader), entry.data.first(kDescriptorHeader)) ||
          hash_of_descriptor(kept.subspan(kDescriptorHeader)) != hash ||
          !std::ranges::equal(kept, ByteView(stream).subspan(copy, length))) {
        throw FormatError("the permissions with number " + std::to_string(id) +
                          " are not as they were written");
      }
      found.insert(id);
    });
    for (const std::uint32_t id : named) {
      if (id != 0 && !found.contains(id)) {
        throw FormatError("a file has the permissions with number " + std::to_string(id) +
                          ", which there are not");
      }
    }
  } catch (const FormatError& error) {
    throw Inconsistency(std::string("$Secure: ") + error.what());
  }
}

}  // namespace driveprep::ntfs::check
