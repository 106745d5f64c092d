#include "agent/intake/sample_test.h"

#include <catch2/catch.hpp>

#include "agent/intake/conclusion.h"
#include "agent/intake/tags.h"
#include "lying_devices.h"
#include "tests/support/sealed_disk.h"

using namespace driveprep;
using namespace driveprep::intake;
using namespace driveprep::intake::test;

namespace {

const Guid kRun = *Guid::parse("0f0e0d0c-0b0a-4908-8706-050403020100");
constexpr std::uint64_t kSize = 256 * kMiB;

// The same device, read where it is written.
class Again : public block::ReadableDevice {
 public:
  explicit Again(const block::ReadableDevice& device) : device_(device) {}
  std::uint64_t size() const override { return device_.size(); }
  SectorSize sector_size() const override { return device_.sector_size(); }
  std::string name() const override { return device_.name(); }
  void read(std::uint64_t offset, MutableByteView out) const override { device_.read(offset, out); }

 private:
  const block::ReadableDevice& device_;
};

SampleTest test_of(block::BlockDevice& device, Coverage coverage = Coverage::kSample) {
  return {.device = device,
          .open_for_reading = [&device] { return std::make_unique<Again>(device); },
          .places = coverage == Coverage::kSample ? Places::sample(device.size(), 1)
                                                  : Places::whole(device.size()),
          .run = kRun,
          .bytes_between = kMiB};
}

SampleResult run(block::BlockDevice& device, Coverage coverage = Coverage::kSample) {
  return run_sample(test_of(device, coverage));
}

std::string code_of(const SampleResult& sample) {
  const std::vector<guard::Reason> reasons = conclude("/dev/sdx", sample, {});
  if (reasons.empty()) return "";
  CHECK(!reasons.front().message.empty());
  CHECK(!reasons.front().remedy.empty());
  return std::string(to_string(reasons.front().kind)) + "/" + reasons.front().code;
}

}  // namespace

