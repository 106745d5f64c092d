#include "agent/volume/export.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/posix.h"
#include "drive/block/memory_device.h"
#include "tests/support/scratch.h"

using namespace driveprep;

namespace {

// Not a multiple of anything that the export works in.
constexpr std::uint64_t kSize = 37 * kMiB + 4096 + 512;

Bytes content_of(const block::ReadableDevice& device) {
  Bytes content(device.size());
  device.read(0, content);
  return content;
}

class BadSpot : public block::ReadableDevice {
 public:
  std::uint64_t size() const override { return kSize; }
  SectorSize sector_size() const override { return SectorSize(512); }
  std::string name() const override { return "bad disk"; }
  void read(std::uint64_t offset, MutableByteView out) const override {
    if (offset + out.size() > 20 * kMiB) throw Error(ErrorKind::kWrite, "read-failed", "bad spot");
    std::fill(out.begin(), out.end(), std::byte{1});
  }
};

}  // namespace

TEST_CASE("an exported volume is the volume, and its zeros are holes") {
  const test::ScratchDirectory scratch;
  block::MemoryDevice device(kSize);
  device.write(0, test::pattern(512));
  device.write(11 * kMiB - 512, test::pattern(2 * kMiB));
  device.write(kSize - 512, test::pattern(512));
  const auto path = scratch.path() / "plain.img";
  const UniqueFd fd = posix::open(path, O_RDWR | O_CREAT, ErrorKind::kWrite);
  std::uint64_t last = 0;
  const bool whole = volume::export_volume(device, fd.get(), path.string(),
                                           {.sparse = true, .on_progress = [&](std::uint64_t done) {
                                              CHECK(done > last);
                                              last = done;
                                              return true;
                                            }});
  CHECK(whole);
  CHECK(last == kSize);
  Bytes written(kSize);
  posix::pread_exact(fd.get(), 0, written, path.string(), ErrorKind::kWrite);
  CHECK((written == content_of(device)));
  struct stat status {};
  REQUIRE(::fstat(fd.get(), &status) == 0);
  CHECK(status.st_size == static_cast<off_t>(kSize));
  CHECK(status.st_blocks * 512 < static_cast<off_t>(kSize) / 2);
}

TEST_CASE("an export ends when it is told to") {
  const test::ScratchDirectory scratch;
  const block::MemoryDevice device(kSize);
  const auto path = scratch.path() / "plain.img";
  const UniqueFd fd = posix::open(path, O_RDWR | O_CREAT, ErrorKind::kWrite);
  CHECK_FALSE(
      volume::export_volume(device, fd.get(), path.string(),
                            {.on_progress = [](std::uint64_t done) { return done < 8 * kMiB; }}));
}

TEST_CASE("what cannot be read ends the export with its error") {
  const test::ScratchDirectory scratch;
  const auto path = scratch.path() / "plain.img";
  const UniqueFd fd = posix::open(path, O_RDWR | O_CREAT, ErrorKind::kWrite);
  CHECK_THROWS_AS(volume::export_volume(BadSpot(), fd.get(), path.string(), {}), Error);
}
