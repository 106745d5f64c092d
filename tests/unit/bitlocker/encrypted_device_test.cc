#include "bitlocker/encrypted_device.h"

#include <algorithm>
#include <random>

#include "made_volume.h"

namespace driveprep::bitlocker {
namespace {

struct Fixture {
  MadeVolume made;
  std::shared_ptr<const SectorCipher> cipher;
  EncryptedDevice device;

  explicit Fixture(SectorSize sector = SectorSize(512), Cipher method = Cipher::kXtsAes128)
      : made(method, sector),
        cipher(made.cipher(method)),
        device(made.partition, made.layout, cipher) {}

  Bytes raw(std::uint64_t offset, std::size_t size) const {
    Bytes bytes(size);
    made.partition.read(offset, bytes);
    return bytes;
  }
  Bytes plain(std::uint64_t offset, std::size_t size) const {
    Bytes bytes(size);
    device.read(offset, bytes);
    return bytes;
  }
};

TEST_CASE("what is written reads back, and the partition holds ciphertext") {
  for (const std::uint64_t sector : {512, 4096}) {
    for (const Cipher method : {Cipher::kXtsAes256, Cipher::kAesCbc256}) {
      Fixture f{SectorSize(sector), method};
      const Bytes data = pattern(3 * kMiB + 4096);
      f.device.write(kMiB, data);
      CHECK(same(f.plain(kMiB, data.size()), data));
      Bytes expected(data.size());
      f.cipher->encrypt(kMiB, data, expected);
      CHECK(same(f.raw(kMiB, data.size()), expected));
    }
  }
}

TEST_CASE("the first 8 KiB are kept at B, encrypted for that place, and not at the start") {
  Fixture f;
  const Bytes before = f.raw(0, kBootRegionSize);
  const Bytes data = pattern(3 * kBootRegionSize);
  f.device.write(0, data);
  CHECK(same(f.plain(0, data.size()), data));
  CHECK(same(f.raw(0, kBootRegionSize), before));
  Bytes expected(kBootRegionSize);
  f.cipher->encrypt(f.made.layout.header_backup, ByteView(data).first(kBootRegionSize), expected);
  CHECK(same(f.raw(f.made.layout.header_backup, kBootRegionSize), expected));
}

TEST_CASE("metadata copies and B read as zeros") {
  Fixture f;
  f.device.write(0, pattern(kBootRegionSize));
  for (const ByteRange& range : f.made.layout.hidden_ranges()) {
    CHECK(same(f.plain(range.offset, range.length), Bytes(range.length)));
    const Bytes around = f.plain(range.offset - 512, range.length + 1024);
    CHECK(std::all_of(around.begin() + 512, around.end() - 512,
                      [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST_CASE("a write that touches a metadata copy or B is refused before anything is written") {
  Fixture f;
  int writes = 0;
  f.made.partition.before_write = [&](std::uint64_t, std::uint64_t, ByteView) { ++writes; };
  for (const ByteRange& range : f.made.layout.hidden_ranges()) {
    for (const std::uint64_t at : {range.offset - 512, range.offset, range.end() - 512}) {
      const auto code = error_code([&] { f.device.write(at, Bytes(1024)); });
      CHECK(code == "reserved-range-written");
    }
    Bytes buffer(1024);
    CHECK(error_code([&] { f.device.encrypt(range.offset, buffer); }) == "reserved-range-written");
  }
  CHECK(error_code([&] { f.device.write(f.made.partition.size() - 512, Bytes(1024)); }) ==
        "past-end");
  CHECK(writes == 0);
}

TEST_CASE("region D is ordinary encrypted space") {
  Fixture f;
  const Bytes data = pattern(kReservedSize);
  f.device.write(*f.made.layout.reserved, data);
  CHECK(same(f.plain(*f.made.layout.reserved, data.size()), data));
}

TEST_CASE("encrypting for the copy pipeline gives what a write would have put there") {
  Fixture f;
  const Bytes data = pattern(256 * 1024);
  Bytes sealed = data;
  f.device.encrypt(5 * kMiB, sealed);
  f.device.write(5 * kMiB, data);
  CHECK(same(f.raw(5 * kMiB, data.size()), sealed));
  Bytes start(4096);
  CHECK_THROWS_AS(f.device.encrypt(0, start), Error);
  CHECK_THROWS_AS(f.device.encrypt(kBootRegionSize - 512, start), Error);
}

TEST_CASE("reads and writes of any offset and length behave like memory") {
  for (const std::uint64_t sector : {512, 4096}) {
    Fixture f{SectorSize(sector), Cipher::kAesCbc128};
    constexpr std::size_t kSize = 64 * 1024;
    Bytes model(kSize);
    f.device.write(0, model);
    std::mt19937 random(7);
    for (int i = 0; i < 300; ++i) {
      const std::size_t at = random() % kSize;
      const std::size_t size = 1 + random() % std::min<std::size_t>(kSize - at, 20000);
      const Bytes data = pattern(size, random());
      f.device.write(at, data);
      std::copy(data.begin(), data.end(), model.begin() + at);
      const std::size_t from = random() % kSize;
      const std::size_t count = random() % (kSize - from);
      REQUIRE(
          same(f.plain(from, count), Bytes(model.begin() + from, model.begin() + from + count)));
    }
    CHECK(same(f.plain(0, kSize), model));
  }
}

TEST_CASE("long aligned writes stay long and aligned") {
  Fixture f;
  std::vector<std::uint64_t> sizes;
  bool aligned = true;
  f.made.partition.before_write = [&](std::uint64_t, std::uint64_t offset, ByteView data) {
    sizes.push_back(data.size());
    aligned = aligned && block::is_direct_aligned(offset, data);
  };
  f.device.write(kMiB, Bytes(4 * kMiB));
  CHECK(aligned);
  CHECK(sizes == std::vector<std::uint64_t>(4, kMiB));
}

TEST_CASE("a fresh reader sees through the opened volume what was written") {
  Fixture f{SectorSize(4096), Cipher::kXtsAes256};
  const Bytes data = pattern(100'000);
  f.device.write(0, data);
  const OpenedVolume opened = open_volume(f.made.partition, f.made.recovery.clone());
  const DecryptedDevice reader(f.made.partition, opened.layout, opened.cipher);
  Bytes read(data.size());
  reader.read(0, read);
  CHECK(same(read, data));
  CHECK(reader.size() == f.made.partition.size());
  CHECK(reader.name() == "test volume (BitLocker volume)");
}

TEST_CASE("what lies behind the encrypted part is passed through") {
  Fixture f;
  VolumeLayout shorter = f.made.layout;
  shorter.volume_size -= kMiB;
  const DecryptedDevice reader(f.made.partition, shorter, f.cipher);
  const Bytes data = pattern(4096);
  f.made.partition.write(shorter.volume_size, data);
  Bytes read(8192);
  reader.read(shorter.volume_size - 4096, read);
  CHECK(std::equal(data.begin(), data.end(), read.begin() + 4096));
}

}  // namespace
}  // namespace driveprep::bitlocker
