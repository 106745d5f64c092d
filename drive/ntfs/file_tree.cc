#include "drive/ntfs/file_tree.h"

#include <algorithm>
#include <array>

#include "drive/ntfs/directory_chain.h"
#include "drive/ntfs/file_data.h"
#include "drive/ntfs/library.h"
#include "drive/ntfs/read_ahead.h"
#include "drive/ntfs/reparse.h"

namespace driveprep::ntfs {
namespace {

constexpr const char* kDamageRemedy =
    "Let Windows check the volume (chkdsk /f), on a copy of it if that matters; what can still be "
    "read can be taken out as it is.";

// What a boot sector without NTFS belongs to.
std::string file_system_of(ByteView sector) {
  const std::string_view name = as_text(sector.subspan(3, 8));
  if (name == "EXFAT   ") return "exFAT";
  if (name == "-FVE-FS-") return "BitLocker, not decrypted,";
  if (name.starts_with("ReFS")) return "ReFS";
  if (as_text(sector.subspan(82, 5)) == "FAT32") return "FAT32";
  if (as_text(sector.subspan(54, 3)) == "FAT") return "FAT";
  return "no file system that driveprep knows";
}

void require_ntfs(const block::ReadableDevice& device) {
  Bytes sector(512);
  if (device.size() >= sector.size()) device.read(0, sector);
  if (as_text(ByteView(sector).subspan(3, 8)) == "NTFS    ") return;
  throw Error(ErrorKind::kRefused, "file-system-unsupported",
              "the volume on " + device.name() + " holds " + file_system_of(sector) +
                  " and no NTFS, so no file can be taken out of it",
              "Export the decrypted volume and mount the image with a tool for that file system.");
}

// Of a resident $FILE_NAME, whose lengths the library has checked.
std::uint8_t name_type_of(const ATTR_RECORD* attribute) {
  const auto* raw = static_cast<const std::uint8_t*>(static_cast<const void*>(attribute));
  return raw[attribute->value_offset + offsetof(FILE_NAME_ATTR, file_name_type)];
}

// The files of the file system itself have the first records.
bool is_metafile(const ListedName& listed) { return MREF(listed.reference) < FILE_first_user; }

}  // namespace

class FileTree::Impl {
 public:
  explicit Impl(const block::ReadableDevice& device)
      : device_(device),
        storage_(device),
        small_files_(device),
        mount_(storage_, device.name(), library::Access::kReadOnly, kDamageRemedy),
        directories_(mount_) {}

  std::string name() const { return mount_.name(); }
  std::string label() const { return mount_.volume()->vol_name; }
  bool marked_dirty() const { return (mount_.volume()->flags & VOLUME_IS_DIRTY) != 0; }

  Entry root() {
    mount_.begin();
    return facts(directories_.root(), {}, FILE_root);
  }

  std::optional<Found> find(std::u16string_view path) {
    mount_.begin();
    std::vector<std::u16string_view> parts = library::split_path(path, u"/\\");
    std::erase(parts, u".");
    if (parts.empty()) return Found{facts(directories_.root(), {}, FILE_root), {}};
    Found found;
    std::vector<std::u16string> names;  // as they are on the volume
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::vector<std::u16string_view> above(names.begin(), names.end());
      ntfs_inode* directory = directories_.enter(above);
      if (directory == nullptr) return std::nullopt;
      const std::optional<ListedName> listed = match(directory, parts[i], found.path);
      if (!listed || MREF(listed->reference) == FILE_root) return std::nullopt;
      found.entry = look(*listed);
      found.path += (i == 0 ? u"" : u"/") + listed->name;
      names.push_back(listed->name);
      if (i + 1 == parts.size()) break;
      if (found.entry.kind == EntryKind::kFile) return std::nullopt;
      if (!found.entry.is_directory()) refuse_reparse_point(found.entry, found.path);
    }
    return found;
  }

