#include "drive/ntfs/file_layout.h"

#include <algorithm>
#include <array>

namespace driveprep::ntfs::library {
namespace {

Attribute open_data(Mount& mount, ntfs_inode* inode) {
  Attribute data(ntfs_attr_open(inode, AT_DATA, AT_UNNAMED, 0));
  if (!data) mount.fail("open the data of record " + std::to_string(inode->mft_no));
  return data;
}

// Replaces the run list in memory; returns the bytes it covers.
std::uint64_t set_runs(Mount& mount, ntfs_attr* attribute, std::span<const ByteRange> ranges) {
  const std::uint64_t cluster = mount.volume()->cluster_size;
  // The library owns and may reallocate the list, in blocks of 4096 bytes.
  const std::size_t bytes = round_up((ranges.size() + 1) * sizeof(runlist_element), 4096);
  auto* runs = static_cast<runlist_element*>(std::calloc(1, bytes));
  if (runs == nullptr) throw std::bad_alloc();
  VCN vcn = 0;
  std::size_t count = 0;
  for (const ByteRange& range : ranges) {
    runs[count++] = {vcn, static_cast<LCN>(range.offset / cluster),
                     static_cast<s64>(range.length / cluster)};
    vcn += static_cast<s64>(range.length / cluster);
  }
  runs[count] = {vcn, LCN_ENOENT, 0};
  std::free(attribute->rl);
  attribute->rl = runs;
  attribute->allocated_size = vcn * static_cast<s64>(cluster);
  return static_cast<std::uint64_t>(attribute->allocated_size);
}

// Puts the run list into the record.
void record_runs(Mount& mount, ntfs_attr* attribute) {
  NAttrSetFullyMapped(attribute);
  NAttrSetRunlistDirty(attribute);
  if (ntfs_attr_update_mapping_pairs(attribute, 0) != 0) {
    mount.fail("record the clusters of record " + std::to_string(attribute->ni->mft_no));
  }
}

}  // namespace

void set_sizes(Mount& mount, ntfs_attr* attribute, std::uint64_t allocated, std::uint64_t size,
               std::uint64_t valid_length) {
  const std::string whose = " of record " + std::to_string(attribute->ni->mft_no);
  // The first extent of the attribute holds its sizes.
  Search search(ntfs_attr_get_search_ctx(attribute->ni, nullptr));
  if (!search || ntfs_attr_lookup(attribute->type, attribute->name, attribute->name_len,
                                  CASE_SENSITIVE, 0, nullptr, 0, search.get()) != 0) {
    mount.fail("find an attribute" + whose);
  }
  ATTR_RECORD* record = search->attr;
  require(record->non_resident != 0, "an attribute with clusters is resident");
  require((record->flags & (ATTR_IS_COMPRESSED | ATTR_IS_ENCRYPTED | ATTR_IS_SPARSE)) == 0 &&
              record->compression_unit == 0,
          "a file was created compressed, encrypted or sparse");
  // The library leaves there what the record held before; sleuthkit takes it for a compression unit.
  std::ranges::fill(record->reserved1, u8{0});
  record->allocated_size = static_cast<sle64>(allocated);
  record->data_size = static_cast<sle64>(size);
  record->initialized_size = static_cast<sle64>(valid_length);
  attribute->allocated_size = static_cast<s64>(allocated);
  attribute->data_size = static_cast<s64>(size);
  attribute->initialized_size = static_cast<s64>(valid_length);
  ntfs_inode_mark_dirty(search->ntfs_ino);
}

std::vector<Run> read_runs(Mount& mount, ntfs_attr* attribute) {
  std::vector<Run> runs;
  if (!NAttrNonResident(attribute)) return runs;
  if (ntfs_attr_map_whole_runlist(attribute) != 0) {
    mount.fail("read the clusters of record " + std::to_string(attribute->ni->mft_no));
  }
  const std::uint64_t cluster = mount.volume()->cluster_size;
  const runlist_element* element = attribute->rl;
  for (; element != nullptr && element->length != 0; ++element) {
    Run run;
    run.length = static_cast<std::uint64_t>(element->length) * cluster;
    if (element->lcn >= 0) run.offset = static_cast<std::uint64_t>(element->lcn) * cluster;
    if (!runs.empty()) {
      Run& last = runs.back();
      const bool goes_on = last.offset && run.offset ? *last.offset + last.length == *run.offset
                                                     : !last.offset && !run.offset;
      if (goes_on) {
        last.length += run.length;
        continue;
      }
    }
    runs.push_back(run);
  }
  return runs;
}

std::vector<ByteRange> read_ranges(Mount& mount, ntfs_attr* attribute) {
  std::vector<ByteRange> ranges;
  for (const Run& run : read_runs(mount, attribute)) {
    if (!run.offset) {
      throw Error(ErrorKind::kVerification, "file-layout",
                  "record " + std::to_string(attribute->ni->mft_no) + " on " + mount.name() +
                      " has a hole in its data",
                  "Prepare the drive again.");
    }
    ranges.push_back({*run.offset, run.length});
  }
  return ranges;
}

FileInfo read_info(Mount& mount, ntfs_inode* inode, Content content) {
  FileInfo info;
  info.record = inode->mft_no;
  info.attributes = inode->flags;
  info.times = {{inode->creation_time}, {inode->last_data_change_time}, {inode->last_access_time}};
  if (is_directory(inode)) {
    info.attributes |= kAttributeDirectory;
    return info;
  }
  const Attribute data = open_data(mount, inode);
  if (NAttrCompressed(data.get()) || NAttrEncrypted(data.get()) || NAttrSparse(data.get())) {
    throw Error(ErrorKind::kVerification, "file-layout",
                "record " + std::to_string(inode->mft_no) + " on " + mount.name() +
                    " is compressed, encrypted or sparse",
                "Prepare the drive again.");
  }
  info.size = static_cast<std::uint64_t>(data->data_size);
  info.valid_length = static_cast<std::uint64_t>(data->initialized_size);
  if (NAttrNonResident(data.get())) {
    info.ranges = read_ranges(mount, data.get());
    return info;
  }
  info.resident = true;
  info.valid_length = info.size;
  if (content == Content::kRead && info.size != 0) {
    require(info.size <= mount.volume()->mft_record_size, "resident data exceeds its record");
    info.content.resize(info.size);
    if (ntfs_attr_pread(data.get(), 0, static_cast<s64>(info.size), info.content.data()) !=
        static_cast<s64>(info.size)) {
      mount.fail("read the data of record " + std::to_string(inode->mft_no));
    }
  }
  return info;
}

void assign_clusters(Mount& mount, ntfs_attr* attribute, std::span<const ByteRange> ranges,
                     std::uint64_t size, std::uint64_t valid_length) {
  const std::uint64_t allocated = set_runs(mount, attribute, ranges);
  attribute->data_size = static_cast<s64>(size);
  attribute->initialized_size = static_cast<s64>(valid_length);
  NAttrSetNonResident(attribute);
  record_runs(mount, attribute);
  set_sizes(mount, attribute, allocated, size, valid_length);
}

void assign_ranges(Mount& mount, ntfs_inode* inode, std::uint64_t size,
                   std::span<const ByteRange> ranges, std::uint64_t valid_length) {
  const Attribute data = open_data(mount, inode);
  if (ntfs_attr_force_non_resident(data.get()) != 0) {
    mount.fail("move the data of record " + std::to_string(inode->mft_no) + " out of its record");
  }
  assign_clusters(mount, data.get(), ranges, size, valid_length);

  // What the directory's index shows.
  inode->data_size = data->data_size;
  inode->allocated_size = data->allocated_size;
  set_nino_flag(inode, KnownSize);
  NInoFileNameSetDirty(inode);
  ntfs_inode_mark_dirty(inode);
}

void extend_allocation(Mount& mount, ntfs_attr* attribute, ByteRange range) {
  std::vector<ByteRange> ranges = read_ranges(mount, attribute);
  if (!ranges.empty() && ranges.back().end() == range.offset) {
    ranges.back().length += range.length;
  } else {
    ranges.push_back(range);
  }
  const std::uint64_t allocated = set_runs(mount, attribute, ranges);
  record_runs(mount, attribute);
  set_sizes(mount, attribute, allocated, static_cast<std::uint64_t>(attribute->data_size),
            static_cast<std::uint64_t>(attribute->initialized_size));
}

void change_valid_length(Mount& mount, ntfs_inode* inode, std::uint64_t valid_length) {
  const Attribute data = open_data(mount, inode);
  require(NAttrNonResident(data.get()), "the valid length of a resident file does not change");
  const auto size = static_cast<std::uint64_t>(data->data_size);
  require(valid_length <= size, "more of a file is valid than it has bytes");
  set_sizes(mount, data.get(), static_cast<std::uint64_t>(data->allocated_size), size,
            valid_length);
}

void set_times(Mount& mount, ntfs_inode* inode, const FileTimes& times) {
  const std::array<std::uint64_t, 3> ticks = {times.creation.ticks, times.modification.ticks,
                                              times.access.ticks};
  char raw[sizeof ticks];
  std::memcpy(raw, ticks.data(), sizeof raw);
  if (ntfs_inode_set_times(inode, raw, sizeof raw, 0) != 0) {
    mount.fail("set the times of record " + std::to_string(inode->mft_no));
  }
}

}  // namespace driveprep::ntfs::library
