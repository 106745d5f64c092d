#include "drive/block/redo_device.h"

#include <catch2/catch.hpp>

#include "drive/block/memory_device.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::block;
using test::error_of;

namespace {

constexpr std::uint64_t kSize = 8 * kMiB;

Bytes all_of(const ReadableDevice& device) {
  Bytes bytes(device.size());
  device.read(0, bytes);
  return bytes;
}

// Scattered writes, one of them longer than the copy buffer, two at one place: the later one counts.
void write_checkpoint(BlockDevice& device) {
  device.write(4096, test::pattern(4096, 1));
  device.write(5 * kMiB, test::pattern(512, 2));
  device.write(kMiB, test::pattern(3 * kMiB / 2, 3));
  device.write(4096, test::pattern(512, 4));
}

Bytes expected() {
  MemoryDevice device(kSize);
  write_checkpoint(device);
  return all_of(device);
}

// A sealed redo file that was never applied, as a crash leaves it.
Sha256 sealed_and_forgotten(const std::filesystem::path& path, std::uint64_t number) {
  MemoryDevice below(kSize);
  RedoDevice redo(below, path);
  redo.begin(number);
  write_checkpoint(redo);
  return redo.seal();
}

}  // namespace

TEST_CASE("nothing reaches the device before apply, everything after it") {
  test::ScratchDirectory scratch;
  MemoryDevice below(kSize);
  RedoDevice redo(below, scratch / "redo");
  redo.begin(1);
  write_checkpoint(redo);
  CHECK((all_of(below) == Bytes(kSize)));
  redo.seal();
  CHECK((all_of(below) == Bytes(kSize)));
  redo.apply();
  CHECK((all_of(below) == expected()));
}

TEST_CASE("outside a recording, writes go straight through") {
  test::ScratchDirectory scratch;
  MemoryDevice below(kSize);
  RedoDevice redo(below, scratch / "redo");
  write_checkpoint(redo);
  CHECK((all_of(redo) == expected()));
  CHECK_FALSE(std::filesystem::exists(scratch / "redo"));
}

TEST_CASE("an abandoned recording leaves no trace, and the next one is its own") {
  test::ScratchDirectory scratch;
  MemoryDevice below(kSize);
  RedoDevice redo(below, scratch / "redo");
  redo.begin(1);
  redo.write(0, test::pattern(4096));
  redo.abandon();
  CHECK(std::filesystem::file_size(scratch / "redo") == 0);  // room for a record of what went wrong
  redo.begin(2);
  write_checkpoint(redo);
  redo.seal();
  redo.apply();
  CHECK((all_of(below) == expected()));
}

TEST_CASE("after a crash the sealed checkpoint is replayed, as often as one likes") {
  test::ScratchDirectory scratch;
  const Sha256 digest = sealed_and_forgotten(scratch / "redo", 7);
  MemoryDevice below(kSize);
  RedoDevice redo(below, scratch / "redo");
  CHECK(redo.replay(7, digest));
  CHECK((all_of(below) == expected()));
  CHECK(redo.replay(7, digest));
  CHECK((all_of(below) == expected()));
}

TEST_CASE("a crash at any write of the replay is healed by the next replay") {
  test::ScratchDirectory scratch;
  const Sha256 digest = sealed_and_forgotten(scratch / "redo", 7);
  MemoryDevice below(kSize);
  for (std::uint64_t fails = 0; fails < 5; ++fails) {
    std::uint64_t count = 0;
    below.before_write = [&](std::uint64_t, std::uint64_t, ByteView) {
      if (count++ == fails) throw Error(ErrorKind::kWrite, "simulated", "power cut");
    };
    CHECK(error_of([&] { RedoDevice(below, scratch / "redo").replay(7, digest); }) ==
          "write/simulated");
  }
  below.before_write = nullptr;
  CHECK(RedoDevice(below, scratch / "redo").replay(7, digest));
  CHECK((all_of(below) == expected()));
}

TEST_CASE("another checkpoint's file is not replayed") {
  test::ScratchDirectory scratch;
  const Sha256 digest = sealed_and_forgotten(scratch / "redo", 7);
  MemoryDevice below(kSize);
  RedoDevice redo(below, scratch / "redo");
  Sha256 other = digest;
  other[31] ^= std::byte{1};
  CHECK_FALSE(redo.replay(8, digest));
  CHECK_FALSE(redo.replay(7, other));
  CHECK_FALSE(RedoDevice(below, scratch / "absent").replay(7, digest));
  CHECK((all_of(below) == Bytes(kSize)));
}

