#include "drive/guard/image_facts.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/path_within.h"
#include "base/posix.h"
#include "drive/guard/disk_guid.h"
#include "drive/guard/loop_devices.h"

namespace driveprep::guard {
namespace {

std::string text_of(int error_number) { return std::generic_category().message(error_number); }

using inventory::fact_of;

std::string source_around(const std::filesystem::path& image,
                          const std::vector<std::filesystem::path>& sources) {
  const std::filesystem::path inner = std::filesystem::canonical(image);
  for (const std::filesystem::path& source : sources) {
    const std::filesystem::path outer = std::filesystem::weakly_canonical(source);
    if (is_within(inner, outer)) return source.string();
  }
  return {};
}

bool is_writable(int fd) {
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  if (::faccessat(AT_FDCWD, self.c_str(), W_OK, AT_EACCESS) == 0) return true;
  if (errno == EACCES || errno == EPERM || errno == EROFS || errno == ETXTBSY) return false;
  throw Error::from_errno(ErrorKind::kBusy, "access-failed", "test the permissions", errno);
}

// Shared and given back at once: only an exclusive holder, which is a run at work, refuses it.
bool is_locked(int fd) {
  if (::flock(fd, LOCK_SH | LOCK_NB) == 0) {
    ::flock(fd, LOCK_UN);
    return false;
  }
  if (errno == EWOULDBLOCK) return true;
  throw Error::from_errno(ErrorKind::kBusy, "lock-failed", "test the lock", errno);
}

void look_through(int fd, bool we_hold_the_lock, ImageFacts& facts) {
  const std::string name = facts.request.path.string();
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    facts.regular = Fact<bool>::unreadable(text_of(errno));
    return;
  }
  facts.regular = static_cast<bool>(S_ISREG(status.st_mode));
  if (!facts.regular.value()) return;

  const ImageIdentity identity{status.st_dev, status.st_ino,
                               static_cast<std::uint64_t>(status.st_size)};
  facts.identity = identity;
  facts.links = static_cast<std::uint64_t>(status.st_nlink);
  facts.owned = ::geteuid() == 0 || status.st_uid == ::geteuid();
  facts.writable = fact_of([&] { return is_writable(fd); });
  facts.loop_device = fact_of([&] {
    return loop_device_of(identity.device, identity.inode, facts.request.path, identity.size);
  });
  facts.inside_source =
      fact_of([&] { return source_around(facts.request.path, facts.request.sources); });
  facts.locked = we_hold_the_lock ? Fact<bool>(false) : fact_of([&] { return is_locked(fd); });

  if (facts.locked.known() && facts.locked.value()) {
    facts.contents = Fact<inventory::Contents>::unreadable("another run is writing to it");
    facts.disk_guid = Fact<std::string>::unreadable("another run is writing to it");
    return;
  }
  facts.contents = fact_of([&] {
    return inventory::examine_contents(fd, {0, identity.size}, facts.request.sector, name);
  });
  facts.disk_guid =
      fact_of([&] { return disk_guid_of(fd, name, identity.size, facts.request.sector); });
}

}  // namespace

std::string ImageIdentity::to_string() const {
  return "file:" + std::to_string(device) + ":" + std::to_string(inode) + ":" +
         std::to_string(size);
}

PathKind path_kind(const std::filesystem::path& path) {
  const std::string text = path.string();
  if (text.starts_with("serial:")) return PathKind::kSerial;
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    return S_ISBLK(status.st_mode) ? PathKind::kDevicePath : PathKind::kFile;
  }
  return text.starts_with("/dev/") ? PathKind::kDevicePath : PathKind::kFile;
}

ImageFacts gather_image_facts(const ImageRequest& request) {
  ImageFacts facts;
  facts.request = request;
  facts.kind = path_kind(request.path);
  if (facts.kind != PathKind::kFile) return facts;

  struct stat status {};
  if (::lstat(request.path.c_str(), &status) != 0) {
    facts.exists = errno == ENOENT ? Fact<bool>(false) : Fact<bool>::unreadable(text_of(errno));
    return facts;
  }
  facts.exists = true;
  facts.symbolic_link = static_cast<bool>(S_ISLNK(status.st_mode));
  facts.regular = static_cast<bool>(S_ISREG(status.st_mode));
  if (facts.symbolic_link.value() || !facts.regular.value()) return facts;

  // Not blocking: should the name have become a pipe just now, this must not wait for a writer.
  const UniqueFd fd(::open(request.path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) {
    facts.identity = Fact<ImageIdentity>::unreadable(text_of(errno));
    facts.contents = Fact<inventory::Contents>::unreadable(text_of(errno));
    return facts;
  }
  look_through(fd.get(), false, facts);
  return facts;
}

ImageFacts gather_image_facts_of(const ImageRequest& request, int locked_fd) {
  ImageFacts facts;
  facts.request = request;
  facts.exists = true;
  facts.symbolic_link = false;  // it was opened without following one
  look_through(locked_fd, true, facts);
  return facts;
}

}  // namespace driveprep::guard