  std::vector<ListedName> list(const Entry& directory, Metafiles metafiles) {
    mount_.begin();
    require(directory.is_directory(), "only directories are listed");
    const library::Inode opened = reopen(directory.reference);
    ntfs_inode* inode = opened ? opened.get() : directories_.find_open(directory.reference);
    std::vector<ListedName> names;
    for (library::IndexName& found : library::index_names(mount_, inode)) {
      names.push_back({std::move(found.name), found.reference});
    }
    if (directory.record == FILE_root && metafiles == Metafiles::kHide) {
      std::erase_if(names, is_metafile);
    }
    std::ranges::sort(names, [this](const ListedName& a, const ListedName& b) {
      const int order = compare_ignoring_case(a.name, b.name);
      return order != 0 ? order < 0 : a.name < b.name;
    });
    return names;
  }

  Entry entry(const ListedName& listed) {
    mount_.begin();
    return look(listed);
  }

  std::unique_ptr<FileReader> open(const Entry& file, std::u16string_view path) {
    mount_.begin();
    if (file.is_directory()) {
      throw Error(ErrorKind::kUsage, "file-is-directory",
                  library::printable(path) + " on " + mount_.name() + " is a directory",
                  "Name a file, or extract the directory.");
    }
    if (file.kind != EntryKind::kFile) refuse_reparse_point(file, path);
    library::Inode inode = library::open_record(mount_, file.reference);
    if (file.encrypted() || is_encrypted(inode.get())) {
      throw Error(ErrorKind::kRefused, "file-encrypted",
                  library::printable(path) + " on " + mount_.name() +
                      " is encrypted by Windows itself (EFS) with the key of a user",
                  "Have it decrypted on Windows by the user who encrypted it.");
    }
    return library::open_data(mount_, device_, small_files_, std::move(inode));
  }

 private:
  [[noreturn]] void refuse_reparse_point(const Entry& entry, std::u16string_view path) const {
    throw Error(ErrorKind::kRefused, "file-reparse-point",
                library::printable(path) + " on " + mount_.name() + " is " +
                    describe_reparse_tag(entry.reparse_tag),
                names_something_else(entry.reparse_tag) ? "Name what it stands for instead."
                                                        : "Copy it with the Windows that made it.");
  }

  // Null when it is one of those that are open.
  library::Inode reopen(std::uint64_t reference) {
    if (directories_.find_open(reference) != nullptr) return nullptr;
    return library::open_record(mount_, reference);
  }

  Entry look(const ListedName& listed) {
    const library::Inode opened = reopen(listed.reference);
    ntfs_inode* inode = opened ? opened.get() : directories_.find_open(listed.reference);
    return facts(inode, listed.name, listed.reference);
  }

  Entry facts(ntfs_inode* inode, std::u16string_view name, std::uint64_t reference) {
    Entry entry;
    entry.name = name;
    entry.record = inode->mft_no;
    entry.reference = reference;
    entry.attributes = inode->flags;
    entry.times = {
        {inode->creation_time}, {inode->last_data_change_time}, {inode->last_access_time}};
    if (inode->flags & FILE_ATTR_REPARSE_POINT) entry.reparse_tag = reparse_tag(inode);
    entry.links = count_links(inode);
    const bool directory = library::is_directory(inode);
    if (directory) entry.attributes |= kAttributeDirectory;
    entry.kind = kind_of(entry.reparse_tag, directory);
    if (!directory) {
      entry.size = static_cast<std::uint64_t>(inode->data_size);
      entry.allocated = static_cast<std::uint64_t>(inode->allocated_size);
    }
    return entry;
  }

  static EntryKind kind_of(std::uint32_t tag, bool directory) {
    if (tag == 0 || (directory && keeps_its_entries(tag))) {
      return directory ? EntryKind::kDirectory : EntryKind::kFile;
    }
    if (tag == kReparseMountPoint) return EntryKind::kJunction;
    if (tag == kReparseSymbolicLink || tag == kReparseLinuxSymbolicLink) {
      return EntryKind::kSymbolicLink;
    }
    return EntryKind::kReparsePoint;
  }

  std::uint32_t reparse_tag(ntfs_inode* inode) {
    const library::Attribute attribute(ntfs_attr_open(inode, AT_REPARSE_POINT, AT_UNNAMED, 0));
    std::array<std::byte, 4> tag{};
    if (!attribute || ntfs_attr_pread(attribute.get(), 0, tag.size(), tag.data()) != tag.size()) {
      mount_.fail("read the reparse point of record " + std::to_string(inode->mft_no));
    }
    return ByteReader(tag).u32();
  }

