// How far one drive is: written by its threads, read by the display. Only counters, no text.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace driveprep::report {

enum class Phase {
  kWaiting,
  kOpening,  // the target is looked at once more, or what an earlier run wrote is unlocked
  kFormatting,
  kCopying,
  kFinishing,
  kVerifying,
  kSealing,
  kErasing,
  // Of a volume, whoever made it:
  kSearching,
  kExporting,
  kExtracting,
  kWriting,  // what an intake test writes
  // How it ended:
  kDone,
  kIncomplete,
  kStopped,
  kFailed,
};

inline constexpr std::size_t kPhases = 16;
// "copying": for people and JSON.
std::string_view to_string(Phase phase);

class DriveProgress {
 public:
  explicit DriveProgress(std::string drive_id) : drive_id_(std::move(drive_id)) {}

  const std::string& drive_id() const { return drive_id_; }

  // Starts a phase that will handle `total` bytes and files, of which `done` were done before.
  void begin(Phase phase, std::uint64_t total_bytes = 0, std::uint64_t total_files = 0,
             std::uint64_t done_bytes = 0, std::uint64_t done_files = 0) {
    const auto now = std::chrono::steady_clock::now();
    spent_[static_cast<std::size_t>(phase_.load())] += now - phase_begin_;
    phase_begin_ = now;
    bytes_total_ = total_bytes;
    files_total_ = total_files;
    bytes_start_ = done_bytes;
    bytes_done_ = done_bytes;
    files_done_ = done_files;
    phase_ = phase;
    ++phase_number_;
    if (on_begin) on_begin(phase);
  }
  // Called by begin(), in its thread. Set before that thread exists.
  std::function<void(Phase)> on_begin;

  // Time spent in a phase that has ended. For the thread that calls begin().
  std::chrono::milliseconds spent(Phase phase) const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
        spent_[static_cast<std::size_t>(phase)]);
  }
  void add_bytes(std::uint64_t count) { bytes_done_ += count; }
  // Bytes that need no work (empty ranges of page blobs): done, but no speed.
  void skip_bytes(std::uint64_t count) {
    bytes_done_ += count;
    bytes_start_ += count;
  }
  void add_files(std::uint64_t count) { files_done_ += count; }

  // Of the drive itself, beside its work.
  void set_celsius(int celsius) { celsius_ = celsius; }
  void set_cooling(bool cooling) { cooling_ = cooling; }            // hot: writing waits
  void set_silence(std::chrono::seconds time) { silence_ = time; }  // 0: it answers

  struct Snapshot {
    Phase phase = Phase::kWaiting;
    std::uint64_t phase_number = 0;  // grows with every begin()
    std::uint64_t bytes_done = 0;
    std::uint64_t bytes_start = 0;  // done before this run, or skipped: no part of the rate
    std::uint64_t bytes_total = 0;
    std::uint64_t files_done = 0;
    std::uint64_t files_total = 0;
    std::optional<int> celsius;
    bool cooling = false;
    std::chrono::seconds silence{0};
  };
  Snapshot snapshot() const {
    Snapshot now;
    now.phase = phase_;
    now.phase_number = phase_number_;
    now.bytes_start = bytes_start_;  // before bytes_done_: never ahead of it within a phase
    now.bytes_done = bytes_done_;
    now.bytes_total = bytes_total_;
    now.files_done = files_done_;
    now.files_total = files_total_;
    if (celsius_ != kNoTemperature) now.celsius = celsius_;
    now.cooling = cooling_;
    now.silence = silence_;
    return now;
  }

 private:
  static constexpr int kNoTemperature = -1000;

  const std::string drive_id_;
  std::atomic<Phase> phase_{Phase::kWaiting};
  std::atomic<std::uint64_t> phase_number_{0};
  std::atomic<std::uint64_t> bytes_done_{0};
  std::atomic<std::uint64_t> bytes_start_{0};
  std::atomic<std::uint64_t> bytes_total_{0};
  std::atomic<std::uint64_t> files_done_{0};
  std::atomic<std::uint64_t> files_total_{0};
  std::atomic<int> celsius_{kNoTemperature};
  std::atomic<bool> cooling_{false};
  std::atomic<std::chrono::seconds> silence_{std::chrono::seconds(0)};
  std::chrono::steady_clock::time_point phase_begin_ = std::chrono::steady_clock::now();
  std::array<std::chrono::steady_clock::duration, kPhases> spent_{};
};

}  // namespace driveprep::report
