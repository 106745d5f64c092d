#include <algorithm>

#include "agent/cli/job_session.h"
#include "agent/cli/key_commands.h"
#include "agent/cli/output.h"
#include "agent/keys/audit.h"
#include "agent/keys/key_state.h"
#include "agent/report/sizes.h"
#include "base/encoding.h"

namespace driveprep::cli {
namespace {

using State = journal::ChainCheck::State;

struct Trail {
  journal::ChainCheck chain;
  std::vector<journal::Event> events;  // about keys
};

// Of a chain that is broken as many as can be read.
std::vector<journal::Event> key_events(const journal::Journal& journal) {
  std::vector<journal::Event> found;
  std::int64_t next = 1;
  try {
    while (true) {
      const std::vector<journal::Event> events = journal.events(next, 1);
      if (events.empty()) break;
      for (const journal::Event& event : events) {
        if (keys::is_key_event(event)) found.push_back(event);
      }
      next = events.back().sequence + 1;
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kJournalMismatch) throw;
  }
  return found;
}

void cut_off(journal::ChainCheck& chain, const std::string& trouble) {
  chain.state = State::kCutOff;
  chain.trouble = trouble;
}

// A change that was interrupted may have kept its state, and not yet recorded it.
bool has_settled_state(const job::JobDirectory& directory) {
  try {
    const auto state = keys::load_key_state(directory);
    return state && !state->target;
  } catch (const Error&) {
    return true;
  }
}

bool has_made_drive(const journal::Journal& journal) {
  return std::ranges::any_of(journal.drives(),
                             [](const auto& drive) { return drive.volume.has_value(); });
}

Trail trail_of(const job::JobDirectory& directory, const std::string& job) {
  // Before the journal is read: it records nothing that is not in the journal by then.
  const bool settled = has_settled_state(directory);
  const auto journal = journal::Journal::open_existing(directory.root());
  Trail trail;
  if (!journal) {
    const bool kept = settled || std::filesystem::exists(directory.root() / "audit-head.json");
    if (!kept) journal::Journal::open(directory.root(), journal::Journal::Access::kReadOnly);
    cut_off(trail.chain, "its end was cut off: journal.db is gone, with all of its events");
    return trail;
  }
  journal->require_job(job);
  trail.chain = journal->check_chain();
  if (trail.chain.whole() && trail.chain.head.events == 0 &&
      (settled || has_made_drive(*journal))) {
    cut_off(trail.chain, "its end was cut off: it has no event, but the job has used a key");
  }
  trail.events = key_events(*journal);
  return trail;
}

// A head that somebody has kept elsewhere.
void compare_head(const job::JobDirectory& directory, const std::string& head, Trail& trail) {
  Sha256 hash{};
  if (!from_hex(head, hash)) {
    throw Error(ErrorKind::kUsage, "audit-head",
                "\"" + head + "\" is no head of a chain: that has 64 hexadecimal digits",
                "Give what key audit has printed as the head.");
  }
  if (!trail.chain.whole()) return;
  const auto journal = journal::Journal::open_existing(directory.root());
  if (journal && journal->holds_event(hash)) return;
  cut_off(trail.chain,
          "its end was cut off, or an older journal was put back: the head that was kept elsewhere "
          "is not in it");
}

Error broken_error(const job::JobDirectory& directory, const journal::ChainCheck& chain) {
  return {ErrorKind::kVerification, "audit-chain-broken",
          "the audit trail of " + directory.root().string() +
              " is not as it was recorded: " + chain.trouble,
          chain.state == State::kChanged
              ? "Compare journal.db with a copy; what stands before that event is as recorded."
              : "Compare journal.db with newer copies, and put the newest one back; when it was "
                "taken away on purpose, take audit-head.json away, too."};
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

void print_trail_json(const job::Job& job, const Trail& trail, const Error* broken) {
  const journal::ChainCheck& chain = trail.chain;
  nlohmann::ordered_json document = result_head(job.directory, job.spec.name);
  document["chain"] = chain.whole() ? "whole" : "broken";
  if (chain.first_broken) document["first_broken"] = *chain.first_broken;
  document["count"] = chain.head.events;
  document["head"] = chain.head.events == 0 ? "" : hex_lower(chain.head.hash);
  if (!chain.not_proven.empty()) document["not_proven"] = chain.not_proven;
  document["events"] = nlohmann::ordered_json::array();
  for (const journal::Event& event : trail.events) {
    document["events"].push_back({{"sequence", event.sequence},
                                  {"time", event.time.iso8601()},
                                  {"kind", event.kind},
                                  {"drive", event.drive},
                                  {"details", details_of(event)},
                                  {"hash", hex_lower(event.hash)}});
  }
  if (broken != nullptr) document["error"] = error_json(*broken);
  print_json(document);
}

void print_trail(const Trail& trail) {
  for (const journal::Event& event : trail.events) print(printable(line_of(event)));
  if (!trail.chain.whole()) {
    print(printable("\nThe chain of events is broken: " + trail.chain.trouble + "."));
    return;
  }
  if (trail.chain.head.events == 0) {
    print("Nothing has been recorded yet.");
    return;
  }
  print("\nThe chain of " + report::counted(trail.chain.head.events, "event") +
        " is whole. Its head is\n  " + hex_lower(trail.chain.head.hash) +
        "\nKeep that elsewhere: key audit --head tells later whether it still belongs to it.");
  if (!trail.chain.not_proven.empty()) print(trail.chain.not_proven);
}

}  // namespace

int run_key_audit(const KeyAuditOptions& options) {
  const job::Job job = job::load_job_for_keys(options.job);
  Trail trail = trail_of(job.directory, job.spec.name);
  if (options.head) compare_head(job.directory, *options.head, trail);
  const Error broken = broken_error(job.directory, trail.chain);
  const bool whole = trail.chain.whole();
  if (options.json) {
    print_trail_json(job, trail, whole ? nullptr : &broken);
  } else {
    print_trail(trail);
  }
  if (whole) return 0;
  print_error(broken);
  return static_cast<int>(broken.kind());
}

}  // namespace driveprep::cli
