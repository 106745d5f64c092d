// An NTFS made by mkntfs and filled through ntfs-3g, another program than the one under test.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "drive/block/file_device.h"
#include "drive/ntfs/file_tree.h"
#include "tests/support/scratch.h"

namespace driveprep::test {

class MountedNtfs {
 public:
  // Whether volumes can be mounted here; otherwise warns, so that the skip is seen.
  static bool possible() {
    for (const char* name : {"mkntfs", "ntfs-3g", "fusermount"}) {
      if (!program(name).empty()) continue;
      WARN("skipped: " << name << " is not installed");
      return false;
    }
    if (::access("/dev/fuse", R_OK | W_OK) == 0 && ::geteuid() == 0) return true;
    WARN("skipped: mounting through FUSE needs root and /dev/fuse");
    return false;
  }

  explicit MountedNtfs(std::uint64_t size, const std::vector<std::string>& mkntfs_options = {}) {
    image_ = directory_.image("ntfs.img", size);
    std::filesystem::create_directory(directory_ / "mount");
    std::vector<std::string> arguments = {"-q", "-F", "-Q", "-L", "TEST"};
    arguments.insert(arguments.end(), mkntfs_options.begin(), mkntfs_options.end());
    arguments.push_back(image_);
    require(run_subprocess(program("mkntfs"), arguments).exit_status == 0, "mkntfs failed");
    mount();
  }
  MountedNtfs(const MountedNtfs&) = delete;
  MountedNtfs& operator=(const MountedNtfs&) = delete;
  ~MountedNtfs() {
    if (mounted_) run_subprocess(program("fusermount"), {"-u", "-z", directory_ / "mount"});
  }

  std::filesystem::path operator/(const std::string& path) const {
    return directory_ / "mount" / path;
  }
  const std::filesystem::path& image() const { return image_; }

  void mount() {
    const auto result = run_subprocess(
        program("ntfs-3g"), {"-o", "compression,no_def_opts,silent", image_, directory_ / "mount"});
    require(result.exit_status == 0, "ntfs-3g failed");
    mounted_ = true;
  }

  // Everything is in the image when this returns: fusermount does not wait for ntfs-3g to end, but
  // its lock on the image does.
  void unmount() {
    require(run_subprocess(program("fusermount"), {"-u", directory_ / "mount"}).exit_status == 0,
            "fusermount failed");
    mounted_ = false;
    for (int i = 0; i < 1000; ++i) {
      const UniqueFd fd(::open(image_.c_str(), O_RDWR | O_CLOEXEC));
      struct flock lock {};
      lock.l_type = F_WRLCK;
      if (::fcntl(fd.get(), F_SETLK, &lock) == 0) return;
      ::usleep(10'000);
    }
    internal_error("ntfs-3g does not let go of its image");
  }

  void write(const std::string& path, ByteView content, std::uint64_t offset = 0) const {
    const UniqueFd fd = posix::open(*this / path, O_WRONLY | O_CREAT, ErrorKind::kWrite, 0644);
    posix::pwrite_all(fd.get(), offset, content, path, ErrorKind::kWrite);
  }
  void truncate(const std::string& path, std::uint64_t size) const {
    require(::truncate((*this / path).c_str(), static_cast<off_t>(size)) == 0, "truncate failed");
  }
  void make_directory(const std::string& path) const {
    require(::mkdir((*this / path).c_str(), 0755) == 0, "mkdir failed");
  }
  // Windows attributes; a directory with 0x800 compresses what is made in it.
  void set_attributes(const std::string& path, std::uint32_t attributes) const {
    ByteWriter value;
    value.u32(attributes);
    set(path, "system.ntfs_attrib", value.view());
  }
  // A reparse point with this tag and this data.
  void set_reparse_point(const std::string& path, std::uint32_t tag, ByteView data) const {
    ByteWriter value;
    value.u32(tag).u16(static_cast<std::uint16_t>(data.size())).u16(0).bytes(data);
    set(path, "system.ntfs_reparse_data", value.view());
  }
  void set_times(const std::string& path, timespec access, timespec modification) const {
    const timespec times[2] = {access, modification};
    require(::utimensat(AT_FDCWD, (*this / path).c_str(), times, AT_SYMLINK_NOFOLLOW) == 0,
            "utimensat failed");
  }

 private:
  void set(const std::string& path, const char* name, ByteView value) const {
    if (::setxattr((*this / path).c_str(), name, value.data(), value.size(), 0) == 0) return;
    internal_error(std::string("setxattr ") + name + ": " + std::to_string(errno));
  }

  ScratchDirectory directory_;
  std::filesystem::path image_;
  bool mounted_ = false;
};

// The same, unmounted and opened with our own reader when it is filled.
class NtfsVolume : public MountedNtfs {
 public:
  using MountedNtfs::MountedNtfs;

  ntfs::FileTree& open() {
    unmount();
    device_ = block::open_image_read_only(image(), SectorSize(512));
    tree_ = std::make_unique<ntfs::FileTree>(*device_);
    return *tree_;
  }
  const block::FileDevice& device() const { return *device_; }

 private:
  std::unique_ptr<block::FileDevice> device_;
  std::unique_ptr<ntfs::FileTree> tree_;
};

}  // namespace driveprep::test
