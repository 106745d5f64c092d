#include "drive/block/file_device.h"

#include <fcntl.h>

#include <sys/resource.h>
#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>

#include "drive/block/aligned_buffer.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::block;
using test::error_of;

namespace {

constexpr std::uint64_t kSize = kMiB + 512;  // the last sector is not whole for direct input

FileDevice open_device(const std::filesystem::path& path, int flags = O_RDWR) {
  return {posix::open(path, flags, ErrorKind::kWrite), "disk0.img", kSize, SectorSize(512)};
}

// Files may grow to `bytes` at most while this lives; a write beyond it fails with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("every mixture of aligned and unaligned transfers sees the same bytes") {
  test::ScratchDirectory scratch(std::filesystem::current_path());
  FileDevice device = open_device(scratch.image("disk0.img", kSize));
  Bytes model(kSize);
  const auto put = [&](std::uint64_t offset, ByteView data) {
    device.write(offset, data);
    std::copy(data.begin(), data.end(), model.begin() + static_cast<std::ptrdiff_t>(offset));
  };
  AlignedBuffer aligned(64 * kKiB);
  std::ranges::copy(test::pattern(aligned.size(), 7), aligned.span().begin());
  const Bytes loose = test::pattern(64 * kKiB + 1, 9);

  put(0, aligned.span());                        // direct
  put(4096, ByteView(loose).subspan(1, 8192));   // aligned place, unaligned memory
  put(512, ByteView(loose).first(1024));         // unaligned place
  put(kSize - 512, ByteView(loose).first(512));  // the odd last sector
  put(128 * kKiB, aligned.span());

