// Records built whole, against the same records made by libntfs-3g.
#include <catch2/catch.hpp>

#include "drive/ntfs/file_layout.h"
#include "drive/ntfs/file_record.h"
#include "tests/unit/ntfs/volume_fixture.h"

using namespace driveprep;
using namespace driveprep::ntfs;
using namespace driveprep::ntfs::test;

namespace {

class DeviceStorage : public library::Storage {
 public:
  explicit DeviceStorage(block::MemoryDevice& device) : device_(device) {}
  std::uint64_t size() const override { return device_.size(); }
  void read(std::uint64_t offset, MutableByteView out) override {
    const Bytes around = surroundings(offset, out.size());
    std::ranges::copy(ByteView(around).subspan(offset % kSector, out.size()), out.begin());
  }
  void write(std::uint64_t offset, ByteView data) override {
    Bytes around = surroundings(offset, data.size());
    std::ranges::copy(data, around.begin() + static_cast<std::ptrdiff_t>(offset % kSector));
    device_.write(round_down(offset, kSector), around);
  }

 private:
  static constexpr std::uint64_t kSector = 4096;
  Bytes surroundings(std::uint64_t offset, std::size_t length) const {
    const std::uint64_t begin = round_down(offset, kSector);
    Bytes bytes(round_up(offset + length, kSector) - begin);
    device_.read(begin, bytes);
    return bytes;
  }
  block::MemoryDevice& device_;
};

// Makes files the library's way and reads their records back.
class Peer {
 public:
  explicit Peer(SectorSize sector) : device_(64 * kMiB, sector), storage_(device_) {
    const FormattedVolume formatted = format_volume({device_.size(), sector, Lba{2048}, "T", {}});
    formatted.copy_to(device_);
    geometry_ = formatted.geometry();
    mount_.emplace(storage_, "peer", library::Access::kReadWrite);
    root_ = ntfs_inode_open(mount_->volume(), FILE_root);
    REQUIRE(root_ != nullptr);
    SECURITY_CONTEXT context{};
    context.vol = mount_->volume();
    security_ = ntfs_inherited_id(&context, root_, FALSE);
  }
  ~Peer() { ntfs_inode_close(root_); }

  const Geometry& geometry() const { return geometry_; }

  struct Made {
    RecordPlace place;
    FileTime changed;
    Bytes record;
    Bytes entry;  // its $FILE_NAME in the index of the directory
  };
  Made make(const NewFile& file) {
    const library::LibraryName units(file.name);
    library::Inode inode(
        ntfs_create(root_, security_, units.data(), units.length(), S_IFREG));
    REQUIRE(inode);
    if (file.runs.empty()) {
      const library::Attribute data(ntfs_attr_open(inode.get(), AT_DATA, AT_UNNAMED, 0));
      const auto size = static_cast<s64>(file.size);
      REQUIRE(ntfs_attr_pwrite(data.get(), 0, size, file.content.data()) == size);
      // What the directory shows: the library would say 0 of a file inside its record.
      inode->data_size = size;
      set_nino_flag(inode.get(), KnownSize);
      NInoFileNameSetDirty(inode.get());
      ntfs_inode_mark_dirty(inode.get());
    } else {
      std::vector<ByteRange> ranges;
      for (const ClusterRun& run : file.runs) {
        ranges.push_back({run.first * geometry_.cluster_size, run.count * geometry_.cluster_size});
      }
      library::assign_ranges(*mount_, inode.get(), file.size, ranges, file.valid_length);
    }
    library::set_times(*mount_, inode.get(), file.times);
    Made made;
    made.place = {inode->mft_no, MK_MREF(root_->mft_no, root_->mrec->sequence_number),
                  le32_to_cpu(security_), geometry_.cluster_size};
    made.changed = {inode->last_mft_change_time};
    REQUIRE(ntfs_inode_close_in_dir(inode.release(), root_) == 0);
    made.record.resize(geometry_.record_size);
    const auto at = static_cast<s64>(made.place.number * geometry_.record_size);
    REQUIRE(ntfs_attr_mst_pread(mount_->volume()->mft_na, at, 1, geometry_.record_size,
                                made.record.data()) == 1);
    made.entry = entry_of(file);
    return made;
  }

 private:
  Bytes entry_of(const NewFile& file) {
    Bytes key = file_name_value(file, {});
    ntfs_index_context* index = ntfs_index_ctx_get(root_, NTFS_INDEX_I30, 4);
    REQUIRE(ntfs_index_lookup(key.data(), static_cast<int>(key.size()), index) == 0);
    const auto* found = static_cast<const std::byte*>(index->data);
    Bytes entry(found, found + index->data_len);
    ntfs_index_ctx_put(index);
    return entry;
  }

