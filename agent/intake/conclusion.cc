#include "agent/intake/conclusion.h"

#include <algorithm>

#include "agent/report/sizes.h"

namespace driveprep::intake {
namespace {

using report::counted;
using report::human_bytes;
using report::human_count;

// A single tag that is close by was misplaced; no memory chip is that small.
constexpr std::uint64_t kSmallestWrap = kMiB;
constexpr std::uint64_t kLostPlaces = 3;

std::uint64_t bytes_of(const SampleResult& sample, Defect defect) {
  return sample.bytes_by_defect[static_cast<std::size_t>(defect)];
}

// From some offset to the end nearly everything is lost, or all but what was written last, which a
// cache keeps; and before it all is good.
std::optional<TrueSize> size_of_kept_part(const SampleResult& sample) {
  if (bytes_of(sample, Defect::kFewBits) > 0) return std::nullopt;
  if (sample.states.empty() || sample.states.front() != PlaceState::kWrong) return std::nullopt;
  TrueSize size{0, sample.lowest_wrong};
  std::uint64_t good = 0;
  std::uint64_t wrong = 0;
  std::size_t last_wrong = 0;
  std::size_t first_good = sample.states.size();
  for (std::size_t i = 0; i < sample.states.size(); ++i) {
    const ByteRange place = sample.places.at(i);
    const PlaceState state = sample.states[i];
    if (place.end() <= size.at_most) {
      if (state == PlaceState::kGood) size.at_least = std::max(size.at_least, place.end());
    } else {
      if (state == PlaceState::kGood) {
        ++good;
        first_good = std::min(first_good, i);
      } else if (state == PlaceState::kWrong) {
        ++wrong;
        last_wrong = i;
      }
      // The sectors before the first wrong one of its place.
      if (place.contains(size.at_most) && place.offset < size.at_most) size.at_least = size.at_most;
    }
  }
  const bool nearly_all = wrong >= 3 * good;
  const bool kept_the_last = last_wrong < first_good && 2 * wrong >= good;
  if (wrong < kLostPlaces || size.at_least == 0 || !(nearly_all || kept_the_last)) {
    return std::nullopt;
  }
  return size;
}

std::string size_text(std::uint64_t bytes) {
  return human_count(bytes) + " bytes (" + human_bytes(bytes) + ")";
}

// The first finding of a kind, for the message.
std::string example(const SampleResult& sample, bool wrapped) {
  for (const Finding& finding : sample.findings) {
    if (!wrapped || finding.defect == Defect::kOtherPlace) return describe(finding);
  }
  return {};
}

guard::Reason fake(const std::string& name, const SampleResult& sample, const TrueSize& size) {
  const std::string truth = size.at_least == size.at_most ? size_text(size.at_most)
                            : size.at_least == 0          ? "at most " + size_text(size.at_most)
                                                 : "between " + size_text(size.at_least) + " and " +
                                                       size_text(size.at_most);
  return {"drive-fake-capacity", ErrorKind::kVerification,
          name + " says that it has " + size_text(sample.places.device_size()) + "; it has " +
              truth + ": " + example(sample, sample.wrap >= kSmallestWrap),
          "Do not use the drive, send it back: what is written beyond its true size is lost."};
}

guard::Reason differs(const std::string& name, const SampleResult& sample) {
  const std::string where = human_bytes(sample.wrong_bytes) + " at " +
                            human_count(sample.wrong_places) + " of " +
                            counted(sample.places.count(), "place") + " of " + name;
  if (bytes_of(sample, Defect::kUnreadable) == sample.wrong_bytes) {
    return {"sample-unreadable", ErrorKind::kVerification,
            where + " cannot be read back: " + example(sample, false),
            "Check cable and power, look at the kernel log (dmesg), then test again; if it stays, "
            "use another drive."};
  }
  return {"sample-differs", ErrorKind::kVerification,
          where + " came back with other bytes than were written: " + example(sample, false),
          "Check cable, enclosure and this machine's memory, then test again; if it stays, use "
          "another drive."};
}

}  // namespace

std::optional<TrueSize> true_size(const SampleResult& sample) {
  if (sample.wrong_bytes == 0) return std::nullopt;
  if (sample.wrap >= kSmallestWrap) return TrueSize{0, sample.wrap};
  return size_of_kept_part(sample);
}

std::vector<guard::Reason> conclude(const std::string& name, const SampleResult& sample,
                                    const HealthChange& health) {
  std::vector<guard::Reason> reasons;
  if (const std::optional<TrueSize> size = true_size(sample)) {
    reasons.push_back(fake(name, sample, *size));
  } else if (sample.wrong_bytes > 0) {
    reasons.push_back(differs(name, sample));
  }
  // A write that fails at the very end fails a drive like any other.
  if (const std::optional<Error>& failure = sample.failure ? sample.failure : sample.not_cleared) {
    reasons.push_back({failure->code(), failure->kind(), failure->what(), failure->remedy()});
  }
  if (!health.worse.empty()) {
    reasons.push_back({"drive-deteriorated", ErrorKind::kHealth,
                       name + " has become worse during the test: " + health.worse,
                       "Do not use it as it is: try another cable and port; if more bad sectors "
                       "come, use another drive."});
  }
  if (!health.untold.empty()) {
    reasons.push_back(
        {"drive-health-silent", ErrorKind::kHealth,
         name + " told its health before the test and no longer does: " + health.untold,
         "Check cable and port, then test again; if it stays silent, use another "
         "drive."});
  }
  return reasons;
}

std::string describe(const Finding& finding) {
  const std::string at =
      human_bytes(finding.range.length) + " at offset " + human_count(finding.range.offset);
  switch (finding.defect) {
    case Defect::kOtherPlace:
      return at + " read as what was written at offset " + human_count(finding.written_at);
    case Defect::kOldRun: return at + " read as what an earlier test wrote: the write was lost";
    case Defect::kZeros: return at + " read as zeros";
    case Defect::kFewBits: return at + " have " + counted(finding.bits, "changed bit");
    case Defect::kCorrupted: return at + " read as something else";
    case Defect::kUnreadable: break;
  }
  return at + " cannot be read: " + finding.cause;
}

}  // namespace driveprep::intake
