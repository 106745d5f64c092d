// A writer that is killed at any point and started again ends with a whole volume.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "base/utf16.h"
#include "drive/block/redo_device.h"
#include "tests/unit/ntfs/volume_fixture.h"

using namespace driveprep;
using namespace driveprep::ntfs;
using namespace driveprep::ntfs::test;

namespace {

constexpr std::uint64_t kSize = 64 * kMiB;
constexpr int kDirectories = 6;
constexpr int kFiles = 40;
constexpr std::uint64_t kLarge = 700'001;

struct Killed {};

// Counts everything that happens; at the chosen tick the program is gone.
struct Clock {
  std::uint64_t now = 0;
  std::uint64_t end = ~std::uint64_t{0};
  bool dead = false;
  void tick() {
    if (now++ >= end || dead) {
      dead = true;
      throw Killed();
    }
  }
};

class MortalDevice : public block::Slice {
 public:
  MortalDevice(block::BlockDevice& device, Clock& clock)
      : Slice(device, {0, device.size()}, "disk"), clock_(clock) {}
  void write(std::uint64_t offset, ByteView data) override {
    clock_.tick();
    Slice::write(offset, data);
  }

 private:
  Clock& clock_;
};

// What a journal would keep durable.
struct Journal {
  std::uint64_t number = 0;
  Sha256 digest{};
  std::set<std::u16string> complete;
  bool finished = false;
};

std::u16string digits(int n) { return *utf16_from_utf8(std::to_string(n)); }
Bytes small_content(int d, int n) {
  return content_of(static_cast<std::uint64_t>((d * 977 + n * 613) % 9000), d * 1000 + n);
}

class Machine {
 public:
  Machine() : disk_(kSize) {
    format_volume({kSize, SectorSize(512), Lba{2048}, "CRASH", {}}).copy_to(disk_);
  }

  // One start of the program, until it is done or killed at tick `end`. Returns the ticks used.
  std::uint64_t start(std::uint64_t end) {
    Clock clock;
    clock.end = end;
    MortalDevice device(disk_, clock);
    try {
      work(device, clock);
    } catch (const Killed&) {
    }
    return clock.now;
  }

  void check(bool whole) {
    export_device(disk_, directory_ / "image");
    REQUIRE(complaints(directory_ / "image") == "");
    if (journal_.number == 0) return;
    VolumeReader reader(disk_);
    REQUIRE(reader.marked_dirty() == !journal_.finished);
    for (int d = 0; d < kDirectories; ++d) {
      for (int n = 0; n <= kFiles; ++n) {
        const std::u16string path = u"d" + digits(d) + u"/f" + digits(n);
        if (!journal_.complete.contains(path)) {
          REQUIRE_FALSE(whole);
          continue;
        }
        const Bytes wanted = n == kFiles ? content_of(kLarge, d) : small_content(d, n);
        if (read_file(reader, disk_, path) != wanted) FAIL("a file recorded as complete differs");
      }
    }
  }

  // The redo file is applied before anything else looks at the disk.
  void replay() {
    block::RedoDevice redo(disk_, directory_ / "redo");
    redo.replay(journal_.number, journal_.digest);
  }

  bool finished() const { return journal_.finished; }

 private:
  void checkpoint(VolumeWriter& writer, block::RedoDevice& redo, Clock& clock,
                  std::set<std::u16string>& batch, bool last) {
    writer.flush_data();  // new records go ahead here, past the redo file
    clock.tick();
    redo.begin(journal_.number + 1);
    last ? writer.finish() : writer.flush_metadata();
    clock.tick();
    const Sha256 digest = redo.seal();
    clock.tick();
    journal_.number += 1;  // one transaction of the real journal
    journal_.digest = digest;
    journal_.complete.merge(batch);
    journal_.finished = last;
    batch.clear();
    clock.tick();
    redo.apply();
    clock.tick();
    writer.checkpoint_done();
  }

