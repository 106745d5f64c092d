#include "drive/ntfs/library.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <mutex>

#include "base/utf16.h"

namespace driveprep::ntfs::library {
namespace {

static_assert(std::endian::native == std::endian::little);

// The library reports through one process-wide handler; the last complaint of this thread is kept
// for the Error and nothing is printed.
thread_local std::string last_message;

int keep_message(const char*, const char*, int, u32 level, void*, const char* format,
                 va_list arguments) {
  if ((level & (NTFS_LOG_LEVEL_ERROR | NTFS_LOG_LEVEL_PERROR | NTFS_LOG_LEVEL_CRITICAL)) == 0) {
    return 0;
  }
  const int error_number = errno;
  char text[400];
  const int length = std::vsnprintf(text, sizeof text, format, arguments);
  // The first complaint is the cause; what follows are its consequences.
  if (length > 0 && last_message.empty()) {
    last_message = text;
    while (!last_message.empty() && (last_message.back() == '\n' || last_message.back() == ' ')) {
      last_message.pop_back();
    }
  }
  errno = error_number;
  return 0;
}

void install_log_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    ntfs_log_set_handler(keep_message);
    ntfs_log_set_levels(NTFS_LOG_LEVEL_ERROR | NTFS_LOG_LEVEL_PERROR | NTFS_LOG_LEVEL_CRITICAL);
    ntfs_log_clear_levels(NTFS_LOG_LEVEL_INFO | NTFS_LOG_LEVEL_QUIET | NTFS_LOG_LEVEL_WARNING |
                          NTFS_LOG_LEVEL_VERBOSE | NTFS_LOG_LEVEL_PROGRESS);
  });
}

}  // namespace

// The ten operations the library asks of a device.
struct Operations {
  static Mount& self(ntfs_device* device) { return *static_cast<Mount*>(device->d_private); }

  static int open(ntfs_device* device, int flags) {
    if (NDevOpen(device)) {
      errno = EBUSY;
      return -1;
    }
    if ((flags & O_ACCMODE) == O_RDONLY) NDevSetReadOnly(device);
    NDevSetOpen(device);
    return 0;
  }

  static int close(ntfs_device* device) {
    if (!NDevOpen(device)) {
      errno = EBADF;
      return -1;
    }
    NDevClearOpen(device);
    return 0;
  }

  static s64 seek(ntfs_device* device, s64 offset, int whence) {
    Mount& mount = self(device);
    const s64 base = whence == SEEK_SET   ? 0
                     : whence == SEEK_CUR ? static_cast<s64>(mount.position_)
                                          : static_cast<s64>(mount.storage_.size());
    if (base + offset < 0) {
      errno = EINVAL;
      return -1;
    }
    mount.position_ = static_cast<std::uint64_t>(base + offset);
    return base + offset;
  }

  static s64 pread(ntfs_device* device, void* buffer, s64 count, s64 offset) {
    Mount& mount = self(device);
    if (count < 0 || offset < 0) {
      errno = EINVAL;
      return -1;
    }
    const std::uint64_t size = mount.storage_.size();
    const auto at = static_cast<std::uint64_t>(offset);
    if (at >= size) return 0;
    const std::uint64_t length = std::min<std::uint64_t>(static_cast<std::uint64_t>(count), size - at);
    try {
      mount.storage_.read(at, {static_cast<std::byte*>(buffer), length});
      return static_cast<s64>(length);
    } catch (...) {
      if (!mount.thrown_) mount.thrown_ = std::current_exception();
      errno = EIO;
      return -1;
    }
  }

  static s64 pwrite(ntfs_device* device, const void* buffer, s64 count, s64 offset) {
    Mount& mount = self(device);
    if (NDevReadOnly(device)) {
      errno = EROFS;
      return -1;
    }
    if (count < 0 || offset < 0) {
      errno = EINVAL;
      return -1;
    }
    try {
      mount.storage_.write(static_cast<std::uint64_t>(offset),
                           {static_cast<const std::byte*>(buffer), static_cast<std::size_t>(count)});
      NDevSetDirty(device);
      return count;
    } catch (...) {
      if (!mount.thrown_) mount.thrown_ = std::current_exception();
      errno = EIO;
      return -1;
    }
  }

  static s64 read(ntfs_device* device, void* buffer, s64 count) {
    Mount& mount = self(device);
    const s64 done = pread(device, buffer, count, static_cast<s64>(mount.position_));
    if (done > 0) mount.position_ += static_cast<std::uint64_t>(done);
    return done;
  }

