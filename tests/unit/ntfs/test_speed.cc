// How fast metadata is made and read, in memory. Hidden: run with the tag [.speed].
#include <catch2/catch.hpp>
#include <ctime>

#include "base/utf16.h"
#include "tests/unit/ntfs/volume_fixture.h"

using namespace driveprep;
using namespace driveprep::ntfs;
using namespace driveprep::ntfs::test;

namespace {

// Processor time of this thread: the machine may be busy with other things.
double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace

TEST_CASE("100 000 small files in 100 directories", "[.speed]") {
  const std::uint64_t size = 4 * kGiB;
  const std::uint32_t bytes = GENERATE(600U, 2500U);
  block::MemoryDevice device(size);
  const FormattedVolume formatted = format_volume({size, SectorSize(512), Lba{2048}, "S", {}});
  formatted.copy_to(device);
  DirectSink sink(device);
  const Bytes content = content_of(bytes, 1);
  std::vector<std::u16string> names;
  for (int n = 0; n < 1000; ++n) {
    std::string digits = std::to_string(n);
    names.push_back(u"file-" + *utf16_from_utf8(std::string(5 - digits.size(), '0') + digits));
  }
  std::vector<std::u16string> directories(names.begin(), names.begin() + 100);

  double start = thread_seconds();
  {
    VolumeWriter writer(device, sink, {.planned_records = 100'200});
    int since = 0;
    for (const auto& directory : directories) {
      writer.enter_directory(directory);
      for (const auto& name : names) {
        writer.write_small(name, times_of(1), content);
        if (++since % 20'000 == 0) checkpoint(writer);
      }
      writer.leave_directory(times_of(2));
    }
    finish(writer);
  }
  const double created = 100'000 / (thread_seconds() - start);

  start = thread_seconds();
  VolumeReader reader(device);
  std::uint64_t seen = 0;
  for (const auto& directory : directories) {
    for (const auto& name : names) seen += reader.open(directory + u"/" + name)->size;
  }
  const double opened = 100'000 / (thread_seconds() - start);
  CHECK(seen == 100'000ULL * bytes);
  WARN(bytes << " bytes: " << static_cast<int>(created) << " files/s created, "
             << static_cast<int>(opened) << " opened");
  CHECK(reader.open(u"$MFT")->ranges.size() <= 4);
  CHECK(created > 40'000);
  CHECK(opened > 60'000);
}
