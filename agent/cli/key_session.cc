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

void print_change(KeySession& session, const keys::KeyChange& change, bool json) {
  const auto& state = session.keys().state();
  std::optional<keys::UnixSeconds> droppable;
  if (state && !state->rotations.empty() && !state->rotations.back().dropped) {
    droppable = state->rotations.back().droppable;
  }
  if (json) {
    nlohmann::ordered_json document = result_head(session.job().directory, session.job().spec.name);
    document.update({{"changed", change.changed},
                     {"old_kid", change.old_kid},
                     {"kid", change.new_kid},
                     {"envelopes", change.counts.envelopes},
                     {"rewrapped", change.counts.rewrapped},
                     {"dropped", change.dropped},
                     {"warnings", change.counts.warnings}});
    if (change.changed) document["reason"] = keys::to_string(change.reason);
    if (!change.newer_unused.empty()) document["newer_unused"] = change.newer_unused;
    if (droppable) document["old_key_needed_until"] = utc_text(*droppable);
    print_json(document);
    return;
  }
  for (const std::string& warning : change.counts.warnings) {
    note("driveprep: warning: " + printable_line(warning));
  }
  if (!change.newer_unused.empty()) {
    note("driveprep: warning: " + printable_line(change.newer_unused));
  }
  print((change.changed ? "The job's key is now " : "The job's key is ") + change.new_kid);
  if (change.counts.envelopes > 0) {
    print(report::counted(change.counts.rewrapped, "envelope") + " re-wrapped, " +
          std::to_string(change.counts.proven) + " already under it; the drives are untouched.");
  }
  if (change.dropped > 0) {
    print(report::counted(change.dropped, "older recipient") + " dropped.");
  }
  if (droppable) {
    print("Leave " + state->rotations.back().old_kid + "\n  enabled until " + utc_text(*droppable) +
          "; then run driveprep key rewrap " + session.job().directory.root().string() +
          " once more, which drops it.");
  }
}

}  // namespace driveprep::cli
