// Writers of partition tables and wipers on a disk of which every byte is known, and on one that
// fails, tears or lies at the n-th write, for all n.
#include <array>
#include <catch2/catch.hpp>
#include <set>

#include "drive/layout/gpt.h"
#include "drive/layout/wipe.h"
#include "tests/support/faulty_writes.h"
#include "tests/support/sealed_disk.h"

using namespace driveprep;
using namespace driveprep::layout;
using test::error_of;
using test::FaultyWrites;
using test::SealedDisk;
using test::WriteFault;

namespace {

constexpr std::uint64_t kSize = 16 * kMiB;
constexpr std::uint64_t kNever = UINT64_MAX;

const auto kFaults = {WriteFault::kFail, WriteFault::kTornHead, WriteFault::kTornTail,
                      WriteFault::kDropped};

GptRequest new_table() {
  return {*Guid::parse("11112222-3333-4444-8555-666677778888"),
          *Guid::parse("a1b2c3d4-e5f6-4711-8899-aabbccddeeff"), "New"};
}
GptRequest old_table() {
  return {*Guid::parse("99998888-7777-4666-8555-444433332222"),
          *Guid::parse("01020304-0506-4708-890a-0b0c0d0e0f10"), "Old"};
}

// What libfdisk writes: the protective record, and header and entries at either end.
std::vector<ByteRange> table_areas(std::uint64_t sector) {
  constexpr std::uint64_t kEntries = 128 * 128;
  const std::uint64_t last = sector + kEntries;
  return {{0, 2 * sector + kEntries}, {kSize - last, last}};
}

// The smallest thing that libblkid takes for a BitLocker volume, at the start of the partition.
std::array<std::uint64_t, 3> put_bitlocker(block::FileDevice& device) {
  const std::array<std::uint64_t, 3> copies = {4 * kMiB, 6 * kMiB, 8 * kMiB};
  ByteWriter boot;
  boot.bytes(as_bytes(std::string_view("\xEB\x58\x90-FVE-FS-", 11)));
  boot.pad_to(0xA0).bytes(Guid::parse("4967d63b-2e29-4ad8-8399-f6a339e3d001")->on_disk());
  for (const std::uint64_t copy : copies) boot.u64(copy);
  boot.pad_to(510).u16(0xAA55);
  device.write(kMiB, boot.view());
  for (const std::uint64_t copy : copies) {
    ByteWriter head;
    head.bytes(as_bytes("-FVE-FS-")).u16(0x2C).u16(2).pad_to(512);
    device.write(kMiB + copy, head.view());
  }
  return copies;
}

inventory::Signatures probe(const block::FileDevice& device) {
  return inventory::probe_signatures(device.fd(), {0, device.size()}, device.sector_size(),
                                     device.name());
}

std::set<std::string> types(const inventory::Signatures& signatures) {
  std::set<std::string> types;
  for (const auto& each : signatures.found) types.insert(each.type);
  return types;
}

// The GUIDs of all tables that libblkid believes in.
std::set<std::string> table_ids(const block::FileDevice& device) {
  std::set<std::string> ids;
  for (const auto& each : probe(device).found) {
    if (each.usage == inventory::Usage::kPartitionTable && !each.uuid.empty()) {
      ids.insert(each.uuid);
    }
  }
  return ids;
}

// The table that our reader finds; nullopt when it finds none that it believes.
std::optional<GptLayout> table_of(const block::FileDevice& device) {
  try {
    return read_gpt(device);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

TEST_CASE("a partition table is written to the places of tables and nowhere else") {
  const std::uint64_t sector = GENERATE(512, 4096);
  SealedDisk disk(kSize, SectorSize(sector));
  block::FileDevice device = disk.device();
  const Bytes before = disk.content();

  const GptLayout written = write_gpt(device, new_table());

  CHECK_FALSE(test::stray_byte(before, disk.content(), table_areas(sector)));
  CHECK(read_gpt(device) == written);
}

TEST_CASE("a wipe changes what it lists and nothing else, to zeros") {
  SealedDisk disk(kSize);
  block::FileDevice device = disk.device();
  write_gpt(device, old_table());
  const auto copies = put_bitlocker(device);
  const Bytes before = disk.content();

  const WipeReport report = wipe(device, {0, kSize}, std::nullopt);

  const Bytes after = disk.content();
  CHECK_FALSE(test::stray_byte(before, after, report.erased));
  std::uint64_t left = 0;
  std::vector<ByteRange> documented = {{0, kMiB}, {kSize - kMiB, kMiB}, {kMiB, 64 * kKiB}};
  for (const std::uint64_t copy : copies) documented.push_back({kMiB + copy, 64 * kKiB});
  for (const ByteRange& range : report.erased) {
    for (std::uint64_t at = range.offset; at < range.end(); ++at) left += after[at] != std::byte{0};
  }
  CHECK(left == 0);
  CHECK_FALSE(test::stray_byte(before, after, documented));
}

TEST_CASE("whichever write of a table goes wrong, there is the old table, none, or the new one") {
  const std::uint64_t sector = GENERATE(512, 4096);
  const bool had_table = GENERATE(true, false);
  CAPTURE(sector, had_table);
  SealedDisk disk(kSize, SectorSize(sector));
  block::FileDevice device = disk.device();
  std::optional<GptLayout> old;
  if (had_table) old = write_gpt(device, old_table());
  const Bytes before = disk.content();
  const GptLayout planned = planned_layout(kSize, new_table());

  std::uint64_t writes = 0;
  {
    const FaultyWrites counting(device.fd(), kNever, WriteFault::kFail);
    write_gpt(device, new_table());
    writes = counting.writes();
  }
  REQUIRE(writes >= 5);

  for (const WriteFault fault : kFaults) {
    for (std::uint64_t n = 0; n < writes; ++n) {
      CAPTURE(static_cast<int>(fault), n, writes);
      disk.put(before);
      block::FileDevice faulty = disk.device();
      std::string error;
      {
        const FaultyWrites faults(faulty.fd(), n, fault);
        error = error_of([&] { write_gpt(faulty, new_table()); });
        CHECK(faults.happened());
      }
      if (fault == WriteFault::kDropped) {
        // Nobody is told; reading back finds out, unless the same was there before.
        CHECK((error.empty() || error == "verification/gpt-invalid" ||
               error == "verification/gpt-differs"));
        if (error.empty()) CHECK(table_of(device) == planned);
      } else {
        CHECK(error == "write/gpt-write-failed");
      }
      const std::optional<GptLayout> found = table_of(device);
      CHECK((!found || found == planned || found == old));
      for (const std::string& id : table_ids(device)) {
        CHECK((id == planned.disk_guid.lower() || (old && id == old->disk_guid.lower())));
      }
      CHECK_FALSE(test::stray_byte(before, disk.content(), table_areas(sector)));
    }
  }
}

TEST_CASE("whichever write of a wipe goes wrong, it is told, and nothing new is found") {
  SealedDisk disk(kSize);
  block::FileDevice device = disk.device();
  const GptLayout old = write_gpt(device, old_table());
  put_bitlocker(device);
  const Bytes before = disk.content();
  const std::set<std::string> old_types = types(probe(device));
  CHECK(old_types.contains("BitLocker"));

  std::uint64_t writes = 0;
  {
    const FaultyWrites counting(device.fd(), kNever, WriteFault::kFail);
    wipe(device, {0, kSize}, std::nullopt);
    writes = counting.writes();
  }
  REQUIRE(writes >= 6);
  const Bytes wiped = disk.content();

  for (const WriteFault fault : kFaults) {
    for (std::uint64_t n = 0; n < writes; ++n) {
      CAPTURE(static_cast<int>(fault), n, writes);
      disk.put(before);
      block::FileDevice faulty = disk.device();
      std::string error;
      {
        const FaultyWrites faults(faulty.fd(), n, fault);
        error = error_of([&] { wipe(faulty, {0, kSize}, std::nullopt); });
        CHECK(faults.happened());
      }
      if (fault == WriteFault::kDropped) {
        // Either it is noticed, or a later write was over the same place.
        const bool complete = disk.content() == wiped;
        CHECK(error == (complete ? "" : "write/wipe-failed"));
      } else {
        CHECK(error == "write/write-failed");
      }
      for (const std::string& type : types(probe(device))) CHECK(old_types.contains(type));
      const std::optional<GptLayout> found = table_of(device);
      CHECK((!found || found == old));
    }
  }
}
