#include <catch2/catch.hpp>
#include <string>

#include "agent/manifest/manifest_format.h"

namespace driveprep::manifest {
namespace {

std::string text(const char* problem) { return problem == nullptr ? "" : problem; }

TEST_CASE("blocks stay at 4 MiB until 50000 of them are not enough") {
  CHECK(block_length_for(0) == 4 * kMiB);
  CHECK(block_length_for(1) == 4 * kMiB);
  CHECK(block_length_for(50'000 * 4 * kMiB) == 4 * kMiB);
  CHECK(block_length_for(50'000 * 4 * kMiB + 1) == 8 * kMiB);
  CHECK(block_length_for(50'000 * 8 * kMiB) == 8 * kMiB);
  CHECK(block_length_for(5'000'000ULL * kMiB) == 100 * kMiB);
  CHECK(block_length_for(50'000 * 4000 * kMiB) == 4000 * kMiB);
  CHECK_FALSE(block_length_for(50'000 * 4000 * kMiB + 1));
  CHECK_FALSE(block_length_for(~0ULL));
}

TEST_CASE("blocks cover the whole blob without gaps") {
  PieceRules rules;
  REQUIRE(rules.begin(BlobType::kBlock, 10) == nullptr);
  CHECK(text(rules.end()) == "the blocks do not cover the whole blob");
  CHECK(text(rules.piece(1, 4)) == "a block does not begin where the one before it ends");
  REQUIRE(rules.piece(0, 4) == nullptr);
  CHECK(text(rules.piece(3, 4)) == "a block does not begin where the one before it ends");
  CHECK(text(rules.piece(4, 0)) == "a piece of length 0");
  CHECK(text(rules.piece(4, 7)) == "a piece ends behind the end of the blob");
  CHECK(text(rules.piece(~0ULL, 2)) == "a piece ends behind the end of the blob");
  REQUIRE(rules.piece(4, 6) == nullptr);
  CHECK(rules.end() == nullptr);
  CHECK(rules.count() == 2);
  REQUIRE(rules.begin(BlobType::kBlock, 0) == nullptr);
  CHECK(rules.end() == nullptr);
}

TEST_CASE("a blob of up to 195 GiB has blocks of at most 4 MiB and at most 50000 of them") {
  PieceRules rules;
  REQUIRE(rules.begin(BlobType::kBlock, 8 * kMiB) == nullptr);
  CHECK(text(rules.piece(0, 4 * kMiB + 1)) == "a piece is longer than the blob's length allows");
  REQUIRE(rules.begin(BlobType::kBlock, 50'001) == nullptr);
  for (std::uint64_t i = 0; i < 50'000; ++i) REQUIRE(rules.piece(i, 1) == nullptr);
  CHECK(text(rules.piece(50'000, 1)) == "more than 50000 blocks");
  REQUIRE(rules.begin(BlobType::kBlock, 50'000 * 4 * kMiB + 1) == nullptr);
  CHECK(rules.piece(0, 8 * kMiB) == nullptr);
  CHECK(text(rules.begin(BlobType::kBlock, ~0ULL)) ==
        "the blob is longer than 50000 of the largest blocks");
}

TEST_CASE("page ranges are aligned, ascending, and may leave gaps") {
  PieceRules rules;
  CHECK(text(rules.begin(BlobType::kPage, 1000)) ==
        "the length of a page blob is not a multiple of 512");
  REQUIRE(rules.begin(BlobType::kPage, 8 * kMiB) == nullptr);
  CHECK(text(rules.piece(0, 100)) == "a page range is not aligned to 512 bytes");
  CHECK(text(rules.piece(100, 512)) == "a page range is not aligned to 512 bytes");
  CHECK(text(rules.piece(0, 5 * kMiB)) == "a piece is longer than the blob's length allows");
  REQUIRE(rules.piece(1024, 1024) == nullptr);
  CHECK(text(rules.piece(1536, 512)) == "a page range overlaps the one before it, or comes too late");
  CHECK(text(rules.piece(0, 512)) == "a page range overlaps the one before it, or comes too late");
  REQUIRE(rules.piece(8 * kMiB - 512, 512) == nullptr);
  CHECK(rules.end() == nullptr);
}

TEST_CASE("dispositions have their literal names") {
  for (const char* name : {"rename", "no-overwrite", "overwrite"}) {
    const auto disposition = disposition_from(name);
    REQUIRE(disposition);
    CHECK(to_string(*disposition) == name);
  }
  CHECK_FALSE(disposition_from("Rename"));
  CHECK_FALSE(disposition_from(""));
}

}  // namespace
}  // namespace driveprep::manifest