  std::uint32_t count_links(ntfs_inode* inode) {
    if (inode->mrec->link_count <= 1) return 1;
    const library::Search search(ntfs_attr_get_search_ctx(inode, nullptr));
    if (!search) throw std::bad_alloc();
    std::uint32_t links = 0;
    while (ntfs_attr_lookup(AT_FILE_NAME, AT_UNNAMED, 0, CASE_SENSITIVE, 0, nullptr, 0,
                            search.get()) == 0) {
      if (name_type_of(search->attr) != FILE_NAME_DOS) ++links;
    }
    if (errno != ENOENT) mount_.fail("read the names of record " + std::to_string(inode->mft_no));
    return std::max(links, 1U);
  }

  static bool has_encrypted_data(ntfs_inode* inode) {
    const library::Attribute data(ntfs_attr_open(inode, AT_DATA, AT_UNNAMED, 0));
    return data && NAttrEncrypted(data.get());
  }

  static bool is_encrypted(ntfs_inode* inode) {
    return (inode->flags & FILE_ATTR_ENCRYPTED) != 0 || has_encrypted_data(inode);
  }

  int compare_ignoring_case(std::u16string_view a, std::u16string_view b) const {
    const std::size_t common = std::min(a.size(), b.size());
    for (std::size_t i = 0; i < common; ++i) {
      const char16_t left = upper(a[i]);
      const char16_t right = upper(b[i]);
      if (left != right) return left < right ? -1 : 1;
    }
    return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
  }

  char16_t upper(char16_t unit) const {
    const ntfs_volume* volume = mount_.volume();
    return unit < volume->upcase_len ? static_cast<char16_t>(volume->upcase[unit]) : unit;
  }

  std::optional<ListedName> match(ntfs_inode* directory, std::u16string_view name,
                                  const std::u16string& parent) {
    if (const MFT_REF exact = directories_.look_up(directory, name)) {
      return ListedName{std::u16string(name), exact};
    }
    std::vector<library::IndexName> alike = library::index_names(mount_, directory);
    std::erase_if(alike, [&](const library::IndexName& found) {
      return compare_ignoring_case(found.name, name) != 0;
    });
    if (alike.empty()) return std::nullopt;
    if (alike.size() > 1) {
      throw Error(ErrorKind::kUsage, "path-ambiguous",
                  "in the directory /" + library::printable(parent) + " on " + mount_.name() +
                      " there are " + library::printable(alike[0].name) + ", " +
                      library::printable(alike[1].name) + (alike.size() > 2 ? " and others" : "") +
                      ", and no " + library::printable(name),
                  "Spell the path as it is on the volume.");
    }
    return ListedName{std::move(alike.front().name), alike.front().reference};
  }

  const block::ReadableDevice& device_;
  ReadAhead storage_;
  ReadAhead small_files_;  // of its own, so that data does not drive metadata out
  library::Mount mount_;
  library::DirectoryChain directories_;  // closed before the volume
};

FileTree::FileTree(const block::ReadableDevice& device) {
  require_ntfs(device);
  impl_ = std::make_unique<Impl>(device);
}
FileTree::~FileTree() = default;

std::string FileTree::name() const { return impl_->name(); }
std::string FileTree::label() const { return impl_->label(); }
bool FileTree::marked_dirty() const { return impl_->marked_dirty(); }
Entry FileTree::root() { return impl_->root(); }
std::optional<Found> FileTree::find(std::u16string_view path) { return impl_->find(path); }
std::vector<ListedName> FileTree::list(const Entry& directory, Metafiles metafiles) {
  return impl_->list(directory, metafiles);
}
Entry FileTree::entry(const ListedName& listed) { return impl_->entry(listed); }
std::unique_ptr<FileReader> FileTree::open(const Entry& file, std::u16string_view path) {
  return impl_->open(file, path);
}

}  // namespace driveprep::ntfs