  void work(block::BlockDevice& device, Clock& clock) {
    block::RedoDevice redo(device, directory_ / "redo");
    redo.replay(journal_.number, journal_.digest);
    MortalDevice above(redo, clock);  // a kill while the redo file is written
    DirectSink sink(device);
    VolumeWriter writer(above, sink, {.planned_records = 400});
    std::set<std::u16string> batch;
    if (journal_.number == 0) {
      writer.reserve(std::vector<ReservedFile>{{u"area", {30 * kMiB, 65536}}});
      checkpoint(writer, redo, clock, batch, false);
    }
    int since = 0;
    for (int d = 0; d < kDirectories; ++d) {
      writer.enter_directory(u"d" + digits(d));
      for (int n = 0; n < kFiles; ++n) {
        const std::u16string name = u"f" + digits(n);
        const std::u16string path = u"d" + digits(d) + u"/" + name;
        if (journal_.complete.contains(path)) continue;
        writer.write_small(name, times_of(n), small_content(d, n));
        batch.insert(path);
        if (++since % 25 == 0) checkpoint(writer, redo, clock, batch, false);
      }
      large(writer, redo, clock, device, d, batch);
      writer.leave_directory(times_of(d));
    }
    checkpoint(writer, redo, clock, batch, true);
    writer.close();
  }

  // In three parts, with a checkpoint after each; continues where an earlier run stopped.
  void large(VolumeWriter& writer, block::RedoDevice& redo, Clock& clock,
             block::BlockDevice& device, int d, std::set<std::u16string>& batch) {
    const std::u16string name = u"f" + digits(kFiles);
    const std::u16string path = u"d" + digits(d) + u"/" + name;
    if (journal_.complete.contains(path)) return;
    Bytes content = content_of(kLarge, d);
    content.resize(round_up(kLarge, 4096));
    std::uint64_t valid = 0;
    std::vector<ByteRange> ranges;
    const auto existing = writer.find(name);
    if (existing) {
      REQUIRE(existing->size == kLarge);
      valid = existing->valid_length;
      ranges = existing->ranges;
    } else {
      ranges = writer.allocate(kLarge);
      writer.write_file(name, times_of(d), kLarge, ranges, 0);
      if (d % 2 == 0) checkpoint(writer, redo, clock, batch, false);
    }
    while (valid < kLarge) {
      const std::uint64_t end = std::min<std::uint64_t>(valid + 256 * kKiB, content.size());
      std::uint64_t position = 0;
      for (const ByteRange& range : ranges) {
        const std::uint64_t from = std::max(valid, position);
        const std::uint64_t to = std::min(end, position + range.length);
        if (from < to) {
          device.write(range.offset + from - position, ByteView(content).subspan(from, to - from));
        }
        position += range.length;
      }
      valid = std::min(end, kLarge);
      writer.set_valid_length(name, valid, times_of(d));
      if (valid == kLarge) batch.insert(path);
      checkpoint(writer, redo, clock, batch, false);
    }
  }

  block::MemoryDevice disk_;
  TemporaryDirectory directory_;
  Journal journal_;
};

}  // namespace

TEST_CASE(
    "killed at any write and started again, the volume is clean and nothing recorded is lost") {
  std::uint64_t total = 0;
  {
    Machine undisturbed;
    total = undisturbed.start(~std::uint64_t{0});
    REQUIRE(undisturbed.finished());
    undisturbed.check(true);
  }
  REQUIRE(total > 200);
  int runs = 0;
  for (std::uint64_t end = 0; end < total; end += 17) {
    Machine machine;
    machine.start(end);
    machine.replay();
    INFO("killed at tick " << end << " of " << total);
    machine.check(false);
    // A second kill soon after, then to the end.
    machine.start(end % 37);
    machine.start(~std::uint64_t{0});
    REQUIRE(machine.finished());
    machine.check(true);
    ++runs;
  }
  CHECK(runs > 20);
}

TEST_CASE("killed at every single moment", "[.large]") {
  Machine undisturbed;
  const std::uint64_t total = undisturbed.start(~std::uint64_t{0});
  for (std::uint64_t end = 0; end < total; ++end) {
    Machine machine;
    machine.start(end);
    machine.replay();
    INFO("killed at tick " << end << " of " << total);
    machine.check(false);
    machine.start(~std::uint64_t{0});
    machine.check(true);
  }
}
