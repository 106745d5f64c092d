// Devices behind file descriptors: image files and whole disks.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "base/unique_fd.h"
#include "drive/block/block_device.h"
#include "drive/block/outstanding.h"

namespace driveprep::block {

enum class PageCache { kBypass, kUse };

// Reads and writes one file descriptor. With kBypass aligned transfers go through a second,
// O_DIRECT descriptor where the file system allows it, so that they neither fill nor come out of
// the page cache.
class FileDevice : public BlockDevice {
 public:
  // In which way a device that has just answered with an error is lost, in words: "it was
  // unplugged"; "" while it is there.
  using Gone = std::function<std::string()>;

  // `fd`: open for reading and writing (or reading only: then write is an internal error).
  // `size`: bytes; `sector`: what an image file cannot tell itself.
  FileDevice(UniqueFd fd, std::string name, std::uint64_t size, SectorSize sector,
             PageCache cache = PageCache::kBypass);
  // A disk whose descriptors were opened elsewhere; without `direct` the page cache is used. After
  // an error of the kernel `gone` is asked: an unplugged disk gives many, "no space left" too.
  FileDevice(UniqueFd fd, UniqueFd direct, std::string name, std::uint64_t size, SectorSize sector,
             Gone gone);

  std::uint64_t size() const override { return size_; }
  SectorSize sector_size() const override { return sector_; }
  std::string name() const override { return name_; }
  void read(std::uint64_t offset, MutableByteView out) const override;
  void write(std::uint64_t offset, ByteView data) override;
  void flush() override;
  // Tells a disk that it may forget whole sectors (BLKDISCARD). No proof of anything: it may ignore
  // that, and what it gives back then is its own affair. Throws kWrite "discard-failed".
  void discard(const ByteRange& range);

  // For what is to be destroyed: a place that cannot be written saves no other one. A write that
  // fails is told as ever, and the next one is tried. A failed flush stays final.
  void write_past_errors() { past_errors_ = true; }

  // Whether reads and aligned writes bypass the page cache; to be reported with a verification.
  bool bypasses_cache() const { return direct_fd_.valid(); }
  int fd() const { return fd_.get(); }

  // Throws kBusy "drive-vanished" with `error` for its reason when the disk is gone: for errors that
  // may be those of libraries that work on fd().
  void throw_if_gone(const Error& error) const;

  // What has been asked for and not been answered yet, from any thread.
  const Outstanding& outstanding() const { return outstanding_; }

 private:
  void refuse_if_failed() const;
  void read_through(std::uint64_t offset, MutableByteView out) const;
  template <typename Operation>
  void attempt(const char* what, std::uint64_t offset, Operation operation) const;
  // After an error of what changes the device nothing more is written to it, unless `past_errors`.
  template <typename Operation>
  void attempt_change(const char* what, std::uint64_t offset, bool past_errors,
                      Operation operation);

  UniqueFd fd_;
  UniqueFd direct_fd_;
  std::string name_;
  std::uint64_t size_;
  SectorSize sector_;
  Gone gone_;
  mutable Outstanding outstanding_;
  std::atomic<bool> failed_{false};
  bool past_errors_ = false;
};

// Opens an existing image file for reading only.
std::unique_ptr<FileDevice> open_image_read_only(const std::string& path, SectorSize sector);

}  // namespace driveprep::block
