#include "drive/ntfs/volume_reader.h"

#include "drive/ntfs/file_layout.h"
#include "drive/ntfs/format.h"
#include "drive/ntfs/library.h"
#include "drive/ntfs/read_ahead.h"

namespace driveprep::ntfs {
namespace {

std::vector<std::u16string_view> split(std::u16string_view path) {
  std::vector<std::u16string_view> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find(u'/');
    const std::u16string_view part = path.substr(0, slash);
    if (!part.empty()) parts.push_back(part);
    path = slash == std::u16string_view::npos ? std::u16string_view() : path.substr(slash + 1);
  }
  return parts;
}

// What the library's directory walk fills; it calls through C, so nothing may be thrown.
struct Listing {
  std::vector<DirectoryEntry> entries;
  bool out_of_memory = false;
};

int add_entry(void* context, const ntfschar* name, const int length, const int, const s64,
              const MFT_REF reference, const unsigned type) {
  auto& listing = *static_cast<Listing*>(context);
  try {
    std::u16string text(name, name + length);
    if (text == u"." || text == u"..") return 0;
    listing.entries.push_back({std::move(text), type == NTFS_DT_DIR, MREF(reference)});
    return 0;
  } catch (const std::bad_alloc&) {
    listing.out_of_memory = true;
    errno = ENOMEM;
    return -1;
  }
}

}  // namespace

class VolumeReader::Impl {
 public:
  explicit Impl(const block::ReadableDevice& device)
      : storage_(device), mount_(storage_, device.name(), library::Access::kReadOnly) {
    Bytes boot(512);
    device.read(0, boot);
    geometry_ = parse_boot_sector(boot);
    open_.push_back({{}, open_record(FILE_root)});
  }

  const Geometry& geometry() const { return geometry_; }
  bool marked_dirty() const { return (mount_.volume()->flags & VOLUME_IS_DIRTY) != 0; }
  std::string label() const { return mount_.volume()->vol_name; }

  std::optional<FileInfo> open(std::u16string_view path) {
    mount_.begin();
    const std::vector<std::u16string_view> parts = split(path);
    if (parts.empty()) return read_open(open_[0]);
    ntfs_inode* directory = enter(std::span(parts).first(parts.size() - 1));
    if (directory == nullptr) return std::nullopt;
    if (parts.back().size() > 255) return std::nullopt;
    const MFT_REF reference = look_up(directory, parts.back());
    if (reference == 0) return std::nullopt;
    if (MREF(reference) == FILE_root) return read_open(open_[0]);
    for (const Level& level : open_) {  // never two objects of one directory
      if (level.inode->mft_no == MREF(reference)) return read_open(level);
    }
    const library::Inode inode = open_record(reference);
    return library::read_info(mount_, inode.get(), library::Content::kRead);
  }

  std::vector<DirectoryEntry> list(std::u16string_view path) {
    mount_.begin();
    ntfs_inode* directory = enter(split(path));
    if (directory == nullptr) {
      throw Error(ErrorKind::kVerification, "no-such-directory",
                  "there is no directory " + library::printable(path) + " on " + mount_.name(),
                  "Prepare the drive again.");
    }
    Listing listing;
    s64 position = 0;
    if (ntfs_readdir(directory, &position, &listing, add_entry) != 0) {
      if (listing.out_of_memory) throw std::bad_alloc();
      mount_.fail("list the directory " + library::printable(path));
    }
    return std::move(listing.entries);
  }

 private:
  struct Level {
    std::u16string name;
    library::Inode inode;
  };

  FileInfo read_open(const Level& level) {
    return library::read_info(mount_, level.inode.get(), library::Content::kSkip);
  }

  library::Inode open_record(MFT_REF reference) {
    library::Inode inode(ntfs_inode_open(mount_.volume(), reference));
    if (!inode) mount_.fail("open record " + std::to_string(MREF(reference)));
    return inode;
  }

  MFT_REF look_up(ntfs_inode* directory, std::u16string_view name) {
    errno = 0;
    const MFT_REF reference = library::look_up(directory, name);
    if (reference == 0 && errno != ENOENT) {
      mount_.fail("look up " + library::printable(name));
    }
    return reference;
  }

  // Opens the directory with these components, keeping what it has in common with the open ones.
  // Null when a component is missing or no directory.
  ntfs_inode* enter(std::span<const std::u16string_view> parts) {
    std::size_t common = 0;
    while (common < parts.size() && common + 1 < open_.size() &&
           open_[common + 1].name == parts[common]) {
      ++common;
    }
    while (open_.size() > common + 1) open_.pop_back();
    for (const std::u16string_view part : parts.subspan(common)) {
      if (part.size() > 255) return nullptr;
      const MFT_REF reference = look_up(open_.back().inode.get(), part);
      if (reference == 0) return nullptr;
      if (MREF(reference) == FILE_root) return nullptr;
      library::Inode inode = open_record(reference);
      if (!library::is_directory(inode.get())) return nullptr;
      open_.push_back({std::u16string(part), std::move(inode)});
    }
    return open_.back().inode.get();
  }

  ReadAhead storage_;
  library::Mount mount_;
  Geometry geometry_;
  std::vector<Level> open_;  // from the root to the current directory; closed before the volume
};

VolumeReader::VolumeReader(const block::ReadableDevice& device)
    : impl_(std::make_unique<Impl>(device)) {}
VolumeReader::~VolumeReader() = default;

const Geometry& VolumeReader::geometry() const { return impl_->geometry(); }
bool VolumeReader::marked_dirty() const { return impl_->marked_dirty(); }
std::string VolumeReader::label() const { return impl_->label(); }
std::optional<FileInfo> VolumeReader::open(std::u16string_view path) { return impl_->open(path); }
std::vector<DirectoryEntry> VolumeReader::list(std::u16string_view path) {
  return impl_->list(path);
}

}  // namespace driveprep::ntfs
