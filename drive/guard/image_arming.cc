// Arming and reading back of image files.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "drive/guard/drive_target.h"
#include "drive/guard/file_lock.h"
#include "drive/guard/image_policy.h"

namespace driveprep::guard {
namespace {

[[noreturn]] void changed(const std::string& name, const std::string& what) {
  throw Error(ErrorKind::kBusy, "image-changed", name + " changed after it was checked: " + what,
              "Find out what else uses the image, then run the same command again.");
}

UniqueFd open_for_writing(const std::string& name) {
  UniqueFd fd(::open(name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd.valid()) return fd;
  if (errno == ENOENT) changed(name, "it is gone");
  if (errno == ELOOP) changed(name, "it is a symbolic link now");
  throw Error::from_errno(ErrorKind::kRefused, "image-not-writable", "open " + name, errno,
                          "Check the permissions and that the file system is writable.");
}

// The name must still lead to the file that is locked, else another run may lock the other one.
void check_name(const std::string& name, const ImageIdentity& identity) {
  struct stat status {};
  if (::lstat(name.c_str(), &status) != 0 || status.st_dev != identity.device ||
      status.st_ino != identity.inode) {
    changed(name, "the name leads to another file");
  }
}

}  // namespace

ArmedDrive ArmedDrive::of_image(const ImageFacts& then, const Consent& consent) {
  const std::string name = then.request.path.string();
  UniqueFd fd = open_for_writing(name);
  lock(fd.get(), name, Lock::kExclusive);

  const ImageFacts now = gather_image_facts_of(then.request, fd.get());
  if (!now.identity.known() || now.identity.value() != then.identity.value()) {
    changed(name, "it was " + then.identity.value().to_string() + " and is " +
                      (now.identity.known() ? now.identity.value().to_string() : "unreadable"));
  }
  check_name(name, now.identity.value());
  if (now.contents.known() && now.contents.value().digest != then.contents.value().digest) {
    changed(name, "it held \"" + then.contents.value().description + "\" and holds \"" +
                      now.contents.value().description + "\", or other bytes of it differ");
  }
  judge(now, consent).throw_if_refused();

  auto device = std::make_unique<block::FileDevice>(std::move(fd), name, now.identity.value().size,
                                                    then.request.sector);
  return ArmedDrive(std::move(device), now);
}

}  // namespace driveprep::guard
