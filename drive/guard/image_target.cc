#include "drive/guard/image_target.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace driveprep::guard {
namespace {

// A run that only looks holds the lock for an instant; one that writes holds it for hours.
constexpr int kLockAttempts = 5;
constexpr std::chrono::milliseconds kLockPause{100};

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

// `operation`: LOCK_EX or LOCK_SH.
void lock(int fd, const std::string& name, int operation) {
  for (int attempt = 1;; ++attempt) {
    if (::flock(fd, operation | LOCK_NB) == 0) return;
    if (errno != EWOULDBLOCK && errno != EINTR) {
      throw Error::from_errno(ErrorKind::kBusy, "image-busy", "lock " + name, errno,
                              "Keep the image on a file system that supports locks.");
    }
    if (attempt == kLockAttempts) {
      throw Error(ErrorKind::kBusy, "image-busy", name + " is in use by another run of driveprep",
                  "Wait for that run to end, then try again.");
    }
    std::this_thread::sleep_for(kLockPause);
  }
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

VettedImage vet(ImageFacts facts, Consent consent) {
  judge(facts, consent).throw_if_refused();
  return VettedImage(std::move(facts), std::move(consent));
}

ArmedImage arm(const VettedImage& vetted) {
  const ImageFacts& then = vetted.facts();
  const std::string name = then.request.path.string();
  UniqueFd fd = open_for_writing(name);
  lock(fd.get(), name, LOCK_EX);

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
  judge(now, vetted.consent()).throw_if_refused();

  auto device = std::make_unique<block::FileDevice>(std::move(fd), name, now.identity.value().size,
                                                    then.request.sector);
  return ArmedImage(std::move(device), now.identity.value(), then.request.drive_id);
}

void hold_for_reading(const block::FileDevice& image) { lock(image.fd(), image.name(), LOCK_SH); }
void hold_for_writing(const block::FileDevice& image) { lock(image.fd(), image.name(), LOCK_EX); }

}  // namespace driveprep::guard
