// An empty volume is written to a disk of which every byte is known, and to one that fails, tears
// or lies at the n-th write, for all n.
#include <algorithm>
#include <catch2/catch.hpp>
#include <mutex>

#include "agent/volume/empty_volume.h"
#include "bitlocker/open.h"
#include "drive/inventory/signatures.h"
#include "drive/ntfs/volume_reader.h"
#include "tests/support/sealed_disk.h"

using namespace driveprep;
using namespace driveprep::volume;
using driveprep::test::error_of;
using driveprep::test::SealedDisk;

namespace {

constexpr std::uint64_t kVolumeAt = kMiB;
constexpr std::uint64_t kVolumeSize = 62 * kMiB;
constexpr std::uint64_t kNever = UINT64_MAX;

enum class Fault { kFail, kTornHead, kTornTail, kDropped };

// The n-th write does not reach the medium as it should; sectors are whole.
class FaultyDevice : public block::BlockDevice {
 public:
  FaultyDevice(block::BlockDevice& device, std::uint64_t number, Fault fault)
      : device_(device), number_(number), fault_(fault) {}

  std::uint64_t size() const override { return device_.size(); }
  SectorSize sector_size() const override { return device_.sector_size(); }
  std::string name() const override { return device_.name(); }
  void read(std::uint64_t offset, MutableByteView out) const override { device_.read(offset, out); }
  void flush() override {
    const std::scoped_lock lock(mutex_);
    if (fault_ != Fault::kDropped && writes_ > number_) fail();
    device_.flush();
  }
  void write(std::uint64_t offset, ByteView data) override {
    const std::scoped_lock lock(mutex_);
    const std::uint64_t number = writes_++;
    if (number == number_) {
      faulty_ = {offset, data.size()};
      const std::uint64_t half = round_down(data.size() / 2, sector_size().bytes());
      if (fault_ == Fault::kTornHead && half > 0) device_.write(offset, data.first(half));
      if (fault_ == Fault::kTornTail) device_.write(offset + half, data.subspan(half));
      if (fault_ != Fault::kDropped) fail();
      return;
    }
    if (fault_ != Fault::kDropped && number > number_) fail();
    device_.write(offset, data);
    if (number > number_) later_.push_back({offset, data.size()});
  }

  // Whether every sector of the faulty write was written again later.
  bool written_over() const {
    for (std::uint64_t at = faulty_.offset; at < faulty_.end(); at += sector_size().bytes()) {
      if (std::ranges::none_of(later_, [&](const ByteRange& each) { return each.contains(at); })) {
        return false;
      }
    }
    return true;
  }

  std::uint64_t writes() const { return writes_; }
  const ByteRange& faulty() const { return faulty_; }

 private:
  [[noreturn]] static void fail() { throw Error(ErrorKind::kWrite, "simulated", "as asked"); }

  block::BlockDevice& device_;
  std::uint64_t number_;
  Fault fault_;
  std::mutex mutex_;
  std::uint64_t writes_ = 0;
  ByteRange faulty_;
  std::vector<ByteRange> later_;
};

struct Made {
  EmptyVolume empty;
  SecretBytes key;
};

Made make(SectorSize sector) {
  ntfs::FormatRequest format;
  format.volume_bytes = kVolumeSize;
  format.sector = sector;
  format.partition_start = Lba{kVolumeAt / sector.bytes()};
  format.label = "SEALED";
  EmptyVolume empty = make_empty_volume(format, [] {
    return bitlocker::NewVolume(
        {.cipher = bitlocker::Cipher::kXtsAes128, .external_key = true, .description = "TEST"});
  });
  SecretBytes key = empty.created.external_key->content.clone();
  return {std::move(empty), std::move(key)};
}

// What `volume create` and the end of `prepare` look at before they call a volume finished.
bool is_finished(const block::ReadableDevice& place, const Made& made) {
  try {
    const bitlocker::VolumeFacts facts = bitlocker::examine(place);
    for (const bitlocker::CopyFacts& copy : facts.copies) {
      if (!copy.sound()) return false;
    }
    if (!facts.copies_agree()) return false;
    const bitlocker::OpenedVolume opened =
        bitlocker::open_volume(place, bitlocker::ExternalKeyCredential{made.key.clone()});
    const bitlocker::DecryptedDevice plain(place, opened.layout, opened.cipher);
    Bytes boot_sector(place.sector_size().bytes());
    plain.read(0, boot_sector);
    if (opened.volume_id != made.empty.created.volume_id ||
        bitlocker::header_difference(place, opened.layout, boot_sector)) {
      return false;
    }
    ntfs::VolumeReader reader(plain);
    if (reader.marked_dirty() || reader.label() != "SEALED") return false;
    return reader.list(u"System Volume Information").size() >= 5;
  } catch (const Error&) {
    return false;
  }
}

// Whether our reader or libblkid takes the place for a volume of any kind.
bool is_recognised(const SealedDisk& disk, const block::ReadableDevice& place) {
  const block::FileDevice device = disk.device();
  return bitlocker::examine(place).header.kind != bitlocker::VolumeKind::kNone ||
         !inventory::probe_signatures(device.fd(), {kVolumeAt, kVolumeSize}, device.sector_size(),
                                      "sealed disk")
              .found.empty();
}

// By the bitmap of the NTFS inside, which is all that its drivers go by.
std::vector<ByteRange> used_clusters(const block::ReadableDevice& place, const Made& made) {
  const bitlocker::OpenedVolume opened =
      bitlocker::open_volume(place, bitlocker::ExternalKeyCredential{made.key.clone()});
  const bitlocker::DecryptedDevice plain(place, opened.layout, opened.cipher);
  ntfs::VolumeReader reader(plain);
  const ntfs::FileInfo file = *reader.open(u"$Bitmap");
  Bytes bitmap(file.ranges.at(0).length);
  REQUIRE(file.ranges.size() == 1);
  plain.read(file.ranges[0].offset, bitmap);
  std::vector<ByteRange> used;
  const std::uint64_t cluster = reader.geometry().cluster_size;
  for (std::uint64_t i = 0; i < kVolumeSize / cluster; ++i) {
    if ((bitmap[i / 8] >> (i % 8) & std::byte{1}) != std::byte{0}) {
      used.push_back({i * cluster, cluster});
    }
  }
  // The last sector, behind all clusters, is the copy of the boot sector.
  used.push_back({round_down(kVolumeSize - 1, cluster), cluster});
  return used;
}

std::vector<ByteRange> on_disk(std::vector<ByteRange> ranges) {
  for (ByteRange& range : ranges) range.offset += kVolumeAt;
  return ranges;
}

}  // namespace

