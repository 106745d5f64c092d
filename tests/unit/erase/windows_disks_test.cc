// Volumes that Windows made, on a disk that is erased: nothing of their metadata stays.
#include <catch2/catch.hpp>

#include "agent/erase/erase_disk.h"
#include "agent/erase/read_back.h"
#include "base/zeros.h"
#include "bitlocker/copy_search.h"
#include "bitlocker/examine.h"
#include "bitlocker/layout.h"
#include "bitlocker/open.h"
#include "drive/block/file_device.h"
#include "drive/block/memory_device.h"
#include "tests/support/windows_volumes.h"

using namespace driveprep;
using namespace driveprep::erase;

namespace {

constexpr std::uint64_t kPiece = 64 * kKiB;

void put(block::BlockDevice& disk, std::uint64_t offset, const test::WindowsVolume& volume) {
  const auto image = block::open_image_read_only(volume.image.string(), SectorSize(512));
  Bytes piece(kPiece);
  for (std::uint64_t at = 0; at < image->size(); at += piece.size()) {
    image->read(at, piece);
    if (!all_zero(piece)) disk.write(offset + at, piece);
  }
}

std::uint64_t size_of(const test::WindowsVolume& volume) {
  return std::filesystem::file_size(volume.image);
}

// Of each copy the header names, where it lies on the disk, sound or not.
std::vector<std::uint64_t> copies_on(const block::ReadableDevice& disk,
                                     const ByteRange& partition) {
  const block::ReadableSlice place(disk, partition, "partition");
  std::vector<std::uint64_t> offsets;
  for (const bitlocker::CopyFacts& copy : bitlocker::examine(place).copies) {
    offsets.push_back(partition.offset + copy.offset);
  }
  return offsets;
}

std::size_t signatures_on(const block::ReadableDevice& disk) {
  std::size_t found = 0;
  Bytes piece(kPiece);
  for (std::uint64_t at = 0; at < disk.size(); at += piece.size()) {
    disk.read(at, piece);
    for (std::size_t in = 0; in < piece.size(); in += 512) {
      found += as_text(ByteView(piece).subspan(in, 8)) == bitlocker::kMetadataSignature ? 1 : 0;
    }
  }
  return found;
}

bool opens(const block::ReadableDevice& disk, const ByteRange& partition,
           const std::string& password, std::optional<std::array<std::uint64_t, 3>> offsets) {
  const block::ReadableSlice place(disk, partition, "partition");
  bitlocker::OpenOptions options;
  options.metadata_offsets = offsets;
  try {
    bitlocker::open_volume(place, bitlocker::RecoveryPassword::parse(password), options);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

TEST_CASE(
    "of each volume that Windows made nothing is left, with its header and table or without") {
  for (const test::WindowsVolume& volume : test::windows_volumes()) {
    for (const bool lost : {false, true}) {
      CAPTURE(volume.name, lost);
      const ByteRange partition{17 * kMiB, size_of(volume)};
      block::MemoryDevice disk(partition.end() + 2 * kMiB);
      put(disk, partition.offset, volume);
      const std::vector<std::uint64_t> copies = copies_on(disk, partition);
      REQUIRE(copies.size() == 3);
      std::array<std::uint64_t, 3> offsets{};
      for (std::size_t i = 0; i < 3; ++i) offsets.at(i) = copies[i] - partition.offset;
      const std::string password = volume.fact("RP");
      const bool converting = volume.name.find("eow") != std::string::npos;
      CHECK(opens(disk, partition, password, std::nullopt) == !converting);
      if (lost) disk.write(partition.offset, Bytes(4096));

      EraseRequest request{.disk = disk, .partitions = {}};
      if (!lost) request.partitions.push_back(partition);
      request.method = Method::kMetadata;
      EraseReport report;
      erase_disk(request, report);
      CHECK(report.metadata_destroyed);
      CHECK(report.before.volumes.size() == 1);
      CHECK(signatures_on(disk) == 0);
      CHECK_FALSE(opens(disk, partition, password, std::nullopt));
      CHECK_FALSE(opens(disk, partition, password, offsets));
      for (const std::uint64_t copy : copies) {
        CHECK(std::ranges::any_of(report.destroyed, [&](const KeyPlace& place) {
          return place.range.offset <= copy && place.range.end() >= copy + bitlocker::kMetadataSize;
        }));
      }
      CHECK(read_back(disk, report.before, Method::kMetadata, 1).ok());
    }
  }
}

TEST_CASE("of several volumes on one disk all go, and one that is left is told") {
  const auto& volumes = test::windows_volumes();
  if (volumes.empty()) return;
  std::vector<ByteRange> partitions;
  std::uint64_t end = 17 * kMiB;
  for (const test::WindowsVolume& volume : volumes) {
    partitions.push_back({end, size_of(volume)});
    end += round_up(size_of(volume), kMiB);
  }
  block::MemoryDevice disk(end + 2 * kMiB);
  for (std::size_t i = 0; i < volumes.size(); ++i) put(disk, partitions[i].offset, volumes[i]);
  EraseRequest request{.disk = disk, .partitions = partitions};
  request.method = Method::kMetadata;
  EraseReport report;
  erase_disk(request, report);
  CHECK(report.before.volumes.size() == volumes.size());
  CHECK(signatures_on(disk) == 0);
  CHECK(read_back(disk, report.before, Method::kMetadata, 1).ok());
  put(disk, partitions.back().offset, volumes.back());
  CHECK_FALSE(read_back(disk, report.before, Method::kMetadata, 1).ok());
}
