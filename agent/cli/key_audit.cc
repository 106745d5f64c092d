#include "agent/cli/job_session.h"
#include "agent/cli/key_commands.h"
#include "agent/cli/output.h"
#include "agent/keys/audit.h"
#include "base/encoding.h"

namespace driveprep::cli {
namespace {

struct Trail {
  std::vector<journal::Event> events;  // about keys
  std::string head;                    // hash of the last event of any kind
};

Trail trail_of(const journal::Journal& journal) {
  Trail trail;
  std::int64_t next = 1;
  while (true) {
    const std::vector<journal::Event> events = journal.events(next);
    if (events.empty()) return trail;
    for (const journal::Event& event : events) {
      if (keys::is_key_event(event)) trail.events.push_back(event);
    }
    next = events.back().sequence + 1;
    trail.head = hex_lower(events.back().hash);
  }
}

nlohmann::json details_of(const journal::Event& event) {
  nlohmann::json details = nlohmann::json::parse(event.details, nullptr, false);
  return details.is_object() ? details : nlohmann::json::object();
}

std::string line_of(const journal::Event& event) {
  std::string text = event.time.iso8601() + "  " + event.kind;
  if (!event.drive.empty()) text += "  drive " + event.drive;
  std::string rest;
  const nlohmann::json details = details_of(event);
  for (const auto& [name, value] : details.items()) {
    rest += (rest.empty() ? "" : ", ") + name + " " +
            (value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text + (rest.empty() ? "" : "\n    " + rest);
}

}  // namespace

int run_key_audit(const CommonOptions& options) {
  const job::Job job = job::load_job_for_keys(options.job);
  const auto journal =
      journal::Journal::open(job.directory.root(), journal::Journal::Access::kReadOnly);
  journal->require_job(job.spec.name);
  const Trail trail = trail_of(*journal);
  const std::optional<std::int64_t> broken = journal->first_broken_event();
  if (options.json) {
    nlohmann::ordered_json document = result_head(job.directory, job.spec.name);
    document["chain"] = broken ? "broken" : "whole";
    if (broken) document["first_broken"] = *broken;
    document["head"] = trail.head;
    document["events"] = nlohmann::ordered_json::array();
    for (const journal::Event& event : trail.events) {
      document["events"].push_back({{"sequence", event.sequence},
                                    {"time", event.time.iso8601()},
                                    {"kind", event.kind},
                                    {"drive", event.drive},
                                    {"details", details_of(event)},
                                    {"hash", hex_lower(event.hash)}});
    }
    print_json(document);
  } else {
    for (const journal::Event& event : trail.events) print(printable(line_of(event)));
    print(broken ? "\nThe chain of events is broken: event " + std::to_string(*broken) +
                       " is not what was recorded."
                 : "\nThe chain of events is whole. Its head is " + trail.head +
                       "\n(keep that elsewhere: it shows later whether the end was cut off).");
  }
  if (!broken) return 0;
  throw Error(ErrorKind::kVerification, "audit-chain-broken",
              "the audit trail of " + job.directory.root().string() + " was changed: event " +
                  std::to_string(*broken) + " does not fit the one before",
              "Compare journal.db with a copy; what stands before that event is as recorded.");
}

}  // namespace driveprep::cli