TEST_CASE("a tag says where it belongs, and no changed bit of it goes unnoticed") {
  const std::uint64_t sector = GENERATE(512, 4096);
  Bytes block(4 * sector);
  fill_with_tags(block, SectorSize(sector), {kRun, 5 * kTiB, 77});
  for (std::uint64_t i = 0; i < 4; ++i) {
    CHECK(tag_of(ByteView(block).subspan(i * sector, sector)) ==
          Tag{kRun, 5 * kTiB + i * sector, 77});
  }
  for (std::size_t bit = 0; bit < sector * 8; ++bit) {
    block[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    if (tag_of(ByteView(block).first(sector))) FAIL_CHECK("bit " << bit);
    block[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
  }
}

TEST_CASE("a good device passes, sampled and as a whole, and looks empty afterwards") {
  const Coverage coverage = GENERATE(Coverage::kSample, Coverage::kWhole);
  const std::uint64_t sector = GENERATE(512, 4096);
  block::MemoryDevice device(64 * kMiB + 4096, SectorSize(sector));
  const SampleResult sample = run(device, coverage);
  CHECK(code_of(sample).empty());
  CHECK_FALSE(true_size(sample));
  CHECK(sample.wrong_bytes == 0);
  CHECK(sample.bytes_written == sample.places.bytes());
  CHECK(sample.bytes_read == sample.places.bytes());
  CHECK(sample.cleared);
  Bytes all(device.size());
  device.read(0, all);
  const ByteView ends[] = {ByteView(all).first(kMiB), ByteView(all).last(kMiB)};
  for (const ByteView end : ends) CHECK(std::ranges::count(end, std::byte{0}) == kMiB);
  const bool empty = all == Bytes(all.size());
  CHECK(empty == (coverage == Coverage::kSample));
}

TEST_CASE("a device beyond 2 TiB passes") {
  block::MemoryDevice device(4'000'787'030'016);
  CHECK(code_of(run(device)).empty());
}

TEST_CASE("addresses that wrap are found, and where") {
  struct Case {
    std::uint64_t size, real;
  };
  const auto [size, real] = GENERATE(
      // Half of a size that is no power of two; address lines; 32 bits of sector numbers.
      Case{250 * kMiB, 125 * kMiB}, Case{kSize, 64 * kMiB}, Case{500'107'862'016, 32 * kGiB},
      Case{4'000'787'030'016, 2 * kTiB}, Case{8'001'563'222'016, 8'001'563'222'016 / 4});
  CAPTURE(size, real);
  WrappingDevice device(size, real);
  const SampleResult sample = run(device);
  CHECK(code_of(sample) == "verification/drive-fake-capacity");
  REQUIRE(true_size(sample));
  CHECK(true_size(sample)->at_most == real);
  CHECK(sample.bytes_by_defect[static_cast<std::size_t>(Defect::kOtherPlace)] ==
        sample.wrong_bytes);
  REQUIRE(!sample.findings.empty());
  const Finding& first = sample.findings.front();
  CHECK((first.written_at - first.range.offset) % real == 0);
  const std::string message = conclude("/dev/sdx", sample, {}).front().message;
  CHECK(message.find("at most") != std::string::npos);
  CHECK(message.find("read as what was written at offset") != std::string::npos);
}

TEST_CASE("addresses that wrap anywhere are found when the whole drive is written") {
  WrappingDevice device(64 * kMiB, 21 * kMiB + 1536);
  const SampleResult sample = run(device, Coverage::kWhole);
  CHECK(code_of(sample) == "verification/drive-fake-capacity");
  CHECK(true_size(sample)->at_most == 21 * kMiB + 1536);
}

TEST_CASE("writes that are lost beyond a limit are found") {
  const std::uint64_t real = GENERATE(40 * kMiB, 128 * kMiB + 512, 200 * kMiB);
  const std::size_t cached = GENERATE(0, 4'000);  // sectors: 2 MiB
  CAPTURE(real, cached);
  LimitedDevice device(kSize, real, cached);
  const SampleResult sample = run(device);
  CHECK(code_of(sample) == "verification/drive-fake-capacity");
  REQUIRE(true_size(sample));
  CHECK(true_size(sample)->at_least <= real);
  CHECK(true_size(sample)->at_most >= real);
  CHECK(true_size(sample)->at_most - true_size(sample)->at_least < kSize / 16);
}

TEST_CASE("the limit is told exactly when the whole drive is written") {
  LimitedDevice device(64 * kMiB, 33 * kMiB + 1024, 2000);
  const SampleResult sample = run(device, Coverage::kWhole);
  CHECK(code_of(sample) == "verification/drive-fake-capacity");
  REQUIRE(true_size(sample));
  CHECK(true_size(sample)->at_least == 33 * kMiB + 1024);
  CHECK(true_size(sample)->at_most == 33 * kMiB + 1024);
}

TEST_CASE("2 TiB of 4 TB are found with both sector sizes") {
  const std::uint64_t sector = GENERATE(512, 4096);
  LimitedDevice device(4'000'787'030'016, 2 * kTiB, 0, SectorSize(sector));
  const SampleResult sample = run(device);
  CHECK(code_of(sample) == "verification/drive-fake-capacity");
  CHECK(true_size(sample)->at_most == 2 * kTiB);
  CHECK(true_size(sample)->at_least == 2 * kTiB);
}

TEST_CASE("what an earlier test wrote is told from this one's") {
  LimitedDevice device(kSize, 128 * kMiB);
  Bytes old(kSize);
  fill_with_tags(old, SectorSize(512), {Guid::random(), 0, 0});
  device.memory.write(0, old);
  const SampleResult sample = run(device);
  CHECK(code_of(sample) == "verification/drive-fake-capacity");
  CHECK(sample.bytes_by_defect[static_cast<std::size_t>(Defect::kOldRun)] == sample.wrong_bytes);
}

TEST_CASE("one changed bit is found and is no lie about the size") {
  FlippingDevice device(kSize, kSize - 1000);
  const SampleResult sample = run(device);
  CHECK(code_of(sample) == "verification/sample-differs");
  REQUIRE(sample.findings.size() == 1);
  CHECK(sample.findings[0].defect == Defect::kFewBits);
  CHECK(sample.findings[0].bits == 1);
  CHECK(sample.findings[0].range == ByteRange{kSize - 1024, 512});
  CHECK(sample.wrong_places == 1);
}

TEST_CASE("what cannot be read is told, and the rest is still read") {
  UnreadableDevice device(kSize, {0, 512});
  const SampleResult sample = run(device);
  CHECK(code_of(sample) == "verification/sample-unreadable");
  REQUIRE(sample.findings.size() == 1);
  CHECK(sample.findings[0].cause == "Input/output error");
  CHECK(sample.bytes_read == sample.places.bytes());
  CHECK_FALSE(sample.cut_short);
}

TEST_CASE("a device that reads nothing is given up") {
  UnreadableDevice device(kSize, {0, kSize});
  const SampleResult sample = run(device);
  CHECK(code_of(sample) == "verification/sample-unreadable");
  CHECK(sample.cut_short);
  CHECK(sample.wrong_places == kMostUnreadable);
}

TEST_CASE("a write that fails is a write error, whichever it is, and nothing is claimed") {
  std::size_t writes = 0;
  {
    block::MemoryDevice device(64 * kMiB);
    device.before_write = [&](std::uint64_t number, std::uint64_t, ByteView) {
      writes = number + 1;
    };
    run(device);
  }
  for (std::size_t n = 0; n < writes; ++n) {
    CAPTURE(n, writes);
    block::MemoryDevice device(64 * kMiB);
    device.before_write = [&](std::uint64_t number, std::uint64_t, ByteView) {
      if (number >= n) throw Error(ErrorKind::kWrite, "simulated", "as asked", "Try another.");
    };
    const SampleResult sample = run(device);
    CHECK_FALSE(sample.cleared);
    if (n < sample.places.count()) {
      CHECK(code_of(sample) == "write/simulated");
      CHECK(sample.bytes_read == 0);
    } else {
      // Only what makes the drive look empty again failed.
      CHECK(sample.bytes_read == sample.places.bytes());
      REQUIRE(sample.not_cleared);
      CHECK(sample.not_cleared->what() == std::string("as asked"));
    }
    const std::vector<guard::Reason> reasons = conclude("/dev/sdb", sample, {});
    REQUIRE(reasons.size() == 1);
    CHECK(reasons.front().code == "simulated");
    CHECK(reasons.front().kind == ErrorKind::kWrite);
    CHECK(reasons.front().remedy == "Try another.");
  }
}

TEST_CASE("a stop is told and claims nothing") {
  block::MemoryDevice device(64 * kMiB);
  std::atomic<bool> stop = false;
  SampleTest test = test_of(device);
  test.stop = &stop;
  const std::size_t after = GENERATE(std::size_t{3}, std::size_t{0});
  if (after > 0) {
    device.before_write = [&](std::uint64_t number, std::uint64_t, ByteView) {
      if (number == after) stop = true;
    };
  } else {
    test.open_for_reading = [&] {
      stop = true;
      return std::make_unique<Again>(device);
    };
  }
  const SampleResult sample = run_sample(test);
  CHECK(sample.stopped);
  CHECK(sample.bytes_read == 0);
  CHECK(sample.cleared);
  Bytes all(device.size());
  device.read(0, all);
  CHECK((all == Bytes(all.size())));
}

TEST_CASE("no byte outside the planned places is touched") {
  const std::uint64_t sector = GENERATE(512, 4096);
  const driveprep::test::SealedDisk disk(64 * kMiB + 4096 + sector, SectorSize(sector));
  const Bytes before = disk.content();
  block::FileDevice device = disk.device();

  const SampleResult sample = run(device);

  CHECK(code_of(sample).empty());
  Bytes expected = before;
  for (std::size_t i = 0; i < sample.places.count(); ++i) {
    const ByteRange place = sample.places.at(i);
    std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(place.offset), place.length,
                std::byte{0});
  }
  CHECK((disk.content() == expected));
}