  Bytes back(kSize);
  device.read(0, back);
  CHECK((back == model));
  AlignedBuffer direct(64 * kKiB);
  device.read(128 * kKiB, direct.span());
  CHECK(std::ranges::equal(direct.span(), aligned.span()));
  for (const auto& [offset, length] : std::vector<std::pair<std::uint64_t, std::size_t>>{
           {1, 1}, {4095, 2}, {511, 70'000}, {kSize - 1, 1}, {kSize - 513, 513}, {kSize, 0}}) {
    Bytes piece(length);
    device.read(offset, piece);
    CHECK(std::equal(piece.begin(), piece.end(),
                     model.begin() + static_cast<std::ptrdiff_t>(offset)));
  }
}

TEST_CASE("the page cache is bypassed where the file system allows it, and the device says so") {
  test::ScratchDirectory scratch(std::filesystem::current_path());
  const auto path = scratch.image("disk0.img", kSize);
  const UniqueFd direct(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
  AlignedBuffer buffer(4096);
  const bool allowed =
      direct.valid() && ::pread(direct.get(), buffer.span().data(), buffer.size(), 0) >= 0;
  CHECK(open_device(path).bypasses_cache() == allowed);
  if (!allowed) WARN("this file system knows no direct input");
}

TEST_CASE("a device that is to use the page cache reads the same through it") {
  test::ScratchDirectory scratch(std::filesystem::current_path());
  const auto path = scratch.image("disk0.img", kSize);
  const FileDevice cached(posix::open(path, O_RDONLY, ErrorKind::kBusy), path.string(), kSize,
                          SectorSize(512), PageCache::kUse);
  CHECK_FALSE(cached.bypasses_cache());
  open_device(path).write(4096, Bytes(4096, std::byte{7}));
  AlignedBuffer page(4096);
  cached.read(4096, page.span());
  CHECK(std::ranges::all_of(page.span(), [](std::byte b) { return b == std::byte{7}; }));
}

TEST_CASE("nothing is written past the end, so an image never grows") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  FileDevice device = open_device(path);
  CHECK(error_of([&] { device.write(kSize, Bytes(512)); }) == "internal/past-end");
  CHECK(error_of([&] { device.write(kSize - 511, Bytes(512)); }) == "internal/past-end");
  CHECK(std::filesystem::file_size(path) == kSize);
}

TEST_CASE("a file that is shorter than the device says so") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  const FileDevice device = open_device(path);
  std::filesystem::resize_file(path, 4096);
  Bytes bytes(1000);
  CHECK(error_of([&] { device.read(100'000, bytes); }) == "write/file-too-short");
}

TEST_CASE("after one failed write the device takes nothing more") {
  test::ScratchDirectory scratch;
  FileDevice device = open_device(scratch.image("disk0.img", kSize));
  {
    const FileSizeLimit limit(64 * kKiB);
    CHECK(error_of([&] { device.write(512 * kKiB, Bytes(512)); }) == "write/write-failed");
  }
  CHECK(error_of([&] { device.write(0, Bytes(512)); }) == "write/device-failed");
  CHECK(error_of([&] { device.flush(); }) == "write/device-failed");
  Bytes bytes(512);
  CHECK(error_of([&] { device.read(0, bytes); }).empty());
}

TEST_CASE("what is to be destroyed is written past the places that cannot be") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  std::string gone;
  FileDevice device(posix::open(path, O_RDWR, ErrorKind::kWrite), UniqueFd(), path.string(), kSize,
                    SectorSize(512), [&] { return gone; });
  device.write_past_errors();
  const FileSizeLimit limit(64 * kKiB);
  CHECK(error_of([&] { device.write(512 * kKiB, Bytes(512)); }) == "write/write-failed");
  CHECK(error_of([&] { device.write(0, Bytes(512, std::byte{7})); }).empty());
  CHECK(error_of([&] { device.flush(); }).empty());
  Bytes bytes(512);
  device.read(0, bytes);
  CHECK(bytes == Bytes(512, std::byte{7}));
  gone = "it was unplugged";
  CHECK(error_of([&] { device.write(512 * kKiB, Bytes(512)); }) == "busy/drive-vanished");
  CHECK(error_of([&] { device.write(0, Bytes(512)); }) == "write/device-failed");
}

TEST_CASE("an error of the medium does not send reads through the page cache") {
  // For writing only: what cannot be read by it has another cause than a missing O_DIRECT.
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  const FileDevice device(posix::open(path, O_RDWR, ErrorKind::kWrite),
                          posix::open(path, O_WRONLY, ErrorKind::kWrite), path.string(), kSize,
                          SectorSize(512), {});
  CHECK(device.bypasses_cache());
  AlignedBuffer page(4096);
  CHECK(error_of([&] { device.read(0, page.span()); }) == "write/read-failed");
}

TEST_CASE("a failed flush is final") {
  // A pipe cannot be flushed, which is a failing fdatasync without a failing disk.
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]);
  FileDevice device(UniqueFd(ends[1]), "pipe", kSize, SectorSize(512));
  CHECK(error_of([&] { device.flush(); }) == "write/flush-failed");
  CHECK(error_of([&] { device.flush(); }) == "write/device-failed");
}

// A file takes no discard, which is a failing disk without a disk.
TEST_CASE("a discard that fails is told as such, or that the disk is gone, and is final") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  const auto code = [&](const std::string& gone, const std::string& then) {
    FileDevice device(posix::open(path, O_RDWR, ErrorKind::kWrite), UniqueFd(), path.string(),
                      kSize, SectorSize(512), [gone] { return gone; });
    CHECK(error_of([&] { device.discard({0, kSize + 512}); }) == "internal/past-end");
    const std::string first = error_of([&] { device.discard({0, kSize}); });
    CHECK(error_of([&] { device.write(0, Bytes(512)); }) == then);
    CHECK(device.outstanding().oldest() == std::nullopt);
    return first;
  };
  CHECK(code("", "write/device-failed") == "write/discard-failed");
  CHECK(code("it was unplugged", "write/device-failed") == "busy/drive-vanished");
}

TEST_CASE("an image opened for reading cannot be written, and must be a regular file") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  const auto device = open_image_read_only(path, SectorSize(4096));
  CHECK(device->size() == kSize);
  CHECK(device->sector_size() == SectorSize(4096));
  CHECK(error_of([&] { device->write(0, Bytes(4096)); }) == "write/write-failed");
  CHECK(error_of([&] { open_image_read_only(scratch.path(), SectorSize()); }) ==
        "refused/not-an-image");
  CHECK(error_of([&] { open_image_read_only(scratch / "absent", SectorSize()); }) ==
        "busy/open-failed");
}
