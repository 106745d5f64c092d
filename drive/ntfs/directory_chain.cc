#include "drive/ntfs/directory_chain.h"

#include <algorithm>

#include "drive/ntfs/names.h"

namespace driveprep::ntfs::library {
namespace {

// What the library's directory walk fills; it calls through C, so nothing may be thrown.
struct Listing {
  std::vector<IndexName> names;
  bool out_of_memory = false;
};

int add_name(void* context, const ntfschar* name, const int length, const int name_type, const s64,
             const MFT_REF reference, const unsigned type) {
  auto& listing = *static_cast<Listing*>(context);
  if (name_type == FILE_NAME_DOS) return 0;
  try {
    std::u16string text(name, name + length);
    if (text == u"." || text == u"..") return 0;
    listing.names.push_back({std::move(text), reference, type == NTFS_DT_DIR});
    return 0;
  } catch (const std::bad_alloc&) {
    listing.out_of_memory = true;
    errno = ENOMEM;
    return -1;
  }
}

}  // namespace

std::vector<std::u16string_view> split_path(std::u16string_view path,
                                            std::u16string_view separators) {
  std::vector<std::u16string_view> parts;
  while (!path.empty()) {
    const std::size_t end = path.find_first_of(separators);
    const std::u16string_view part = path.substr(0, end);
    if (!part.empty()) parts.push_back(part);
    path = end == std::u16string_view::npos ? std::u16string_view() : path.substr(end + 1);
  }
  return parts;
}

std::vector<IndexName> index_names(Mount& mount, ntfs_inode* directory) {
  Listing listing;
  s64 position = 0;
  if (ntfs_readdir(directory, &position, &listing, add_name) != 0) {
    if (listing.out_of_memory) throw std::bad_alloc();
    mount.fail("list the directory in record " + std::to_string(directory->mft_no));
  }
  mount.check();  // a device that failed is no shorter directory
  return std::move(listing.names);
}

Inode open_record(Mount& mount, MFT_REF reference) {
  Inode inode(ntfs_inode_open(mount.volume(), reference));
  if (!inode) mount.fail("open record " + std::to_string(MREF(reference)));
  return inode;
}

DirectoryChain::DirectoryChain(Mount& mount) : mount_(mount) {
  levels_.push_back({{}, open_record(mount, FILE_root)});
}

MFT_REF DirectoryChain::look_up(ntfs_inode* directory, std::u16string_view name) {
  if (name.size() > kMaxNameUnits) return 0;
  errno = 0;
  const MFT_REF reference = library::look_up(directory, name);
  if (reference == 0 && errno != ENOENT) mount_.fail("look up " + printable(name));
  return reference;
}

ntfs_inode* DirectoryChain::find_open(MFT_REF reference) {
  const auto found = std::ranges::find_if(
      levels_, [&](const Level& level) { return level.inode->mft_no == MREF(reference); });
  return found == levels_.end() ? nullptr : found->inode.get();
}

ntfs_inode* DirectoryChain::enter(std::span<const std::u16string_view> parts) {
  std::size_t common = 0;
  while (common < parts.size() && common + 1 < levels_.size() &&
         levels_[common + 1].name == parts[common]) {
    ++common;
  }
  while (levels_.size() > common + 1) levels_.pop_back();
  for (const std::u16string_view part : parts.subspan(common)) {
    const MFT_REF reference = look_up(levels_.back().inode.get(), part);
    if (reference == 0 || find_open(reference) != nullptr) return nullptr;
    Inode inode = open_record(mount_, reference);
    if (!is_directory(inode.get())) return nullptr;
    levels_.push_back({std::u16string(part), std::move(inode)});
  }
  return levels_.back().inode.get();
}

}  // namespace driveprep::ntfs::library
