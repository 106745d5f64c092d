#include "agent/cli/key_session.h"

#include <unistd.h>

#include <cstdio>

#include "agent/cli/job_session.h"
#include "agent/cli/output.h"
#include "agent/cli/unlock_sources.h"
#include "agent/cli/utc_time.h"
#include "agent/report/sizes.h"
#include "agent/volume/key_input.h"

namespace driveprep::cli {

keys::Operator key_operator() {
  return {[](const std::string& text) { note("driveprep: " + printable_line(text)); },
          unlock_sources(),
          [](const std::string& token) { return volume::ask_secret("PIN of the token " + token); }};
}

KeySession::KeySession(const std::string& job, Access access) : job_(job::load_job_for_keys(job)) {
  if (access == Access::kChange) {
    job_.directory.check_writable(64 * kKiB);
    lock_ = std::make_unique<journal::JobLock>(job_.directory.root());
    journal_ = journal::Journal::open(job_.directory.root(), journal::Journal::Access::kReadWrite);
  } else {
    journal_ = journal::Journal::open_existing(job_.directory.root());
  }
  if (journal_) journal_->require_job(job_.spec.name);
  keys_ = std::make_unique<keys::JobKeys>(job_, key_operator());
  if (access == Access::kChange) memory_ = std::make_unique<keys::AccessMemory>(*keys_);
}

keywrap::Accept accepted(const OpeningOptions& options) {
  return options.allow_rsa_oaep ? keywrap::Accept::kAlsoRsaOaep : keywrap::Accept::kOurAlgorithm;
}

keys::RewrapProgress rewrap_progress(bool json) {
  if (json || ::isatty(STDERR_FILENO) == 0) return {};
  return [](std::size_t done, std::size_t all) {
    std::fprintf(stderr, "\r%zu of %zu envelopes%s", done, all, done == all ? "\n" : "");
  };
}

namespace {

// The last change of the key whose old key is still over the envelopes.
const keys::Rotation* open_rotation(const keys::JobKeys& keys) {
  const auto& state = keys.state();
  if (!state || state->rotations.empty() || state->rotations.back().dropped) return nullptr;
  return &state->rotations.back();
}

std::string how_long_needed(const keys::Rotation& rotation, const job::Job& job) {
  return "Leave " + rotation.old_kid + "\n  enabled until " + utc_text(rotation.droppable) +
         "; then run driveprep key rewrap " + job.directory.root().string() +
         " once more, which drops it.";
}

void print_warnings(const keys::KeyChange& change) {
  for (const std::string& warning : change.warnings()) {
    note("driveprep: warning: " + printable_line(warning));
  }
}

}  // namespace

void tell_of_change(const keys::JobKeys& keys, const keys::KeyChange& change) {
  print_warnings(change);
  if (!change.changed || change.counts.rewrapped == 0) return;
  note("driveprep: " + report::counted(change.counts.rewrapped, "envelope") + " re-wrapped under " +
       change.new_kid);
  if (const auto* rotation = open_rotation(keys)) note(how_long_needed(*rotation, keys.job()));
}

// They name the key that the service is to use.
void tell_of_bodies(const KeySession& session, const keys::KeyChange& change) {
  const std::filesystem::path requests = session.job().directory.requests();
  std::error_code none;
  if (!change.changed || std::filesystem::is_empty(requests, none) || none) return;
  note("driveprep: what lies in " + printable(requests.string()) +
       " was made with the former key; make it anew with driveprep request");
}

void print_change(KeySession& session, const keys::KeyChange& change, bool json) {
  const keys::Rotation* rotation = open_rotation(session.keys());
  const auto& state = session.keys().state();
  const bool in_vault = state && state->setting.place == keys::KeySetting::Place::kVault;
  if (json) {
    nlohmann::ordered_json document = result_head(session.job().directory, session.job().spec.name);
    document.update({{"changed", change.changed},
                     {"old_kid", change.old_kid},
                     {"kid", change.new_kid},
                     {"envelopes", change.counts.envelopes},
                     {"rewrapped", change.counts.rewrapped},
                     {"dropped", change.dropped},
                     {"warnings", change.warnings()}});
    if (change.changed) document["reason"] = keys::to_string(change.reason);
    if (in_vault) document["identity"] = keys::text_of(state->setting.identity);
    if (!change.newer_unused.empty()) document["newer_unused"] = change.newer_unused;
    if (rotation != nullptr) document["old_key_needed_until"] = utc_text(rotation->droppable);
    print_json(document);
    tell_of_bodies(session, change);
    return;
  }
  print_warnings(change);
  if (change.changed && change.reason == keys::Reason::kNewIdentity) {
    print("The job's identity is now " + keys::text_of(state->setting.identity) + ".");
  } else if (change.new_kid.empty()) {
    print("Nothing is wrapped yet, so nothing is to be re-wrapped.");
  } else {
    print((change.changed ? "The job's key is now " : "The job's key is ") + change.new_kid);
  }
  if (change.counts.envelopes > 0) {
    print(report::counted(change.counts.rewrapped, "envelope") + " re-wrapped, " +
          std::to_string(change.counts.proven) + " already under it; the drives are untouched.");
  }
  if (change.dropped > 0) {
    print(report::counted(change.dropped, "older recipient") + " dropped.");
  }
  if (rotation != nullptr) print(how_long_needed(*rotation, session.job()));
  tell_of_bodies(session, change);
}

std::optional<Obstacle> obstacle_of(KeySession& session) {
  try {
    session.keys().require_settled(session.journal());
    return std::nullopt;
  } catch (const Error& error) {
    return Obstacle{error.code(), error.what(), error.remedy()};
  }
}

}  // namespace driveprep::cli