TEST_CASE("an empty volume is written to the places of its structures and nowhere else") {
  const SectorSize sector(GENERATE(512, 4096));
  const Made made = make(sector);
  SealedDisk disk(kVolumeSize + 2 * kMiB, sector);
  const Bytes before = disk.content();
  block::FileDevice device = disk.device();
  block::Slice place(device, {kVolumeAt, kVolumeSize}, "the partition");

  write_whole_volume(made.empty, place);

  CHECK(is_finished(place, made));
  std::vector<ByteRange> allowed = used_clusters(place, made);
  allowed.push_back({0, bitlocker::kBootRegionSize});
  CHECK_FALSE(driveprep::test::stray_byte(before, disk.content(), on_disk(allowed)));
  std::uint64_t used = 0;
  for (const ByteRange& range : allowed) used += range.length;
  CHECK(used < 8 * kMiB);
}

TEST_CASE("sealing changes what stands before 8 KiB and nothing else") {
  const SectorSize sector(GENERATE(512, 4096));
  const Made made = make(sector);
  SealedDisk disk(kVolumeSize + 2 * kMiB, sector);
  block::FileDevice device = disk.device();
  block::Slice place(device, {kVolumeAt, kVolumeSize}, "the partition");
  write_whole_volume(made.empty, place);
  const Bytes before = disk.content();
  bitlocker::write_boot_region(place, made.empty.layout, made.empty.formatted.boot_sector());
  CHECK_FALSE(driveprep::test::stray_byte(before, disk.content(),
                                          {{kVolumeAt, bitlocker::kBootRegionSize}}));
  CHECK(is_finished(place, made));
}

TEST_CASE("whichever write of a volume goes wrong, it is not taken for a finished one") {
  const SectorSize sector(512);
  const Made made = make(sector);
  SealedDisk disk(kVolumeSize + 2 * kMiB, sector);
  block::FileDevice device = disk.device();
  block::Slice place(device, {kVolumeAt, kVolumeSize}, "the partition");
  std::uint64_t writes = 0;
  {
    FaultyDevice counting(place, kNever, Fault::kFail);
    write_whole_volume(made.empty, counting);
    writes = counting.writes();
  }
  REQUIRE(writes > 10);
  for (const Fault fault : {Fault::kFail, Fault::kTornHead, Fault::kTornTail, Fault::kDropped}) {
    for (std::uint64_t n = 0; n < writes; ++n) {
      disk.fill();
      FaultyDevice faulty(place, n, fault);
      const std::string error = error_of([&] { write_whole_volume(made.empty, faulty); });
      CAPTURE(static_cast<int>(fault), n, writes, faulty.faulty().offset, faulty.faulty().length);
      if (fault == Fault::kDropped) {
        // Nobody is told; reading back finds out, unless something was written over it later.
        if (!faulty.written_over()) CHECK(error == "verification/create-differs");
        CHECK((error == "verification/create-differs" ||
               (error.empty() && is_finished(place, made))));
        continue;
      }
      CHECK(error == "write/simulated");
      // The last sector of all may have been written before the error came.
      const bool all_written = n + 1 == writes && fault == Fault::kTornTail;
      CHECK(is_recognised(disk, place) == all_written);
      CHECK(is_finished(place, made) == all_written);
    }
  }
}
