// What a worn disk does to a wipe: the report stays true, and what can be destroyed is.
#include <catch2/catch.hpp>
#include <set>

#include "agent/erase/erase_disk.h"
#include "agent/erase/read_back.h"
#include "agent/volume/empty_volume.h"
#include "base/zeros.h"
#include "bitlocker/open.h"
#include "drive/block/memory_device.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::erase;

namespace {

constexpr std::uint64_t kSize = 80 * kMiB;

// Sectors that cannot be read until they are written, as those a drive has marked as pending; and
// places that cannot be written, or that forget it.
class WornDisk : public block::BlockDevice {
 public:
  WornDisk() : inner_(kSize) {}
  std::uint64_t size() const override { return kSize; }
  SectorSize sector_size() const override { return SectorSize(512); }
  std::string name() const override { return "worn disk"; }
  void read(std::uint64_t offset, MutableByteView out) const override {
    if (gone) throw Error(ErrorKind::kBusy, "drive-vanished", "the disk has gone");
    for (const std::uint64_t bad : unreadable) {
      if (offset <= bad && bad < offset + out.size()) {
        throw Error(ErrorKind::kVerification, "read-failed", "the disk failed");
      }
    }
    inner_.read(offset, out);
  }
  void write(std::uint64_t offset, ByteView data) override {
    for (const std::uint64_t bad : unwritable) {
      if (offset <= bad && bad < offset + data.size()) {
        throw Error(ErrorKind::kWrite, "write-failed", "the disk failed");
      }
    }
    for (const std::uint64_t bad : forgetful) {
      if (offset <= bad && bad < offset + data.size()) return;
    }
    std::erase_if(unreadable,
                  [&](std::uint64_t bad) { return offset <= bad && bad < offset + data.size(); });
    inner_.write(offset, data);
  }
  void flush() override { inner_.flush(); }

  bool gone = false;
  std::set<std::uint64_t> unreadable;
  std::set<std::uint64_t> unwritable;
  std::set<std::uint64_t> forgetful;

