// The tagged read/write sample of the intake test: every place is written, then everything is
// flushed, then every place is read in random order and compared. It finds drives that have less
// memory than they say, that lose or misplace writes, and that return other bytes than they took.
//
// What it cannot find: an address that wraps at a size which is neither a power of two nor a half,
// quarter, ... of the whole. Only Coverage::kWhole finds that.
//
// Method: the drive-safety reference, section 15, after f3 (github.com/AltraMayor/f3).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/intake/places.h"
#include "agent/report/drive_progress.h"
#include "base/guid.h"
#include "drive/block/block_device.h"

namespace driveprep::intake {

// How a sector came back that is not what was written.
enum class Defect {
  kOtherPlace,  // it holds what was written elsewhere: the address wraps
  kOldRun,      // it holds what an earlier test wrote there: the write was lost
  kZeros,
  kFewBits,    // some bits are changed
  kCorrupted,  // something else
  kUnreadable,
};
inline constexpr std::size_t kDefects = 6;
std::string_view to_string(Defect defect);  // "other-place", "old-run", ...

// Neighbouring sectors with the same defect.
struct Finding {
  ByteRange range;
  Defect defect = Defect::kCorrupted;
  std::uint64_t written_at = 0;  // kOtherPlace: where the first sector should be
  std::uint64_t bits = 0;        // kFewBits: changed in all
  std::string cause = {};        // kUnreadable: in the words of the system
};

// What became of a place, by its number in Places.
enum class PlaceState : std::uint8_t { kNotWritten, kNotRead, kGood, kWrong };

struct SampleResult {
  Places places;
  Guid run;
  std::vector<PlaceState> states = {};
  std::uint64_t bytes_written = 0;
  std::uint64_t bytes_read = 0;
  std::chrono::duration<double> writing{0};  // with the flush
  std::chrono::duration<double> reading{0};

  std::vector<Finding> findings = {};  // kMostFindings at most, by offset
  std::uint64_t wrong_places = 0;
  std::uint64_t wrong_bytes = 0;
  std::uint64_t lowest_wrong = 0;  // offset of the first wrong byte; of no meaning without one
  std::array<std::uint64_t, kDefects> bytes_by_defect{};
  // Tags that were found elsewhere were this, or a multiple of it, away from their places.
  std::uint64_t wrap = 0;

  bool stopped = false;    // by the operator: not everything was written, or read
  bool cut_short = false;  // too many places could not be read: the rest was not tried
  std::optional<Error> failure = std::nullopt;  // of writing or flushing; or it is gone, too hot
  // Whether what the test wrote is overwritten with zeros: all of a sample; the ends of a whole
  // drive. Without it tags may be left.
  bool cleared = false;
  std::optional<Error> not_cleared = std::nullopt;  // why
};

// A number for Places::sample() and random_order() from a run id.
std::uint64_t seed_of(const Guid& run);

inline constexpr std::size_t kMostFindings = 64;
inline constexpr std::uint64_t kMostUnreadable = 64;  // places

struct SampleTest {
  block::BlockDevice& device;
  // Opens the same device for reading past the page cache; called after the flush.
  std::function<std::unique_ptr<block::ReadableDevice>()> open_for_reading;
  Places places;
  Guid run;
  // Read after the flush and before a sample, of other places: what a cache in the drive still has
  // goes.
  std::uint64_t bytes_between = kGiB;
  std::function<void()> before_each = {};  // place, written or read; may wait, and may throw
  report::DriveProgress* progress = nullptr;
  const std::atomic<bool>* stop = nullptr;
};

// Destroys what is at the places and in the first and last MiB. Throws nothing that the device
// throws: `failure` has it.
SampleResult run_sample(const SampleTest& test);

}  // namespace driveprep::intake
