#include "drive/ntfs/writer_session.h"

#include <algorithm>
#include <utility>

#include "drive/ntfs/file_layout.h"

namespace driveprep::ntfs {
namespace {

constexpr std::u16string_view kReservedDirectory = u"System Volume Information";
// The library moves its search position this far after every allocation without a hint.
constexpr LCN kLibrarySkip = 4096;
// Clusters kept for the library beyond what records need, so that it never meets a full volume.
constexpr std::uint64_t kSpareClusters = 32;

}  // namespace

std::uint64_t WriterSession::Bitmap::total_clusters() const {
  return static_cast<std::uint64_t>(mount_.volume()->nr_clusters);
}

std::uint64_t WriterSession::Bitmap::free_clusters() const {
  return static_cast<std::uint64_t>(std::max<s64>(mount_.volume()->free_clusters, 0));
}

void WriterSession::Bitmap::read(std::uint64_t first_byte, MutableByteView out) {
  const auto length = static_cast<s64>(out.size());
  if (ntfs_attr_pread(mount_.volume()->lcnbmp_na, static_cast<s64>(first_byte), length,
                      out.data()) != length) {
    mount_.fail("read $Bitmap");
  }
}

void WriterSession::Bitmap::mark(std::uint64_t first, std::uint64_t count, bool used) {
  ntfs_volume* volume = mount_.volume();
  // Cut at the edges of cache blocks: whole blocks of one value cost no memory there.
  constexpr std::uint64_t kBits = BlockCache::kBlock * 8;
  const std::uint64_t head = std::min(count, round_up(first, kBits) - first);
  for (const ClusterRun part : {ClusterRun{first, head}, ClusterRun{first + head, count - head}}) {
    if (part.count == 0) continue;
    const auto start = static_cast<s64>(part.first);
    const auto length = static_cast<s64>(part.count);
    const int failed = used ? ntfs_bitmap_set_run(volume->lcnbmp_na, start, length)
                            : ntfs_bitmap_clear_run(volume->lcnbmp_na, start, length);
    if (failed != 0) mount_.fail("change $Bitmap");
    volume->free_clusters += used ? -length : length;
  }
}

// The library may write while it unmounts; it writes into the cache, which is dropped.
WriterSession::~WriterSession() {
  while (open_.size() > 1) {
    ntfs_inode* inode = open_.back().inode;
    open_.pop_back();
    if (inode != nullptr && open_.back().inode != nullptr) {
      ntfs_inode_close_in_dir(inode, open_.back().inode);
    } else if (inode != nullptr) {
      ntfs_inode_close(inode);
    }
  }
  if (!open_.empty() && open_[0].inode != nullptr) ntfs_inode_close(open_[0].inode);
}

// Index blocks lie one behind the other, not 4096 clusters apart. The library takes the longest
// free run it sees in 32768 clusters, so one of them may land outside the zone; that moves the
// position only when the zone has nothing left.
void WriterSession::pack_indexes() {
  ntfs_volume* v = volume();
  if (v->data1_zone_pos == index_position_) return;
  const LCN end_of_last = v->data1_zone_pos - kLibrarySkip;
  if (end_of_last > index_position_) {
    const auto at = static_cast<std::uint64_t>(index_position_);
    const LCN left = std::min<LCN>(index_zone_end_ - index_position_, 8 * kLibrarySkip);
    if (end_of_last <= index_zone_end_ || left <= 0 ||
        !has_free({at, static_cast<std::uint64_t>(left)})) {
      index_position_ = end_of_last;
    }
  }
  v->data1_zone_pos = index_position_;
}

bool WriterSession::add_file(const NewFile& file) {
  OpenDirectory& directory = open_.back();
  if (entries_.empty() && !directory.has_entries) {
    directory.has_entries = !has_no_entries(mount_, directory.inode);
  }
  const auto [number, record] = records_->next();
  const RecordPlace place{number, directory.reference, le32_to_cpu(file_security_),
                          geometry_.cluster_size};
  const Bytes key = file_name_value(file, place);
  if (!build_file_record(file, place, key, record)) {
    records_->cancel();
    return false;
  }
  const std::uint64_t reference = first_reference(number);
  if (directory.has_entries) {
    insert_entry(mount_, directory.inode, reference, key);
    pack_indexes();
  } else if (!entries_.add(reference, file.name, key)) {
    errno = EEXIST;
    mount_.fail("create " + library::printable(file.name));
  }
  ++files_created_;
  if (cache_.waiting_bytes() >= DataSink::kBufferBytes) write_ahead();
  return true;
}

void WriterSession::settle_entries() {
  if (entries_.empty()) return;
  allocator_->look_ahead();
  entries_.write_to(mount_, current(),
                    [this](std::uint64_t clusters) { return clusters_for_index(clusters); });
  open_.back().has_entries = true;
  pack_indexes();
}

void WriterSession::settle_files() {
  settle_entries();
  records_->commit();
}

library::Inode WriterSession::create(std::u16string_view name, bool directory) {
  require(!name.empty() && name.size() <= 255, "a name has no or more than 255 UTF-16 units");
  allocator_->look_ahead();
  const library::LibraryName units(name);
  library::Inode inode(ntfs_create(current(), directory ? directory_security_ : file_security_,
                                   units.data(), units.length(), directory ? S_IFDIR : S_IFREG));
  if (!inode) mount_.fail("create " + library::printable(name));
  open_.back().has_entries = true;
  ++(directory ? directories_created_ : files_created_);
  return inode;
}

library::Inode WriterSession::open(std::u16string_view name) {
  errno = 0;
  const MFT_REF reference = library::look_up(current(), name);
  if (reference == 0) {
    if (errno != ENOENT) mount_.fail("look up " + library::printable(name));
    return nullptr;
  }
  library::Inode inode(ntfs_inode_open(volume(), reference));
  if (!inode) mount_.fail("open " + library::printable(name));
  return inode;
}

// Always with the parent at hand: the plain close opens the parent a second time, from the device.
void WriterSession::close_in_current(library::Inode inode, std::u16string_view name) {
  if (ntfs_inode_close_in_dir(inode.release(), current()) != 0) {
    mount_.fail("close " + library::printable(name));
  }
  pack_indexes();
}

void WriterSession::hide(ntfs_inode* inode) {
  inode->flags = static_cast<FILE_ATTR_FLAGS>(inode->flags | FILE_ATTR_HIDDEN | FILE_ATTR_SYSTEM);
  NInoFileNameSetDirty(inode);
  ntfs_inode_mark_dirty(inode);
}

void WriterSession::give_to_data(ByteRange range) {
  cache_.forget(range);
  data_ranges_.add(range);
}

void WriterSession::enter_directory(std::u16string_view name) {
  settle_files();
  library::Inode inode = open(name);
  if (!inode) {
    inode = create(name, true);
    pack_indexes();
  } else if (!library::is_directory(inode.get())) {
    throw Error(ErrorKind::kInternal, "name-not-directory",
                library::printable(name) + " on " + mount_.name() + " is a file, not a directory",
                "Prepare the drive again from the start.");
  }
  const MFT_REF reference = MK_MREF(inode->mft_no, inode->mrec->sequence_number);
  open_.push_back({reference, inode.release()});
}

void WriterSession::leave_directory(const std::optional<FileTimes>& times) {
  require(depth() != 0, "the root directory cannot be left");
  settle_entries();
  if (times) library::set_times(mount_, current(), *times);
  ntfs_inode* inode = open_.back().inode;
  open_.pop_back();
  if (ntfs_inode_close_in_dir(inode, current()) != 0) mount_.fail("close a directory");
  pack_indexes();
}

void WriterSession::close_directories() {
  for (std::size_t i = open_.size(); i-- > 0;) {
    ntfs_inode* inode = std::exchange(open_[i].inode, nullptr);
    const int failed =
        i == 0 ? ntfs_inode_close(inode) : ntfs_inode_close_in_dir(inode, open_[i - 1].inode);
    if (failed != 0) mount_.fail("write out a directory");
  }
}

void WriterSession::reopen_directories() {
  for (OpenDirectory& directory : open_) {
    directory.inode = ntfs_inode_open(volume(), directory.reference);
    if (directory.inode == nullptr) mount_.fail("open a directory again");
  }
}

bool WriterSession::has_room(std::uint64_t bytes) const {
  // What $MFT still has to grow for the plan. Its zone counts as free until then.
  const auto held = static_cast<std::uint64_t>(volume()->mft_na->allocated_size);
  const std::uint64_t needed = planned_records_ * geometry_.record_size;
  const std::uint64_t growth = needed > held ? clusters_for(needed - held) : 0;
  return clusters_for(bytes) + kSpareClusters + std::min(growth, bitmap_.total_clusters() / 8) <=
         allocator_->available();
}

std::vector<ClusterRun> WriterSession::take(std::uint64_t clusters) {
  std::vector<ClusterRun> runs = allocator_->take(clusters);
  for (const ClusterRun& run : runs) give_to_data(bytes_of(run));
  return runs;
}

void WriterSession::release(std::span<const ByteRange> ranges) {
  for (const ByteRange& range : ranges) {
    data_ranges_.remove(range);
    allocator_->release(
        {range.offset / geometry_.cluster_size, range.length / geometry_.cluster_size});
  }
}

void WriterSession::write_small(std::u16string_view name, const FileTimes& times,
                                ByteView content) {
  allocator_->look_ahead();
  NewFile file;
  file.name = name;
  file.times = times;
  file.record_changed = FileTime::now();
  file.size = file.valid_length = content.size();
  if (content.size() <= resident_capacity(geometry_.record_size, name.size())) {
    file.content = content;
    require(add_file(file), "the content of a small file does not fit into its record");
    return;
  }
  const std::vector<ClusterRun> runs = take(clusters_for(content.size()));
  require(!runs.empty(), "clusters that were counted as free were not found");
  file.runs = runs;
  if (!add_file(file)) add_scattered_file(file);
  packer_.add(runs, content);
}

// Its list of clusters takes more than one record; the library knows how to chain them.
void WriterSession::add_scattered_file(const NewFile& file) {
  settle_files();
  library::Inode inode = create(file.name, false);
  std::vector<ByteRange> ranges;
  for (const ClusterRun& run : file.runs) ranges.push_back(bytes_of(run));
  library::assign_ranges(mount_, inode.get(), file.size, ranges, file.valid_length);
  library::set_times(mount_, inode.get(), file.times);
  close_in_current(std::move(inode), file.name);
}

void WriterSession::write_file(std::u16string_view name, const FileTimes& times, std::uint64_t size,
                               std::span<const ByteRange> ranges, std::uint64_t valid_length) {
  const std::uint64_t cluster = geometry_.cluster_size;
  std::uint64_t total = 0;
  std::vector<ClusterRun> runs;
  for (const ByteRange& range : ranges) {
    require(range.offset % cluster == 0 && range.length != 0 && range.length % cluster == 0,
            "a range of a file is not whole clusters");
    runs.push_back({range.offset / cluster, range.length / cluster});
    total += range.length;
  }
  require(total == clusters_for(size) * cluster && valid_length <= size,
          "the ranges of a file do not fit its size");
  allocator_->look_ahead();
  NewFile file;
  file.name = name;
  file.times = times;
  file.record_changed = FileTime::now();
  file.size = size;
  file.valid_length = valid_length;
  file.runs = runs;
  if (!add_file(file)) add_scattered_file(file);
}

void WriterSession::set_valid_length(std::u16string_view name, std::uint64_t valid_length,
                                     const FileTimes& times) {
  settle_files();
  library::Inode inode = open(name);
  if (!inode) internal_error("no file " + library::printable(name) + " to change");
  library::change_valid_length(mount_, inode.get(), valid_length);
  library::set_times(mount_, inode.get(), times);
  close_in_current(std::move(inode), name);
}

std::optional<ExistingFile> WriterSession::find(std::u16string_view name) {
  // All entries of the directory are at hand as long as none has been settled.
  if (!entries_.empty() && !entries_.contains(name)) return std::nullopt;
  settle_files();
  const library::Inode inode = open(name);
  if (!inode) return std::nullopt;
  FileInfo info = library::read_info(mount_, inode.get(), library::Content::kSkip);
  return ExistingFile{info.is_directory(), info.size, info.valid_length, info.times,
                      std::move(info.ranges)};
}

void WriterSession::remove(std::u16string_view name) {
  settle_files();
  library::Inode inode = open(name);
  if (!inode) internal_error("no file " + library::printable(name) + " to remove");
  require(!library::is_directory(inode.get()), "a directory is not removed");
  const MFT_REF reference = MK_MREF(inode->mft_no, inode->mrec->sequence_number);
  const FileInfo info = library::read_info(mount_, inode.get(), library::Content::kSkip);
  inode.reset();

  // The library closes the directory itself, and for that opens its parent: all must be closed.
  close_directories();
  ntfs_inode* directory = ntfs_inode_open(volume(), open_.back().reference);
  if (directory == nullptr) mount_.fail("open a directory again");
  ntfs_inode* doomed = ntfs_inode_open(volume(), reference);
  if (doomed == nullptr) mount_.fail("open " + library::printable(name));
  const library::LibraryName units(name);
  if (ntfs_delete(volume(), nullptr, doomed, directory, units.data(), units.length()) != 0) {
    mount_.fail("remove " + library::printable(name));
  }
  reopen_directories();
  // Not before the next checkpoint: until then the device's $MFT still owns these clusters.
  for (const ByteRange& range : info.ranges) {
    bitmap_.mark(range.offset / geometry_.cluster_size, range.length / geometry_.cluster_size,
                 true);
  }
  release(info.ranges);
  pack_indexes();
}

ByteRange WriterSession::mark_reserved(const ReservedFile& file, bool exists) {
  const std::uint64_t cluster = geometry_.cluster_size;
  const std::uint64_t first = file.range.offset / cluster;
  const ClusterRun run{first, (file.range.end() + cluster - 1) / cluster - first};
  const auto refuse = [&](const char* why) {
    throw Error(ErrorKind::kInternal, "reserved-range",
                library::printable(file.name) + " at byte " + std::to_string(file.range.offset) +
                    " of " + mount_.name() + " " + why,
                "Prepare the drive again from the start.");
  };
  if (run.count == 0 || run.end() > bitmap_.total_clusters()) refuse("is not inside the volume");
  if (exists) {
    if (find(file.name)->ranges != std::vector{bytes_of(run)}) {
      refuse("is already there in another place");
    }
    data_ranges_.add(bytes_of(run));
    return bytes_of(run);
  }
  if (count_free(run) != run.count) refuse("lies in clusters that are in use");
  bitmap_.mark(run.first, run.count, true);
  give_to_data(bytes_of(run));
  return bytes_of(run);
}

void WriterSession::reserve(std::span<const ReservedFile> files) {
  settle_files();
  require(depth() == 0, "ranges are reserved from the root directory");
  allocator_->settle();
  const bool resumed = open(kReservedDirectory) != nullptr;
  // All ranges are taken before the library allocates anything of its own.
  std::vector<std::pair<const ReservedFile*, ByteRange>> missing;
  if (resumed) enter_directory(kReservedDirectory);
  for (const ReservedFile& file : files) {
    const bool exists = resumed && find(file.name).has_value();
    const ByteRange whole = mark_reserved(file, exists);
    if (!exists) missing.emplace_back(&file, whole);
  }
  if (!resumed) {
    enter_directory(kReservedDirectory);
    hide(current());
  }
  for (const auto& [file, whole] : missing) {
    library::Inode inode = create(file->name, false);
    const std::uint64_t size = file->range.end() - whole.offset;
    library::assign_ranges(mount_, inode.get(), size, std::span(&whole, 1), size);
    hide(inode.get());
    close_in_current(std::move(inode), file->name);
  }
  leave_directory(std::nullopt);
}

void WriterSession::sync(ntfs_inode* inode, const char* what) {
  if (inode != nullptr && ntfs_inode_sync(inode) != 0) {
    mount_.fail(std::string("write out ") + what);
  }
}

void WriterSession::write_ahead() {
  cache_.write_ahead(data_ranges_, sink_);
  if (cache_.ahead_bytes() < most_ahead_) return;
  sink_.wait();
  cache_.settle_ahead();
}

void WriterSession::flush_data() {
  packer_.flush();
  records_->commit();
  write_ahead();
}

void WriterSession::flush_metadata(bool mark_dirty) {
  settle_files();
  allocator_->settle();
  close_directories();
  ntfs_volume* v = volume();
  const le16 flags =
      static_cast<le16>(mark_dirty ? v->flags | VOLUME_IS_DIRTY : v->flags & ~VOLUME_IS_DIRTY);
  if (flags != v->flags && ntfs_volume_write_flags(v, flags) != 0) {
    mount_.fail("change the volume's dirty mark");
  }
  sync(v->secure_ni, "$Secure");
  sync(v->lcnbmp_ni, "$Bitmap");
  sync(v->mftmirr_ni, "$MFTMirr");
  sync(v->mft_ni, "$MFT");
  mount_.check();
  cache_.flush(data_ranges_);
  reopen_directories();
}

std::uint64_t WriterSession::records_used() const {
  return static_cast<std::uint64_t>(mount_.volume()->mft_na->initialized_size) /
         geometry_.record_size;
}

}  // namespace driveprep::ntfs
