#include "drive/guard/loop_devices.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <charconv>
#include <optional>

#include "base/posix.h"

namespace driveprep::guard {
namespace {

constexpr std::uint64_t kSysfsUnit = 512;
constexpr std::uint64_t kSysfsLimit = 64 * 1024;
constexpr std::string_view kDeleted = " (deleted)";

enum class Answer { kYes, kNo, kUnknown };

// A deleted backing file has no name left, so it is not the file that we were given by name.
Answer ask_path(const std::string& backing, std::uint64_t device, std::uint64_t inode) {
  struct stat status {};
  if (::stat(backing.c_str(), &status) == 0) {
    return status.st_dev == device && status.st_ino == inode ? Answer::kYes : Answer::kNo;
  }
  return backing.ends_with(kDeleted) ? Answer::kNo : Answer::kUnknown;
}

// The kernel's own record; needs the right to open the device.
Answer ask_kernel(const std::string& name, std::uint64_t device, std::uint64_t inode) {
  const UniqueFd fd(::open(("/dev/" + name).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return Answer::kUnknown;
  loop_info64 info{};
  if (::ioctl(fd.get(), LOOP_GET_STATUS64, &info) != 0) return Answer::kUnknown;
  return info.lo_device == device && info.lo_inode == inode ? Answer::kYes : Answer::kNo;
}

std::string first_line(const std::filesystem::path& path) {
  std::string text = posix::read_file(path, kSysfsLimit, ErrorKind::kRefused);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

std::string loop_device_of(std::uint64_t device, std::uint64_t inode,
                           const std::filesystem::path& path, std::uint64_t size,
                           const std::filesystem::path& sysfs) {
  std::error_code error;
  const std::filesystem::directory_iterator entries(sysfs / "block", error);
  if (error) {
    throw Error(ErrorKind::kRefused, "loop-unreadable",
                "list the block devices in " + (sysfs / "block").string() + ": " + error.message(),
                "Mount sysfs on /sys.");
  }
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("loop")) continue;
    std::string backing;
    std::string sectors;
    try {
      // The attribute exists only while the device is set up, and may go away under us.
      if (!std::filesystem::exists(entry.path() / "loop/backing_file", error)) continue;
      backing = first_line(entry.path() / "loop/backing_file");
      sectors = first_line(entry.path() / "size");
    } catch (const Error&) {
      if (!std::filesystem::exists(entry.path() / "loop/backing_file", error)) continue;
      throw;
    }
    Answer answer = ask_path(backing, device, inode);
    if (answer == Answer::kUnknown) answer = ask_kernel(name, device, inode);
    if (answer == Answer::kYes) return name;
    if (answer == Answer::kNo) continue;
    // Set up in another mount namespace: its path means nothing here, but its name and size do.
    std::uint64_t count = 0;
    std::from_chars(sectors.data(), sectors.data() + sectors.size(), count);
    if (std::filesystem::path(backing).filename() == path.filename() &&
        count == size / kSysfsUnit) {
      throw Error(
          ErrorKind::kRefused, "loop-unreadable",
          name + " is made of " + backing + ", which cannot be told apart from " + path.string(),
          "Detach " + name + " (losetup -d), or rename the image.");
    }
  }
  return {};
}

}  // namespace driveprep::guard
