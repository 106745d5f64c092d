// A wiped disk opens to nobody, from the moment its keys are destroyed.
#include "agent/erase/erase_disk.h"
#include "agent/erase/read_back.h"

#include <catch2/catch.hpp>

#include "agent/volume/empty_volume.h"
#include "base/zeros.h"
#include "bitlocker/open.h"
#include "drive/block/memory_device.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::erase;
using driveprep::test::error_of;

namespace {

constexpr std::uint64_t kSize = 80 * kMiB;
constexpr ByteRange kPartition{kMiB, 64 * kMiB};

// A disk with a volume in its partition, and data all over the rest. Made once: its keys take long.
struct Original {
  bitlocker::RecoveryPassword password = bitlocker::RecoveryPassword::random();
  std::string volume_id;
  Bytes content = Bytes(kSize);

  Original() {
    block::MemoryDevice disk(kSize);
    for (std::uint64_t at = kPartition.end(); at < kSize; at += kMiB) {
      disk.write(at, test::pattern(4096));
    }
    ntfs::FormatRequest format;
    format.volume_bytes = kPartition.length;
    format.sector = SectorSize(512);
    format.partition_start = Lba{2048};
    format.label = "RETURNED";
    volume::EmptyVolume empty = volume::make_empty_volume(format, [&] {
      return bitlocker::NewVolume({.cipher = bitlocker::Cipher::kXtsAes128,
                                   .recovery_password = &password,
                                   .description = "TEST"});
    });
    volume_id = empty.created.volume_id.lower();
    block::Slice place(disk, kPartition, "partition");
    volume::write_whole_volume(std::move(empty), place);
    disk.read(0, content);
  }

  static const Original& get() {
    static const Original original;
    return original;
  }
};

struct Prepared {
  const bitlocker::RecoveryPassword& password = Original::get().password;
  const std::string& volume_id = Original::get().volume_id;
  block::MemoryDevice disk{kSize};

  Prepared() {
    constexpr std::size_t kPiece = 64 * kKiB;
    for (std::uint64_t at = 0; at < kSize; at += kPiece) {
      const ByteView piece = ByteView(Original::get().content).subspan(at, kPiece);
      if (!all_zero(piece)) disk.write(at, piece);
    }
  }