 private:
  block::MemoryDevice inner_;
};

void put_volume(block::BlockDevice& disk, const ByteRange& partition,
                const bitlocker::RecoveryPassword& password) {
  ntfs::FormatRequest format;
  format.volume_bytes = partition.length;
  format.sector = SectorSize(512);
  format.partition_start = Lba{partition.offset / 512};
  format.label = "RETURNED";
  volume::EmptyVolume empty = volume::make_empty_volume(format, [&] {
    return bitlocker::NewVolume({.cipher = bitlocker::Cipher::kXtsAes128,
                                 .recovery_password = &password,
                                 .description = "TEST"});
  });
  block::Slice place(disk, partition, "partition");
  volume::write_whole_volume(std::move(empty), place);
}

bool opens(const block::ReadableDevice& disk, const ByteRange& partition,
           const bitlocker::RecoveryPassword& password,
           std::optional<std::array<std::uint64_t, 3>> offsets = {}) {
  const block::ReadableSlice place(disk, partition, "partition");
  bitlocker::OpenOptions options;
  options.metadata_offsets = offsets;
  try {
    bitlocker::open_volume(place, password.clone(), options);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::array<std::uint64_t, 3> copies_of(const KeyPlaces& found, const ByteRange& partition) {
  std::array<std::uint64_t, 3> offsets{};
  std::size_t count = 0;
  for (const KeyPlace& each : found.places) {
    if (each.what.starts_with("metadata") && count < 3) {
      offsets.at(count++) = each.range.offset - partition.offset;
    }
  }
  return offsets;
}

constexpr ByteRange kPartition{kMiB, 64 * kMiB};

struct Volume {
  bitlocker::RecoveryPassword password = bitlocker::RecoveryPassword::random();
  WornDisk disk;
  KeyPlaces places;
  Volume() {
    put_volume(disk, kPartition, password);
    places = find_key_places(disk, {kPartition});
    REQUIRE(places.places.size() == 6);
    REQUIRE(opens(disk, kPartition, password, copies_of(places, kPartition)));
  }
  EraseRequest request(Method method) {
    EraseRequest request{.disk = disk, .partitions = {kPartition}};
    request.method = method;
    request.discard = [](const ByteRange&) {};
    return request;
  }
  bool opens_somehow() const {
    return opens(disk, kPartition, password) ||
           opens(disk, kPartition, password, copies_of(places, kPartition));
  }
};

}  // namespace

TEST_CASE("keys behind a header that cannot be read are destroyed, or not said to be") {
  Volume volume;
  volume.disk.unreadable.insert(kPartition.offset);
  EraseReport report;
  try {
    erase_disk(volume.request(Method::kMetadata), report);
  } catch (const Error&) {
  }
  CAPTURE(report.metadata_destroyed, report.before.places.size(), report.before.volumes.size());
  volume.disk.unreadable.clear();
  CHECK_FALSE((report.metadata_destroyed && volume.opens_somehow()));
  CHECK_FALSE(volume.opens_somehow());
}

TEST_CASE("one copy that cannot be overwritten does not save the others") {
  for (int bad = 0; bad < 6; ++bad) {
    CAPTURE(bad);
    Volume volume;
    const KeyPlace place = volume.places.places[bad];
    CAPTURE(place.what);
    volume.disk.unwritable.insert(place.range.offset + place.range.length / 2);
    EraseReport report;
    CHECK_THROWS_AS(erase_disk(volume.request(Method::kOverwrite), report), Error);
    CHECK_FALSE(report.metadata_destroyed);
    CHECK_FALSE(report.keys_gone);
    CHECK_FALSE(report.contents_gone);
    CHECK(report.destroyed.size() == 5);
    // Nor does it save the rest of the disk.
    CHECK(report.covered == volume.disk.size() - 4096);
    for (const KeyPlace& each : volume.places.places) {
      Bytes now(each.range.length);
      volume.disk.read(each.range.offset, now);
      const std::string start(reinterpret_cast<const char*>(now.data()), 8);
      CHECK((each.what == place.what || start != "-FVE-FS-"));
    }
  }
}

TEST_CASE("blocks that cannot be written do not save the others, and are told") {
  Volume volume;
  const std::set<std::uint64_t> bad = {kPartition.offset + 9 * kMiB + 512,
                                       volume.disk.size() - 512};
  volume.disk.unwritable = bad;
  EraseReport report;
  CHECK(test::error_of([&] { erase_disk(volume.request(Method::kOverwrite), report); }) ==
        "write/wipe-unwritable");
  CHECK(report.metadata_destroyed);
  CHECK_FALSE(report.contents_gone);
  CHECK(report.covered == volume.disk.size() - bad.size() * 4096);
  Bytes block(4096);
  for (std::uint64_t at = 0; at < volume.disk.size(); at += block.size()) {
    volume.disk.read(at, block);
    if (!all_zero(block))
      CHECK((at == round_down(*bad.begin(), 4096) || at + 4096 == volume.disk.size()));
  }
}

TEST_CASE(
    "a disk that does not cool ends the wipe when its keys are gone, and is not called empty") {
  for (const Method method : {Method::kOverwrite, Method::kDiscard}) {
    CAPTURE(to_string(method));
    Volume volume;
    EraseRequest request = volume.request(method);
    int discards = 0;
    int pauses = 0;
    request.discard = [&](const ByteRange&) { ++discards; };
    request.before_each = [&] {
      ++pauses;
      throw Error(ErrorKind::kHealth, "drive-too-hot", "it does not cool");
    };
    EraseReport report;
    CHECK(test::error_of([&] { erase_disk(request, report); }) == "health/drive-too-hot");
    CHECK(pauses == 1);
    CHECK(discards == 0);
    CHECK(report.metadata_destroyed);
    CHECK_FALSE(report.contents_gone);
    CHECK(report.covered == 0);
    CHECK_FALSE(volume.opens_somehow());
  }
}

TEST_CASE("a place of the keys that kept what it held is told, whatever the method") {
  for (const Method method : {Method::kDiscard, Method::kMetadata}) {
    CAPTURE(to_string(method));
    for (int kept = 0; kept < 3; ++kept) {
      CAPTURE(kept);
      Volume volume;
      volume.disk.forgetful.insert(volume.places.places[kept].range.offset);
      EraseReport report;
      erase_disk(volume.request(method), report);
      CHECK_FALSE(read_back(volume.disk, report.before, method, 1).ok());
    }
    // A single block, too little for anything to be found by it.
    Volume volume;
    EraseReport report;
    erase_disk(volume.request(method), report);
    CHECK(read_back(volume.disk, report.before, method, 1).ok());
    const KeyPlace& place = report.before.places[1];
    volume.disk.write(place.range.offset, ByteView(place.held).first(512));
    CHECK(read_back(volume.disk, report.before, method, 1).ok());
    volume.disk.write(place.range.offset, ByteView(place.held).first(4096));
    CHECK(read_back(volume.disk, report.before, method, 1).first_failed == place.range.offset);
  }
}

TEST_CASE("of a disk that goes away nothing is said but what was done before") {
  Volume volume;
  volume.disk.gone = true;
  EraseReport report;
  CHECK(test::error_of([&] { erase_disk(volume.request(Method::kMetadata), report); }) ==
        "busy/drive-vanished");
  CHECK(report.destroyed.empty());
  CHECK_FALSE(report.metadata_destroyed);
  CHECK(test::error_of([&] { read_back(volume.disk, volume.places, Method::kMetadata, 1); }) ==
        "busy/drive-vanished");
}

TEST_CASE("the very last sector is read back, where the copy of the table was") {
  block::MemoryDevice disk(8 * kMiB + 512);
  EraseReport report;
  erase_disk({.disk = disk, .partitions = {}}, report);
  CHECK(read_back(disk, report.before, Method::kOverwrite, 1).ok());
  disk.write(8 * kMiB, test::pattern(512));
  CHECK(read_back(disk, report.before, Method::kOverwrite, 1).first_failed == 8 * kMiB);
}

TEST_CASE("what an older volume in the same place has left is destroyed with it") {
  Volume volume;
  // The copies of an older volume, of another size, whose header is long overwritten.
  const ByteRange larger{kPartition.offset, 70 * kMiB};
  WornDisk other;
  const auto older = bitlocker::RecoveryPassword::random();
  put_volume(other, larger, older);
  const KeyPlaces its = find_key_places(other, {larger});
  REQUIRE(its.places.size() == 6);
  int added = 0;
  for (const KeyPlace& each : its.places) {
    if (!each.what.starts_with("metadata")) continue;
    bool clash = false;
    for (const KeyPlace& mine : volume.places.places) {
      clash =
          clash || (each.range.offset < mine.range.end() && mine.range.offset < each.range.end());
    }
    if (clash) continue;
    Bytes copy(each.range.length);
    other.read(each.range.offset, copy);
    volume.disk.write(each.range.offset, copy);
    ++added;
  }
  REQUIRE(added >= 2);
  EraseReport report;
  erase_disk(volume.request(Method::kMetadata), report);
  CHECK_FALSE(opens(volume.disk, larger, older, copies_of(its, larger)));
  CHECK(read_back(volume.disk, report.before, Method::kMetadata, 1).ok());
}

TEST_CASE("a volume in a partition that the table no longer names is found") {
  // Windows puts 16 MiB of its own first.
  WornDisk disk;
  const ByteRange partition{17 * kMiB, 62 * kMiB};
  const auto password = bitlocker::RecoveryPassword::random();
  put_volume(disk, partition, password);
  REQUIRE(opens(disk, partition, password));
  const KeyPlaces found = find_key_places(disk, {});
  CHECK(found.volumes.size() == 1);
}

TEST_CASE("without a table a volume is found wherever it was, when only its keys are destroyed") {
  // Above 4 GiB only likely places are looked at otherwise, and none of them is here.
  constexpr std::uint64_t kLarge = 6 * kGiB;
  constexpr ByteRange kHidden{3 * kGiB + 300 * kMiB, 64 * kMiB};
  for (const Method method : {Method::kMetadata, Method::kOverwrite}) {
    CAPTURE(to_string(method));
    block::MemoryDevice disk(kLarge);
    const auto password = bitlocker::RecoveryPassword::random();
    put_volume(disk, kHidden, password);
    EraseReport report;
    std::atomic<bool> stop = false;
    EraseRequest request{.disk = disk, .partitions = {}, .method = method, .stop = &stop};
    request.before_each = [&] { stop = true; };  // overwriting all would find it anyway
    erase_disk(request, report);
    CHECK(report.before.volumes.size() == (method == Method::kMetadata ? 1 : 0));
    CHECK((report.before.searched == kLarge) == (method == Method::kMetadata));
  }
}