  block::MemoryDevice device_;
  DeviceStorage storage_;
  Geometry geometry_;
  std::optional<library::Mount> mount_;
  ntfs_inode* root_ = nullptr;
  le32 security_ = 0;
};

// Where the library leaves a 0 in the record, though not in the index: the size beside the name.
void set_size_beside_name(Bytes& record, std::uint64_t size) {
  ByteReader attributes(record);
  attributes.skip(20);
  std::size_t at = attributes.u16();
  for (;;) {
    ByteReader attribute(ByteView(record).subspan(at));
    const std::uint32_t type = attribute.u32();
    const std::uint32_t length = attribute.u32();
    if (type == 0x30) break;
    REQUIRE(type < 0x30);
    at += length;
  }
  const Bytes value = ByteWriter().u64(size).take();
  std::ranges::copy(value, record.begin() + static_cast<std::ptrdiff_t>(at + 24 + 48));
}

// Without what has no meaning: the update sequence, which a write to the device fills in, and the
// `padding` bytes between the content and the end mark.
Bytes comparable(Bytes record, std::size_t padding) {
  ByteReader header(record);
  header.skip(4);
  const std::size_t sequence = header.u16();
  const std::size_t count = header.u16();
  std::fill_n(record.begin() + static_cast<std::ptrdiff_t>(sequence), 2 * count, std::byte{0});
  header.skip(16);
  record.resize(header.u32());
  record.resize(record.size() - 4);  // behind the end mark
  std::fill_n(record.end() - 4 - static_cast<std::ptrdiff_t>(padding), padding, std::byte{0});
  return record;
}

}  // namespace

TEST_CASE("a record built whole is the library's, byte for byte") {
  const SectorSize sector(GENERATE(512, 4096));
  Peer peer(sector);
  const std::uint32_t cluster = peer.geometry().cluster_size;
  const std::vector<ClusterRun> one = {{5000, 3}};
  const std::vector<ClusterRun> many = {{9000, 1}, {200, 127}, {201'000, 128}, {10, 300}, {8000, 1}};
  const Bytes content = content_of(peer.geometry().record_size, 5);

  struct Case {
    std::u16string name;
    std::uint64_t resident = 0;  // bytes of content inside the record
    std::vector<ClusterRun> runs;
    std::uint64_t missing = 0;   // bytes of the last cluster that the file does not fill
  };
  const std::size_t most = resident_capacity(peer.geometry().record_size, 5);
  const std::vector<Case> cases = {
      {u"e", 0, {}, 0},
      {u"one byte", 1, {}, 0},
      {u"eight", 8, {}, 0},
      {u"odd-1", most - 3, {}, 0},
      {u"large", most / 8 * 8, {}, 0},
      {u"clusters", 0, one, 0},
      {u"clusters, not full", 0, one, 4095},
      {u"many runs", 0, many, 1},
      {std::u16string(60, u'\u0416'), 0, one, 1},
      {u"\U0001F422 turtle", 20, {}, 0},
  };
  for (const Case& c : cases) {
    NewFile file;
    file.name = c.name;
    file.times = times_of(7);
    std::uint64_t clusters = 0;
    for (const ClusterRun& run : c.runs) clusters += run.count;
    file.size = c.runs.empty() ? c.resident : clusters * cluster - c.missing;
    file.valid_length = file.size;
    if (c.runs.empty()) file.content = ByteView(content).first(c.resident);
    file.runs = c.runs;
    Peer::Made theirs = peer.make(file);
    set_size_beside_name(theirs.record, file.size);
    file.record_changed = theirs.changed;
    Bytes ours(peer.geometry().record_size);
    const Bytes name = file_name_value(file, theirs.place);
    REQUIRE(build_file_record(file, theirs.place, name, ours));
    INFO("file of " << file.size << " bytes, name of " << c.name.size() << " units");
    const std::size_t padding = round_up(c.resident, 8) - c.resident;
    CHECK(name == theirs.entry);
    CHECK(comparable(ours, padding) == comparable(theirs.record, padding));
  }
}

TEST_CASE("what does not fit into a record is refused, to the byte") {
  const std::size_t record_size = GENERATE(1024, 4096);
  const std::u16string name(GENERATE(1, 17, 255), u'n');
  const RecordPlace place{70, first_reference(5), 260, 4096};
  const std::size_t most = resident_capacity(record_size, name.size());
  const Bytes content(most + 1);
  NewFile file;
  file.name = name;
  for (const std::size_t size : {most, most + 1}) {
    file.size = size;
    file.content = ByteView(content).first(size);
    Bytes record(record_size);
    const bool fits = build_file_record(file, place, file_name_value(file, place), record);
    CHECK(fits == (size == most));
    CHECK((record == Bytes(record_size)) == !fits);
  }
}
