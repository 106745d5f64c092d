// libntfs-3g behind our own types. Internal to this module: only its .cc files include this.
//
// The library is C without locks: one thread owns a mounted volume. Exceptions must not cross its
// frames; what a Storage throws is kept, the library sees EIO, and fail() throws it again.
#pragma once

#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>
#include <sys/types.h>

extern "C" {
#include <ntfs-3g/types.h>
#include <ntfs-3g/volume.h>
#include <ntfs-3g/device.h>
#include <ntfs-3g/inode.h>
#include <ntfs-3g/attrib.h>
#include <ntfs-3g/bitmap.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/index.h>
#include <ntfs-3g/mft.h>
#include <ntfs-3g/security.h>
#include <ntfs-3g/unistr.h>
#include <ntfs-3g/logging.h>
}
#undef min
#undef max

#include "base/bytes.h"
#include "base/error.h"

namespace driveprep::ntfs::library {

// The bytes beneath a mounted volume.
class Storage {
 public:
  virtual ~Storage() = default;
  virtual std::uint64_t size() const = 0;
  virtual void read(std::uint64_t offset, MutableByteView out) = 0;
  virtual void write(std::uint64_t offset, ByteView data) = 0;
};

enum class Access { kReadOnly, kReadWrite };

class Mount {
 public:
  // `storage` must outlive this. `remedy` goes with "volume-mount" and "volume-damaged". Throws
  // kVerification "volume-mount".
  Mount(Storage& storage, std::string name, Access access,
        std::string remedy = "Prepare the drive again.");
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  // Unmounts. The storage may still be asked to write; a writer makes it refuse.
  ~Mount();

  ntfs_volume* volume() const { return volume_; }
  const std::string& name() const { return name_; }

  // Forgets what an earlier call left behind. Before every sequence of library calls that fail()
  // may have to explain.
  void begin();
  // Throws what the storage threw, although the library went on.
  void check() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }
  // Throws what went wrong in the library: an exception of the storage, or an Error made of errno
  // (ENOSPC: kWrite "volume-full"; EEXIST: kInternal "name-exists"; otherwise kInternal
  // "ntfs-library", or kVerification "volume-damaged" on a read-only mount) and the library's message.
  [[noreturn]] void fail(const std::string& attempt) const;
  // Throws kVerification "volume-damaged": what is wrong, for which the library has no errno.
  [[noreturn]] void damaged(const std::string& problem) const;

 private:
  friend struct Operations;
  std::string name_;
  Storage& storage_;
  Access access_;
  std::string remedy_;
  ntfs_volume* volume_ = nullptr;
  mutable std::exception_ptr thrown_;
  std::uint64_t position_ = 0;
};

// A file inode that is closed at the end of its scope, whatever happens.
struct CloseInode {
  void operator()(ntfs_inode* inode) const { ntfs_inode_close(inode); }
};
using Inode = std::unique_ptr<ntfs_inode, CloseInode>;

struct CloseAttribute {
  void operator()(ntfs_attr* attribute) const { ntfs_attr_close(attribute); }
};
using Attribute = std::unique_ptr<ntfs_attr, CloseAttribute>;

struct PutSearch {
  void operator()(ntfs_attr_search_ctx* search) const { ntfs_attr_put_search_ctx(search); }
};
using Search = std::unique_ptr<ntfs_attr_search_ctx, PutSearch>;

// The library's little-endian UTF-16 (this program runs on little-endian machines only).
class LibraryName {
 public:
  explicit LibraryName(std::u16string_view name) : units_(name.begin(), name.end()) {}
  const ntfschar* data() const { return units_.data(); }
  std::uint8_t length() const { return static_cast<std::uint8_t>(units_.size()); }

 private:
  std::basic_string<ntfschar> units_;
};

// For messages: never fails, lone surrogates become '?'.
std::string printable(std::u16string_view name);

// The reference of the entry `name` of `directory`, exact case; 0 when there is none.
MFT_REF look_up(ntfs_inode* directory, std::u16string_view name);

inline bool is_directory(const ntfs_inode* inode) {
  return (inode->mrec->flags & MFT_RECORD_IS_DIRECTORY) != 0;
}

// The 65536 upper-case equivalents that mkntfs writes.
std::vector<char16_t> default_upcase_table();

}  // namespace driveprep::ntfs::library
