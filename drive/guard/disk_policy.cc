#include "drive/guard/disk_policy.h"

#include <algorithm>

#include "base/human_text.h"
#include "drive/guard/disk_reasons.h"

namespace driveprep::guard {
namespace {

using inventory::Bus;
using inventory::DiskFacts;
using inventory::DriveIdentity;
using inventory::Trust;

void check_descriptor(DiskReasons& reasons) {
  const DiskFacts& disk = reasons.disk();
  if (!disk.opened.handle.known()) {
    reasons.refuse("disk-fact-unreadable",
                   "cannot look into " + reasons.name() + ": " + disk.opened.handle.why_not(),
                   "Remove the cause; where permission is missing, run the command as root: sudo "
                   "driveprep ...");
  } else if (disk.handle.known() && disk.handle.value() != disk.opened.handle.value()) {
    reasons.refuse("disk-fact-unreadable",
                   reasons.name() + " leads to another device than the kernel lists there",
                   "Wait until no drive is being plugged in, then run the same command again.");
  }
}

// Unlike an image, a disk is confirmed even when it is empty: what it looked like is no proof of
// which it is.
void check_consent(DiskReasons& reasons, const Consent& consent) {
  const inventory::Contents& contents = reasons.of().contents.value();
  std::string holds = contents.holds_something()
                          ? reasons.name() + " holds: " + contents.description
                          : reasons.name() + " is empty";
  if (consent.replaces) holds += "; " + *consent.replaces;
  const std::string& id = reasons.of().request.drive_id;
  if (contents.holds_something() && !consent.format) {
    reasons.refuse(
        "disk-not-empty", holds,
        "Use an empty drive, or set FormatOption to Format in driveset.csv to destroy this.");
  } else if (!consent.confirmed_id) {
    reasons.refuse("disk-not-confirmed", ErrorKind::kNotConfirmed,
                   holds + "; nobody confirmed that this drive is meant",
                   "Type its serial number when asked, or add --confirm " + id + ".");
  } else if (*consent.confirmed_id != id) {
    reasons.refuse("disk-wrong-confirmation", ErrorKind::kNotConfirmed,
                   holds + "; the confirmation names another drive than " + id,
                   "Check which drive you mean; to destroy this one, confirm " + id + ".");
  }
}

void check_continuation(DiskReasons& reasons, const Consent::Begun& begun) {
  const DiskCase& disk = reasons.of();
  const auto not_the_one = [&](const std::string& why) {
    reasons.refuse("disk-not-the-one-begun", ErrorKind::kJournalMismatch,
                   reasons.name() + " is not the disk that an earlier run began for drive " +
                       disk.request.drive_id + ": " + why,
                   "Connect the right drive, or start over with a new job directory.");
  };
  if (identity_text(disk) != begun.identity) {
    not_the_one("it is " + identity_text(disk) + " instead of " + begun.identity);
  } else if (disk.disk_guid.value() != begun.disk_guid->lower()) {
    const std::string& found = disk.disk_guid.value();
    not_the_one("its disk GUID is " + (found.empty() ? "missing" : found) + " instead of " +
                begun.disk_guid->lower());
  }
}

void check_contents(DiskReasons& reasons, const Consent& consent) {
  const inventory::OpenedFacts& opened = reasons.disk().opened;
  if (!reasons.known_opened(opened.signatures, "the contents")) return;
  if (!reasons.known_opened(reasons.of().contents, "the contents")) return;
  if (!reasons.known_opened(reasons.of().disk_guid, "the disk GUID")) return;
  if (const auto& wholes = opened.signatures.value().part_of; !wholes.empty()) {
    reasons.refuse(
        "disk-member", reasons.name() + " is a part of something larger (" + listed(wholes) + ")",
        "Make sure that nothing needs it any more; then add " + reasons.accepting("disk-member"));
  }
  if (consent.continues_disk()) {
    check_continuation(reasons, *consent.begun);
  } else {
    check_consent(reasons, consent);
  }
}

}  // namespace

bool is_acceptable(std::string_view code) {
  return std::ranges::find(kAcceptable, code) != kAcceptable.end();
}

std::string identity_text(const DiskCase& disk) {
  const DriveIdentity identity = disk.disk.identity();
  const std::string& serial =
      identity.trust == Trust::kStrong ? identity.serial->value : disk.request.drive_id;
  return "disk:" + serial + ":" +
         std::to_string(disk.disk.bytes.known() ? disk.disk.bytes.value() : 0) + ":" +
         std::to_string(disk.disk.logical_sector.known() ? disk.disk.logical_sector.value() : 0);
}

Verdict judge(const DiskCase& disk, const Consent& consent) {
  DiskReasons reasons(disk);
  if (check_kind(reasons)) {
    check_use(reasons);
    check_descriptor(reasons);
    check_identity(reasons);
    check_medium(reasons);
    check_contents(reasons, consent);
  }
  return reasons.take();
}

std::optional<std::uint64_t> hidden_bytes(const DiskFacts& disk) {
  if (!disk.bytes.known() || !disk.reports.known() || !disk.reports.value().native_bytes) {
    return std::nullopt;
  }
  const std::uint64_t native = *disk.reports.value().native_bytes;
  return native > disk.bytes.value() ? native - disk.bytes.value() : 0;
}

std::vector<std::string> warnings_of(const DiskCase& disk) {
  std::vector<std::string> warnings;
  const DiskFacts& facts = disk.disk;
  const std::string name = facts.node.string();
  if (facts.reports.known()) {
    const Bus bus = facts.reports.value().bus;
    if (bus == Bus::kUsb) {
      warnings.push_back(name +
                         " is connected by USB: the service wants the disk in it, not the "
                         "enclosure");
    } else if (bus != Bus::kSata && bus != Bus::kLoop) {
      warnings.push_back(name + " is no SATA drive; the service takes SATA drives only");
    }
  }
  if (hidden_bytes(facts).value_or(0) > 0) {
    warnings.push_back(name + " hides a part of itself (HPA): it shows " +
                       counted(facts.bytes.value(), "byte") + " of " +
                       counted(*facts.reports.value().native_bytes, "byte"));
  }
  const bool loop = facts.reports.known() && facts.reports.value().bus == Bus::kLoop;
  if (!loop && facts.opened.handle.known() && !facts.opened.health.known()) {
    warnings.push_back("the health of " + name +
                       " is unknown, not good: " + facts.opened.health.why_not());
  } else if (!loop && facts.opened.health.known() && !facts.opened.health.value()) {
    warnings.push_back("the health of " + name + " cannot be read: it is unknown, not good");
  } else if (facts.opened.health.known() && facts.opened.health.value() &&
             !facts.opened.health.value()->self_assessed) {
    warnings.push_back(name +
                       " does not tell whether it is failing; its counters are what is known");
  }
  return warnings;
}

}  // namespace driveprep::guard
