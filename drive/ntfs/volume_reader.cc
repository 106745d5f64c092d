#include "drive/ntfs/volume_reader.h"

#include "drive/ntfs/directory_chain.h"
#include "drive/ntfs/file_layout.h"
#include "drive/ntfs/format.h"
#include "drive/ntfs/library.h"
#include "drive/ntfs/read_ahead.h"

namespace driveprep::ntfs {
class VolumeReader::Impl {
 public:
  explicit Impl(const block::ReadableDevice& device)
      : storage_(device),
        mount_(storage_, device.name(), library::Access::kReadOnly),
        directories_(mount_) {
    Bytes boot(512);
    device.read(0, boot);
    geometry_ = parse_boot_sector(boot);
  }

  const Geometry& geometry() const { return geometry_; }
  bool marked_dirty() const { return (mount_.volume()->flags & VOLUME_IS_DIRTY) != 0; }
  std::string label() const { return mount_.volume()->vol_name; }

  std::optional<FileInfo> open(std::u16string_view path) {
    mount_.begin();
    const std::vector<std::u16string_view> parts = library::split_path(path, u"/");
    if (parts.empty()) return read_open(directories_.root());
    ntfs_inode* directory = directories_.enter(std::span(parts).first(parts.size() - 1));
    if (directory == nullptr) return std::nullopt;
    const MFT_REF reference = directories_.look_up(directory, parts.back());
    if (reference == 0) return std::nullopt;
    if (ntfs_inode* found = directories_.find_open(reference)) return read_open(found);
    const library::Inode inode = library::open_record(mount_, reference);
    return library::read_info(mount_, inode.get(), library::Content::kRead);
  }

  std::vector<DirectoryEntry> list(std::u16string_view path) {
    mount_.begin();
    ntfs_inode* directory = directories_.enter(library::split_path(path, u"/"));
    if (directory == nullptr) {
      throw Error(ErrorKind::kVerification, "no-such-directory",
                  "there is no directory " + library::printable(path) + " on " + mount_.name(),
                  "Prepare the drive again.");
    }
    std::vector<DirectoryEntry> entries;
    for (library::IndexName& found : library::index_names(mount_, directory)) {
      entries.push_back({std::move(found.name), found.directory, MREF(found.reference)});
    }
    return entries;
  }

 private:
  FileInfo read_open(ntfs_inode* inode) {
    return library::read_info(mount_, inode, library::Content::kSkip);
  }

  ReadAhead storage_;
  library::Mount mount_;
  library::DirectoryChain directories_;  // closed before the volume
  Geometry geometry_;
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