TEST_CASE("a torn or damaged redo file is never replayed in part") {
  test::ScratchDirectory scratch;
  const Sha256 digest = sealed_and_forgotten(scratch / "redo", 7);
  const std::string whole = posix::read_file(scratch / "redo", 16 * kMiB, ErrorKind::kSource);
  // What the device holds after an attempt to replay `content`: nothing, everything, or a mixture.
  const auto outcome_of = [&](std::string_view content) -> std::string {
    const UniqueFd fd =
        posix::open(scratch / "torn", O_RDWR | O_CREAT | O_TRUNC, ErrorKind::kWrite);
    posix::write_all(fd.get(), as_bytes(content), "torn", ErrorKind::kWrite);
    MemoryDevice below(kSize);
    bool replayed = false;
    const std::string error =
        error_of([&] { replayed = RedoDevice(below, scratch / "torn").replay(7, digest); });
    if (!error.empty()) return error;
    if (all_of(below) == Bytes(kSize)) return replayed ? "claims too much" : "nothing";
    if (all_of(below) == expected()) return replayed ? "everything" : "unclear";
    return "a mixture";
  };

  CHECK(outcome_of(whole) == "everything");
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{8}, std::size_t{63}, std::size_t{64}, std::size_t{100},
        whole.size() / 2, whole.size() - 1}) {
    CAPTURE(length);
    CHECK(outcome_of(whole.substr(0, length)) == "nothing");
  }
  // The header (64 bytes), the first record's place and length, and some of its data.
  for (std::size_t at = 0; at < 90; ++at) {
    CAPTURE(at);
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    CHECK(outcome_of(damaged) == "nothing");
  }
}

TEST_CASE("a redo file that counts more or fewer records than it has is not replayed") {
  test::ScratchDirectory scratch;
  const Sha256 digest = sealed_and_forgotten(scratch / "redo", 7);
  const UniqueFd fd = posix::open(scratch / "redo", O_RDWR, ErrorKind::kWrite);
  for (const std::uint64_t count : {0ULL, 3ULL, 5ULL, 1ULL << 40, ~0ULL}) {
    CAPTURE(count);
    const Bytes raw = ByteWriter().u64(count).take();
    posix::pwrite_all(fd.get(), 16, raw, "redo", ErrorKind::kWrite);
    MemoryDevice below(kSize);
    CHECK_FALSE(RedoDevice(below, scratch / "redo").replay(7, digest));
    CHECK((all_of(below) == Bytes(kSize)));
  }
}

TEST_CASE("an unsealed recording is not replayed, even where an older sealed one was") {
  test::ScratchDirectory scratch;
  const Sha256 old = sealed_and_forgotten(scratch / "redo", 7);
  MemoryDevice below(kSize);
  {
    RedoDevice redo(below, scratch / "redo");
    redo.begin(8);
    redo.write(0, test::pattern(4096));
  }
  RedoDevice redo(below, scratch / "redo");
  CHECK_FALSE(redo.replay(7, old));
  CHECK((all_of(below) == Bytes(kSize)));
}

TEST_CASE("an empty checkpoint can be sealed and replayed") {
  test::ScratchDirectory scratch;
  MemoryDevice below(kSize);
  RedoDevice redo(below, scratch / "redo");
  redo.begin(3);
  const Sha256 digest = redo.seal();
  redo.apply();
  CHECK(redo.replay(3, digest));
  CHECK((all_of(below) == Bytes(kSize)));
}

TEST_CASE("the redo file is for the owner's eyes only") {
  test::ScratchDirectory scratch;
  sealed_and_forgotten(scratch / "redo", 1);
  CHECK(std::filesystem::status(scratch / "redo").permissions() ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}

TEST_CASE("calls out of order are bugs and say so") {
  test::ScratchDirectory scratch;
  MemoryDevice below(kSize);
  RedoDevice redo(below, scratch / "redo");
  CHECK(error_of([&] { redo.seal(); }) == "internal/internal");
  CHECK(error_of([&] { redo.apply(); }) == "internal/internal");
  redo.begin(1);
  CHECK(error_of([&] { redo.begin(2); }) == "internal/internal");
  CHECK(error_of([&] { redo.replay(1, {}); }) == "internal/internal");
  CHECK(error_of([&] { redo.write(kSize, Bytes(512)); }) == "internal/past-end");
}
