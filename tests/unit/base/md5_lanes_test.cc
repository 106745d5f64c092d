#include "base/md5_lanes.h"

#include <catch2/catch.hpp>
#include <numeric>

#include "base/encoding.h"
#include "tests/support/scratch.h"

using namespace driveprep;

namespace {

// What OpenSSL says about each block, one at a time.
void compare_with_openssl(const std::vector<ByteView>& blocks) {
  std::vector<Md5> digests(blocks.size());
  md5_lanes(blocks, digests);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (digests[i] == md5(blocks[i])) continue;
    CAPTURE(i, blocks.size(), blocks[i].size());
    CHECK(hex_lower(digests[i]) == hex_lower(md5(blocks[i])));
  }
}

}  // namespace

TEST_CASE("the lane count is one that the code knows") {
  const std::size_t lanes = md5_lane_count();
  CHECK((lanes == 1 || lanes == 8 || lanes == 16));
}

TEST_CASE("equal blocks of every length around the padding limits agree with OpenSSL") {
  const Bytes data = test::pattern(40 * 200);
  for (std::size_t length = 0; length <= 200; ++length) {
    std::vector<ByteView> blocks;
    for (std::size_t i = 0; i < 40; ++i) blocks.push_back(ByteView(data).subspan(i * 200, length));
    compare_with_openssl(blocks);
  }
}

TEST_CASE("any number of blocks agrees with OpenSSL") {
  const Bytes data = test::pattern(50 * 4096);
  for (std::size_t count = 0; count <= 50; ++count) {
    std::vector<ByteView> blocks;
    for (std::size_t i = 0; i < count; ++i) blocks.push_back(ByteView(data).subspan(i * 4096, 4096));
    compare_with_openssl(blocks);
  }
}

TEST_CASE("blocks of different lengths agree with OpenSSL") {
  const Bytes data = test::pattern(1 << 20);
  std::uint32_t state = 12345;
  const auto next = [&](std::uint32_t limit) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % limit;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<ByteView> blocks(next(40));
    for (ByteView& block : blocks) {
      const std::size_t length = next(4) == 0 ? next(130) : next(20'000);
      block = ByteView(data).subspan(next(1 << 19), length);
    }
    compare_with_openssl(blocks);
  }
}

TEST_CASE("unaligned blocks of a manifest's size agree with OpenSSL") {
  const Bytes data = test::pattern(17 * (4 << 20) + 64);
  std::vector<ByteView> blocks;
  for (std::size_t i = 0; i < 17; ++i) {
    blocks.push_back(ByteView(data).subspan(i * (4 << 20) + i, i == 16 ? 1'000'003 : 4 << 20));
  }
  compare_with_openssl(blocks);
}