  bool opens() const {
    const block::ReadableSlice place(disk, kPartition, "partition");
    try {
      bitlocker::open_volume(place, password.clone());
      return true;
    } catch (const Error&) {
      return false;
    }
  }
  // With the places of the metadata as somebody may have noted them down.
  bool opens_by(const std::vector<KeyPlace>& places) const {
    const block::ReadableSlice place(disk, kPartition, "partition");
    bitlocker::OpenOptions options;
    std::array<std::uint64_t, 3> offsets{};
    std::size_t count = 0;
    for (const KeyPlace& each : places) {
      if (each.what.starts_with("metadata") && count < 3) {
        offsets.at(count++) = each.range.offset - kPartition.offset;
      }
    }
    options.metadata_offsets = offsets;
    try {
      bitlocker::open_volume(place, password.clone(), options);
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  EraseRequest request(Method method) {
    EraseRequest request{.disk = disk, .partitions = {kPartition}};
    request.method = method;
    request.discard = [](const ByteRange&) {};
    return request;
  }
};

}  // namespace

TEST_CASE("the places of the keys are found by the header, and without it") {
  Prepared prepared;
  REQUIRE(prepared.opens());
  const KeyPlaces found = find_key_places(prepared.disk, {kPartition});
  CHECK(found.volumes == std::vector{prepared.volume_id});
  CHECK(found.places.size() == 6);  // three copies, header, relocated header, reserved area
  // The header gone, and the table too.
  prepared.disk.write(kPartition.offset, Bytes(8192));
  for (const auto& partitions : {std::vector{kPartition}, std::vector<ByteRange>()}) {
    CHECK(find_key_places(prepared.disk, partitions).volumes == found.volumes);
  }
}

TEST_CASE("keys go first, each whole, and are safe on the disk before anything else is written") {
  Prepared prepared;
  std::vector<ByteRange> written;
  prepared.disk.before_write = [&](std::uint64_t, std::uint64_t offset, ByteView data) {
    written.push_back({offset, data.size()});
  };
  EraseReport report;
  erase_disk(prepared.request(Method::kOverwrite), report);
  REQUIRE(report.destroyed.size() == 6);
  for (std::size_t i = 0; i < report.destroyed.size(); ++i) {
    CHECK(written.at(i) == report.destroyed[i].range);
  }
  CHECK(report.metadata_destroyed);
  CHECK(report.contents_gone);
}

TEST_CASE("a discard that does nothing, or not everything, is seen") {
  Prepared prepared;
  for (std::uint64_t at = 0; at < kSize; at += kMiB) {
    if (at < kSize / 2) prepared.disk.write(at + 256 * kKiB, test::pattern(512 * kKiB, 3));
  }
  EraseRequest request = prepared.request(Method::kDiscard);
  EraseReport report;
  erase_disk(request, report);
  REQUIRE(report.held.size() > 100);
  const ReadBack ignored =
      read_back(prepared.disk, report.before, Method::kDiscard, 1, report.held);
  CHECK_FALSE(ignored.ok());
  CHECK(ignored.failed > 100);

  const auto zero = [&](const ByteRange& range) {
    prepared.disk.write(range.offset, Bytes(range.length));
  };
  request.discard = zero;
  report = {};
  erase_disk(request, report);
  CHECK(read_back(prepared.disk, report.before, Method::kDiscard, 1, report.held).ok());
}

TEST_CASE("a discard that does nothing is seen on an empty disk, too") {
  block::MemoryDevice disk(kSize);
  EraseReport report;
  erase_disk({.disk = disk, .partitions = {}, .method = Method::kDiscard, .discard = [](const ByteRange&) {}},
             report);
  const ReadBack ignored = read_back(disk, report.before, Method::kDiscard, 1, report.held);
  CHECK_FALSE(ignored.ok());
  CHECK(ignored.changed == 0);

  report = {};
  const auto zero = [&](const ByteRange& range) { disk.write(range.offset, Bytes(range.length)); };
  erase_disk({.disk = disk, .partitions = {}, .method = Method::kDiscard, .discard = zero}, report);
  const ReadBack heeded = read_back(disk, report.before, Method::kDiscard, 1, report.held);
  CHECK(heeded.ok());
  CHECK(heeded.changed > 10);
}

TEST_CASE("after each method nothing opens the volume") {
  for (const Method method : {Method::kOverwrite, Method::kDiscard, Method::kMetadata}) {
    CAPTURE(to_string(method));
    Prepared prepared;
    EraseReport report;
    erase_disk(prepared.request(method), report);
    CHECK_FALSE(prepared.opens());
    CHECK_FALSE(prepared.opens_by(report.before.places));
    CHECK(find_key_places(prepared.disk, {kPartition}).volumes.empty());
    CHECK(read_back(prepared.disk, report.before, method, 1).ok());
    CHECK(report.covered == (method == Method::kMetadata ? 0 : kSize));
    if (method != Method::kOverwrite) continue;
    Bytes all(kSize);
    prepared.disk.read(0, all);
    CHECK(all_zero(all));
  }
}

TEST_CASE("whichever write fails: the report says what is destroyed, and that is true") {
  std::uint64_t writes = 0;
  {
    Prepared prepared;
    prepared.disk.before_write = [&](std::uint64_t, std::uint64_t, ByteView) { ++writes; };
    EraseReport report;
    erase_disk(prepared.request(Method::kOverwrite), report);
  }
  REQUIRE(writes > 10);
  for (std::uint64_t n = 0; n < writes; ++n) {
    CAPTURE(n);
    Prepared prepared;
    std::uint64_t number = 0;
    prepared.disk.before_write = [&](std::uint64_t, std::uint64_t, ByteView) {
      if (number++ == n) throw Error(ErrorKind::kWrite, "write-failed", "the disk failed");
    };
    EraseReport report;
    CHECK(error_of([&] { erase_disk(prepared.request(Method::kOverwrite), report); }) ==
          "write/write-failed");
    CHECK_FALSE(report.contents_gone);
    CHECK(report.covered == kSize);  // the rest is not saved by it
    CHECK(report.metadata_destroyed == (n >= 6));
    if (report.metadata_destroyed) {
      CHECK_FALSE(prepared.opens());
      CHECK_FALSE(prepared.opens_by(report.before.places));
    }
  }
}

TEST_CASE("stopped before the first write, the disk is as it was") {
  Prepared prepared;
  const std::atomic<bool> stop{true};
  EraseRequest request = prepared.request(Method::kOverwrite);
  request.stop = &stop;
  EraseReport report;
  erase_disk(request, report);
  CHECK(report.stopped);
  CHECK_FALSE(report.metadata_destroyed);
  Bytes now(kSize);
  prepared.disk.read(0, now);
  CHECK(now == Original::get().content);
}

TEST_CASE("stopped in the search, the keys that headers lead to are gone, and no more is said") {
  Prepared prepared;
  std::atomic<bool> stop{false};
  report::DriveProgress progress("D");
  progress.on_begin = [&](report::Phase phase) { stop = phase == report::Phase::kSearching; };
  EraseRequest request = prepared.request(Method::kOverwrite);
  request.progress = &progress;
  request.stop = &stop;
  EraseReport report;
  erase_disk(request, report);
  CHECK(report.stopped);
  CHECK_FALSE(report.metadata_destroyed);
  CHECK_FALSE(report.contents_gone);
  CHECK(report.covered == 0);
  CHECK(report.destroyed.size() == report.before.places.size());
  CHECK_FALSE(prepared.opens_by(report.before.places));
}

TEST_CASE("the search tells how far it is, of all that it reads") {
  Prepared prepared;
  report::DriveProgress progress("D");
  KeyPlaces found = named_key_places(prepared.disk, {kPartition});
  CHECK(search_key_places(prepared.disk, found, {&progress, nullptr}));
  const auto now = progress.snapshot();
  CHECK(now.phase == report::Phase::kSearching);
  CHECK(now.bytes_total == kSize);
  CHECK(now.bytes_done == kSize);
}

TEST_CASE("stopped while it is read back, nothing is proven") {
  Prepared prepared;
  EraseReport report;
  erase_disk(prepared.request(Method::kOverwrite), report);
  REQUIRE(report.contents_gone);
  for (const bool from_the_start : {true, false}) {
    std::atomic<bool> stop{from_the_start};
    report::DriveProgress progress("D");
    progress.on_begin = [&](report::Phase) { stop = true; };
    const ReadBack found =
        read_back(prepared.disk, report.before, Method::kOverwrite, 1, {}, {&progress, &stop});
    CHECK(found.stopped);
    CHECK_FALSE(found.ok());
    CHECK(found.failed == 0);
    CHECK((found.samples == 0) == from_the_start);
  }
}

TEST_CASE("stopped, the keys are gone and the report says that the rest is not") {
  Prepared prepared;
  std::atomic<bool> stop{false};
  report::DriveProgress progress("D");
  progress.on_begin = [&](report::Phase phase) { stop = phase == report::Phase::kErasing; };
  EraseRequest request = prepared.request(Method::kOverwrite);
  request.progress = &progress;
  request.stop = &stop;
  EraseReport report;
  erase_disk(request, report);
  CHECK(report.stopped);
  CHECK(report.metadata_destroyed);
  CHECK_FALSE(report.contents_gone);
  CHECK_FALSE(prepared.opens_by(report.before.places));
}

TEST_CASE("what should be gone and is not shows when it is read back") {
  Prepared prepared;
  const KeyPlaces before = find_key_places(prepared.disk, {kPartition});
  // A disk that has forgotten to write anything.
  for (const Method method : {Method::kOverwrite, Method::kDiscard, Method::kMetadata}) {
    CHECK_FALSE(read_back(prepared.disk, before, method, 1).ok());
  }
  // One that kept a single place of the keys.
  EraseReport report;
  erase_disk(prepared.request(Method::kOverwrite), report);
  prepared.disk.write(before.places[1].range.offset + 8192, test::pattern(4096));
  const ReadBack found = read_back(prepared.disk, before, Method::kOverwrite, 1);
  CHECK(found.first_failed == before.places[1].range.offset + 8192);
  CHECK(found.failed == 1);
}

TEST_CASE("each byte of a disk is overwritten once, however small it is") {
  for (const std::uint64_t size : {std::uint64_t{512}, kMiB - 512, kMiB, kMiB + 512, 2 * kMiB - 512,
                                   2 * kMiB, 2 * kMiB + 512, 9 * kMiB}) {
    CAPTURE(size);
    block::MemoryDevice disk(size);
    disk.write(0, test::pattern(size));
    EraseReport report;
    erase_disk({.disk = disk, .partitions = {}, .method = Method::kOverwrite}, report);
    CHECK(report.contents_gone);
    CHECK(report.covered == size);
    Bytes now(size);
    disk.read(0, now);
    CHECK(all_zero(now));
  }
}
