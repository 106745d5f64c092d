#include "agent/cli/wipe_record.h"

#include <pwd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/cli/job_session.h"
#include "agent/prepare/drive_health.h"

namespace driveprep::cli {
namespace {

using nlohmann::ordered_json;

std::string host_name() {
  utsname names{};
  return ::uname(&names) == 0 ? names.nodename : "";
}

std::string user_name() {
  const passwd* user = ::getpwuid(::geteuid());
  return user != nullptr ? user->pw_name : std::to_string(::geteuid());
}

void put(ordered_json& drive, const char* name, const std::optional<inventory::Statement>& told) {
  drive[name] = told ? ordered_json(told->value) : ordered_json(nullptr);
}

template <typename T>
ordered_json or_null(const inventory::Fact<T>& fact) {
  return fact.known() ? ordered_json(fact.value()) : ordered_json(nullptr);
}

ordered_json before_json(const guard::DiskCase& disk, const erase::EraseReport& report) {
  ordered_json signatures = ordered_json::array();
  std::string description;
  if (disk.contents.known()) {
    description = disk.contents.value().description;
    for (const inventory::Signature& each : disk.contents.value().signatures.found) {
      signatures.push_back({{"type", each.type}, {"offset", each.offset}, {"uuid", each.uuid}});
    }
  }
  return {{"description", description},
          {"bitlocker_volumes", report.before.volumes},
          {"signatures", signatures}};
}

ordered_json read_back_json(const WipeOutcome& outcome) {
  const std::optional<erase::ReadBack>& read = outcome.read_back;
  if (!read) return nullptr;
  return {{"samples", read->samples},
          {"zero", read->zero},
          {"other", read->other},
          {"unreadable", read->unreadable},
          {"changed", read->changed},
          {"failed", read->failed},
          {"first_failed",
           read->first_failed ? ordered_json(*read->first_failed) : ordered_json(nullptr)},
          {"complete", !read->stopped},
          {"places_of_metadata_checked", read->key_places},
          {"cache_bypassed", outcome.cache_bypassed}};
}

ordered_json earlier_json(const std::optional<record::EarlierAttempt>& earlier) {
  if (!earlier) return nullptr;
  return {{"started", earlier->started},
          {"result", earlier->result},
          {"record", earlier->kept_as.filename().string()}};
}

}  // namespace

ordered_json wiped_drive_json(const guard::DiskCase& disk) {
  const inventory::DiskFacts& facts = disk.disk;
  const inventory::DriveIdentity identity = facts.identity();
  ordered_json drive = {{"id", disk.request.drive_id}};
  put(drive, "serial", identity.serial);
  drive["serial_source"] = identity.serial
                               ? ordered_json(inventory::to_string(identity.serial->source))
                               : ordered_json(nullptr);
  put(drive, "model", identity.model);
  put(drive, "firmware", identity.firmware);
  put(drive, "wwn", identity.wwn);
  drive["bytes"] = or_null(facts.bytes);
  const std::optional<std::uint64_t> hidden = guard::hidden_bytes(facts);
  drive["hidden_bytes"] = hidden ? ordered_json(*hidden) : ordered_json(nullptr);
  drive["logical_sector"] = or_null(facts.logical_sector);
  drive["physical_sector"] = or_null(facts.physical_sector);
  drive["bus"] = facts.reports.known()
                     ? ordered_json(inventory::to_string(facts.reports.value().bus))
                     : ordered_json(nullptr);
  drive["bus_path"] = facts.bus_path;
  drive["device"] = facts.node.string();
  drive["disk_sequence"] = nullptr;
  if (facts.handle.known() && facts.handle.value().sequence) {
    drive["disk_sequence"] = *facts.handle.value().sequence;
  }
  return drive;
}

ordered_json begun_wipe_record(const guard::DiskCase& disk, const WipeOutcome& outcome) {
  ordered_json record = wipe_record(disk, outcome);
  record["result"] = "begun";
  record["before"]["bitlocker_volumes"] = nullptr;  // not looked for yet
  for (const char* name : {"ended", "metadata_destroyed", "searched_bytes", "destroyed",
                           "bytes_covered", "contents_gone", "read_back"}) {
    record[name] = nullptr;
  }
  record["health"]["after"] = nullptr;
  return record;
}

ordered_json wipe_record(const guard::DiskCase& disk, const WipeOutcome& outcome) {
  ordered_json destroyed = ordered_json::array();
  for (const erase::KeyPlace& place : outcome.report.destroyed) {
    destroyed.push_back(
        {{"what", place.what}, {"offset", place.range.offset}, {"length", place.range.length}});
  }
  ordered_json error = nullptr;
  if (outcome.error) {
    error = {{"code", outcome.error->code()}, {"message", outcome.error->what()}};
  }
  return {{"schema", 1},
          {"kind", "wipe"},
          {"program", program_name()},
          {"host", host_name()},
          {"user", user_name()},
          {"started", outcome.started.iso8601()},
          {"ended", outcome.ended.iso8601()},
          {"result", outcome.error            ? "failed"
                     : outcome.report.stopped ? "stopped"
                                              : "wiped"},
          {"error", error},
          {"warnings", outcome.warnings},
          {"earlier_attempt", earlier_json(outcome.earlier)},
          {"drive", wiped_drive_json(disk)},
          {"before", before_json(disk, outcome.report)},
          {"method", erase::to_string(outcome.method)},
          {"metadata_destroyed", outcome.report.metadata_destroyed},
          {"metadata_destroyed_at", outcome.report.keys_gone
                                        ? ordered_json(outcome.report.keys_gone->iso8601())
                                        : ordered_json(nullptr)},
          {"searched_bytes", outcome.report.before.searched},
          {"destroyed", destroyed},
          {"bytes_covered", outcome.report.covered},
          {"contents_gone", outcome.report.contents_gone},
          {"read_back", read_back_json(outcome)},
          {"health",
           {{"before", prepare::health_json(outcome.health_before)},
            {"after", prepare::health_json(outcome.health_after)}}}};
}

}  // namespace driveprep::cli
