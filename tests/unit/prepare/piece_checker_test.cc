#include <catch2/catch.hpp>

#include "agent/prepare/buffer_pool.h"
#include "agent/prepare/piece_checker.h"
#include "drive/block/memory_device.h"

using namespace driveprep;
using namespace driveprep::prepare;

namespace {

const auto kBlob = std::make_shared<const std::string>("container/blob");

Bytes pattern(std::size_t size, unsigned step) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * step % 251);
  return bytes;
}

}  // namespace

TEST_CASE("pieces that are equal are counted, one that differs is named with its place") {
  block::MemoryDevice volume(64 * kMiB);
  const Bytes content = pattern(kBufferBytes, 7);
  volume.write(8 * kMiB, content);
  volume.write(16 * kMiB, content);
  std::atomic<std::uint64_t> bytes{0};
  PieceChecker checker(volume, {.threads = 2}, [&](std::uint64_t count) { bytes += count; });
  checker.add({kBlob, 0, kBufferBytes, md5(content), {{8 * kMiB, kBufferBytes}}});
  // The same content in two ranges, and only part of it.
  checker.add({kBlob, 4 * kMiB, 6000, md5(ByteView(content).first(6000)),
               {{8 * kMiB, 4096}, {8 * kMiB + 4096, 4096}}});
  checker.add({kBlob, 8 * kMiB, kBufferBytes, md5(content), {{24 * kMiB, kBufferBytes}}});
  checker.finish();
  REQUIRE(checker.mismatch_count() == 1);
  CHECK(checker.mismatches()[0].blob == "container/blob");
  CHECK(checker.mismatches()[0].offset == 8 * kMiB);
  CHECK_THAT(checker.mismatches()[0].what, Catch::Contains("all zeros"));
  CHECK(bytes == 2 * kBufferBytes + 6000);
}

TEST_CASE("a piece longer than a buffer is hashed as one") {
  block::MemoryDevice volume(64 * kMiB);
  const Bytes content = pattern(2 * kBufferBytes + 4096, 3);
  volume.write(8 * kMiB, content);
  PieceChecker checker(volume, {.threads = 1}, [](std::uint64_t) {});
  checker.add({kBlob, 0, content.size(), md5(content), {{8 * kMiB, content.size()}}});
  checker.finish();
  CHECK(checker.mismatch_count() == 0);
}

TEST_CASE("a piece that cannot be read is a mismatch, and the others are still compared") {
  block::MemoryDevice volume(16 * kMiB);
  const Bytes content = pattern(4096, 3);
  volume.write(8 * kMiB, content);
  PieceChecker checker(volume, {.threads = 1}, [](std::uint64_t) {});
  checker.add({kBlob, 0, 4096, md5(content), {{32 * kMiB, 4096}}});
  checker.add({kBlob, 4096, 4096, md5(content), {{8 * kMiB, 4096}}});
  checker.finish();
  REQUIRE(checker.mismatch_count() == 1);
  CHECK_THAT(checker.mismatches()[0].what, Catch::Contains("cannot be read"));
}

TEST_CASE("an error of reading is told from content that differs") {
  class Failing : public block::MemoryDevice {
   public:
    using MemoryDevice::MemoryDevice;
    void read(std::uint64_t offset, MutableByteView out) const override {
      if (offset >= 8 * kMiB) throw Error(ErrorKind::kWrite, "read-failed", "read: EIO");
      MemoryDevice::read(offset, out);
    }
  };
  const Failing volume(16 * kMiB);
  PieceChecker checker(volume, {.threads = 1}, [](std::uint64_t) {});
  checker.add({kBlob, 0, 4096, Md5{}, {{8 * kMiB, 4096}}});
  checker.add({kBlob, 4096, 2 * kBufferBytes, Md5{}, {{8 * kMiB, 2 * kBufferBytes}}});
  checker.add({kBlob, 16 * kMiB, 4096, Md5{}, {{0, 4096}}});
  checker.add({kBlob, 20 * kMiB, 4096, Md5{}, {{32 * kMiB, 4096}}});
  checker.finish();
  CHECK(checker.mismatch_count() == 4);
  CHECK(checker.unreadable_count() == 3);
}

TEST_CASE("mismatches come in the order of blob and offset, whoever found them first") {
  block::MemoryDevice volume(64 * kMiB);
  const auto last = std::make_shared<const std::string>("container/z");
  PieceChecker checker(volume, {.threads = 3}, [](std::uint64_t) {});
  Md5 wrong{};
  for (std::uint64_t i = 200; i > 0; --i) {
    checker.add({i % 2 == 0 ? kBlob : last, i * 4096, 4096, wrong, {{8 * kMiB, 4096}}});
  }
  checker.finish();
  CHECK(checker.mismatch_count() == 200);
  REQUIRE(checker.mismatches().size() == 100);
  for (std::uint64_t i = 0; i < 100; ++i) {
    CHECK(checker.mismatches()[i].blob == "container/blob");
    CHECK(checker.mismatches()[i].offset == (i + 1) * 2 * 4096);
  }
}

TEST_CASE("millions of mismatches do not fill the memory") {
  block::MemoryDevice volume(16 * kMiB);
  PieceChecker checker(volume, {.threads = 1}, [](std::uint64_t) {});
  for (int i = 0; i < 500; ++i) checker.report({"b", 0, "differs"});
  checker.finish();
  CHECK(checker.mismatch_count() == 500);
  CHECK(checker.mismatches().size() == 100);
}
