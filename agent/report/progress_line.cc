#include "agent/report/progress_line.h"

#include <algorithm>
#include <initializer_list>

#include "agent/report/sizes.h"

namespace driveprep::report {
namespace {

bool counts(const DriveProgress::Snapshot& now) {
  switch (now.phase) {
    case Phase::kCopying:
    case Phase::kWriting: return true;
    case Phase::kVerifying:
    case Phase::kSearching:
    case Phase::kErasing: return now.bytes_total + now.files_total > 0;
    default: return false;
  }
}

// 100 % is for what has ended.
std::uint64_t percent(const DriveProgress::Snapshot& now) {
  const bool by_bytes = now.bytes_total > 0;
  const std::uint64_t total = by_bytes ? now.bytes_total : now.files_total;
  const std::uint64_t done = by_bytes ? now.bytes_done : now.files_done;
  return total > 0 ? std::min<std::uint64_t>(done * 100 / total, 99) : 0;
}

std::string joined(std::initializer_list<std::string> parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (!part.empty()) text += (text.empty() ? "" : "  ") + part;
  }
  return text;
}

// What is worth more than any number: the drive is silent, or too hot.
std::string trouble(const DriveProgress::Snapshot& now) {
  if (now.silence.count() > 0) {
    return "NO ANSWER for " + human_duration(now.silence) + " (cable, power?)";
  }
  return now.cooling ? "TOO HOT: writing waits until it has cooled" : "";
}

std::string temperature(const DriveProgress::Snapshot& now) {
  return now.celsius ? std::to_string(*now.celsius) + " C" : "";
}

}  // namespace

std::string progress_line(const std::string& drive_id, const DriveProgress::Snapshot& snapshot,
                          const RateMeter& meter, std::size_t width) {
  constexpr std::size_t kPhaseWidth = 10;
  std::string phase(to_string(snapshot.phase));
  if (const std::string what = trouble(snapshot); !what.empty()) {
    return joined({drive_id, phase, what, temperature(snapshot)}).substr(0, width);
  }
  if (!counts(snapshot)) return joined({drive_id, phase}).substr(0, width);
  phase.resize(std::max(phase.size(), kPhaseWidth), ' ');

  const std::string done = std::to_string(percent(snapshot)) + " %";
  const std::string bytes =
      human_bytes(snapshot.bytes_done) + " of " + human_bytes(snapshot.bytes_total);
  // Where a drive is tested or erased there are no files.
  const std::string files = snapshot.files_total == 0 ? ""
                                                      : human_count(snapshot.files_done) + " of " +
                                                            counted(snapshot.files_total, "file");
  std::string rate;
  std::string left;
  if (meter.known()) {
    rate = human_bytes(static_cast<std::uint64_t>(meter.current_rate())) + "/s";
    left = meter.seconds_left() < 0
               ? "? left"
               : human_duration(std::chrono::seconds(meter.seconds_left())) + " left";
  }
  const std::string heat = temperature(snapshot);
  for (const std::string& line : {joined({drive_id, phase, done, bytes, files, rate, left, heat}),
                                  joined({drive_id, phase, done, bytes, files, rate, left}),
                                  joined({drive_id, phase, done, bytes, rate, left})}) {
    if (line.size() <= width) return line;
  }
  return joined({drive_id, phase, done, rate, left}).substr(0, width);
}

}  // namespace driveprep::report