  static s64 write(ntfs_device* device, const void* buffer, s64 count) {
    Mount& mount = self(device);
    const s64 done = pwrite(device, buffer, count, static_cast<s64>(mount.position_));
    if (done > 0) mount.position_ += static_cast<std::uint64_t>(done);
    return done;
  }

  // Durability is decided by checkpoints, not by the library.
  static int sync(ntfs_device* device) {
    NDevClearDirty(device);
    return 0;
  }

  static int stat(ntfs_device* device, struct stat* buffer) {
    *buffer = {};
    buffer->st_mode = S_IFREG | 0600;
    buffer->st_size = static_cast<off_t>(self(device).storage_.size());
    return 0;
  }

  static int ioctl(ntfs_device*, unsigned long, void*) {
    errno = EOPNOTSUPP;
    return -1;
  }

  static ntfs_device_operations* table() {
    static ntfs_device_operations operations = {open,  close,  seek, read, write,
                                                pread, pwrite, sync, stat, ioctl};
    return &operations;
  }
};

Mount::Mount(Storage& storage, std::string name, Access access, std::string remedy)
    : name_(std::move(name)), storage_(storage), access_(access), remedy_(std::move(remedy)) {
  install_log_handler();
  begin();
  ntfs_device* device = ntfs_device_alloc("volume", 0, Operations::table(), this);
  if (device == nullptr) throw std::bad_alloc();
  volume_ = ntfs_device_mount(device, access == Access::kReadOnly ? NTFS_MNT_RDONLY : NTFS_MNT_NONE);
  if (volume_ == nullptr) {
    const int error_number = errno;
    ntfs_device_free(device);
    if (thrown_) std::rethrow_exception(thrown_);
    std::string why = last_message.empty() ? std::strerror(error_number) : last_message;
    if (error_number == EOPNOTSUPP) why = "another system has used it since: its log is not empty";
    throw Error(ErrorKind::kVerification, "volume-mount",
                "the NTFS volume on " + name_ + " cannot be opened: " + why, remedy_);
  }
  ntfs_set_shown_files(volume_, TRUE, TRUE, FALSE);
}

Mount::~Mount() { ntfs_umount(volume_, FALSE); }

void Mount::begin() {
  last_message.clear();
  thrown_ = nullptr;
  errno = 0;
}

void Mount::fail(const std::string& attempt) const {
  const int error_number = errno;
  if (thrown_) std::rethrow_exception(thrown_);
  std::string message = attempt + " on " + name_ + ": " + std::strerror(error_number);
  if (!last_message.empty()) message += " (" + last_message + ")";
  if (error_number == ENOSPC) {
    throw Error(ErrorKind::kWrite, "volume-full", message, "Use a larger drive or fewer files.");
  }
  if (error_number == EEXIST) {
    throw Error(ErrorKind::kInternal, "name-exists", message, "Report this with the log.");
  }
  if (access_ == Access::kReadOnly) {
    throw Error(ErrorKind::kVerification, "volume-damaged", message, remedy_);
  }
  throw Error(ErrorKind::kInternal, "ntfs-library", message, "Report this with the log.");
}

void Mount::damaged(const std::string& problem) const {
  throw Error(ErrorKind::kVerification, "volume-damaged", problem + " on " + name_, remedy_);
}

std::string printable(std::u16string_view name) {
  std::u16string fixed(name);
  for (std::size_t i = 0; i < fixed.size(); ++i) {
    if (fixed[i] < 0xD800 || fixed[i] > 0xDFFF) continue;
    const bool pair = fixed[i] < 0xDC00 && i + 1 < fixed.size() && fixed[i + 1] >= 0xDC00 &&
                      fixed[i + 1] <= 0xDFFF;
    if (pair) {
      ++i;
    } else {
      fixed[i] = u'?';
    }
  }
  return utf8_from_utf16(fixed).value_or("?");
}

MFT_REF look_up(ntfs_inode* directory, std::u16string_view name) {
  const LibraryName units(name);
  const u64 found = ntfs_inode_lookup_by_name(directory, units.data(), units.length());
  return found == static_cast<u64>(-1) ? 0 : found;
}

std::vector<char16_t> default_upcase_table() {
  install_log_handler();
  ntfschar* table = nullptr;
  const u32 count = ntfs_upcase_build_default(&table);
  if (table == nullptr) throw std::bad_alloc();
  std::vector<char16_t> upcase(table, table + count);
  std::free(table);
  require(upcase.size() == 0x10000, "the library's table of upper case letters is not complete");
  return upcase;
}

}  // namespace driveprep::ntfs::library
