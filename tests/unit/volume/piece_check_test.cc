#include <catch2/catch.hpp>

#include "agent/volume/piece_check.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::volume;
using driveprep::test::pattern;

namespace {

std::vector<manifest::Piece> pieces_of(ByteView content,
                                       const std::vector<std::pair<std::size_t, std::size_t>>& at) {
  std::vector<manifest::Piece> pieces;
  for (const auto& [offset, length] : at) {
    pieces.push_back(
        {offset, static_cast<std::uint32_t>(length), md5(content.subspan(offset, length))});
  }
  return pieces;
}

// Offsets of the mismatches, the content given in parts of `step`.
std::vector<std::uint64_t> mismatches(ByteView content, const std::vector<manifest::Piece>& pieces,
                                      std::size_t step) {
  std::vector<std::uint64_t> offsets;
  PieceCheck check(pieces,
                   [&](std::uint64_t offset, const std::string&) { offsets.push_back(offset); });
  for (std::size_t at = 0; at < content.size(); at += step) {
    check.add(content.subspan(at, std::min(step, content.size() - at)));
  }
  check.finish();
  std::ranges::sort(offsets);
  return offsets;
}

}  // namespace

TEST_CASE("a block that differs is found, however the file is cut into parts") {
  const Bytes content = pattern(100'000);
  // Blocks side by side, then page ranges with gaps.
  const auto pieces = pieces_of(
      content, {{0, 10'000}, {10'000, 10'000}, {20'000, 5'000}, {40'000, 512}, {60'000, 40'000}});
  for (const std::size_t step : {1U, 7U, 4'096U, 10'000U, 30'000U, 100'000U}) {
    CAPTURE(step);
    CHECK(mismatches(content, pieces, step).empty());
    for (const auto& [at, block] :
         std::vector<std::pair<std::size_t, std::uint64_t>>{{0, 0},
                                                            {9'999, 0},
                                                            {10'000, 10'000},
                                                            {24'999, 20'000},
                                                            {40'511, 40'000},
                                                            {99'999, 60'000}}) {
      Bytes changed = content;
      changed[at] ^= std::byte{1};
      CHECK(mismatches(changed, pieces, step) == std::vector{block});
    }
    Bytes gap = content;
    gap[30'000] ^= std::byte{1};
    CHECK(mismatches(gap, pieces, step).empty());
    CHECK(mismatches(ByteView(content).first(45'000), pieces, step) ==
          std::vector<std::uint64_t>{60'000});
    CHECK(mismatches(ByteView(content).first(99'999), pieces, step) ==
          std::vector<std::uint64_t>{60'000});
  }
}

TEST_CASE("an empty file is compared with the hash of nothing") {
  CHECK(mismatches({}, {{0, 0, md5({})}}, 1).empty());
  CHECK(mismatches({}, {{0, 0, Md5{}}}, 1) == std::vector<std::uint64_t>{0});
}
