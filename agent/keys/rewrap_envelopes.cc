#include "agent/keys/rewrap_envelopes.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <set>
#include <thread>
#include <tuple>

#include "agent/keys/audit.h"
#include "agent/keys/envelopes.h"
#include "agent/keys/old_keys.h"
#include "base/encoding.h"
#include "base/file_time.h"
#include "keywrap/rewrap.h"

namespace driveprep::keys {
namespace {

using journal::Journal;
using nlohmann::ordered_json;

// So many envelopes are written before their records are made durable together.
constexpr std::size_t kBatch = 64;

// What became of one envelope.
struct Outcome {
  std::optional<Journal::NewEvent> event;
  std::string drive;  // whose recovery password has a new key; empty for others
  std::string warning;
  std::vector<std::string> older;  // other keys that the envelope is under
  bool rewrapped = false;
};

// Which envelopes the journal knows to be under a key: (drive or "", file, key).
using Told = std::set<std::tuple<std::string, std::string, std::string>>;

Told told_in(const Journal& journal) {
  Told told;
  std::int64_t next = 1;
  while (true) {
    const std::vector<journal::Event> events = journal.events(next);
    if (events.empty()) return told;
    for (const journal::Event& event : events) {
      if (event.kind != kRewrapped) continue;
      const auto details = nlohmann::json::parse(event.details, nullptr, false);
      if (!details.is_object()) continue;
      told.emplace(event.drive, details.value("envelope", ""), details.value("to", ""));
    }
    next = events.back().sequence + 1;
  }
}

struct Rewrapping {
  const std::string& job_id;
  keywrap::KeyStore& ring;
  const std::string& kid;
  Reason reason;
  std::string old_key_needed_until;
  Told told;
};

Outcome rewrap_one(const EnvelopeFile& file, const Rewrapping& wanted) {
  const std::string& kid = wanted.kid;
  const keywrap::Envelope envelope = read_envelope(file, wanted.job_id);
  Outcome outcome;
  if (envelope.binding.purpose == keywrap::Purpose::kRecoveryPassword) outcome.drive = file.name;
  const std::string name = file.file.filename().string();
  std::string strangers;
  for (const keywrap::Recipient& recipient : envelope.recipients) {
    if (recipient.kid == kid) continue;
    if (wanted.ring.owns(recipient.kid) || is_token_uri(recipient.kid)) {
      outcome.older.push_back(recipient.kid);
    } else {
      strangers += (strangers.empty() ? "" : ", ") + recipient.kid;
    }
  }
  // On the way back to an older key, or in a copy that was put back, it may be further behind.
  keywrap::Rewrapped result = keywrap::has_recipient(envelope, kid)
                                  ? keywrap::prefer_recipient(envelope, wanted.ring, kid)
                                  : keywrap::add_recipient(envelope, wanted.ring, kid);
  outcome.warning = std::move(result.warning);
  if (!strangers.empty()) {
    if (!outcome.warning.empty()) outcome.warning += "; ";
    outcome.warning += file.file.string() + " is also under " + strangers +
                       ", which is no key of this job's cloud: find out who added it";
  }
  const std::string drive = file.is_drive ? file.name : "";
  if (result.changed) {
    write_envelope(file, result.envelope);
    outcome.rewrapped = true;
  } else if (outcome.older.empty() || wanted.told.contains({drive, name, kid})) {
    return outcome;
  }
  // Also of one that a killed run has re-wrapped, and had no time to record.
  outcome.event = {
      std::string(kRewrapped), drive,
      details_text({{"envelope", name},
                    {"reason", to_string(result.changed ? wanted.reason : Reason::kRepair)},
                    {"from", result.changed ? result.opened_by : outcome.older.front()},
                    {"to", kid},
                    {"alg", keywrap::to_string(keywrap::WrapAlgorithm::kRsaOaep256)},
                    {"sealed_before", hex_lower(keywrap::sealed_digest(envelope))},
                    {"sealed_after", hex_lower(keywrap::sealed_digest(result.envelope))},
                    {"old_key_needed_until", wanted.old_key_needed_until},
                    {"verified", true}})};
  return outcome;
}

// Runs `work` on the files [first, last) with a few at a time; outcomes in any order. The first
// error is kept, and no new file is begun after it.
template <typename Work>
std::exception_ptr in_parallel(std::size_t first, std::size_t last, Work work) {
  std::mutex mutex;
  std::size_t next = first;
  std::exception_ptr failure;
  const auto run = [&] {
    while (true) {
      std::size_t mine = 0;
      {
        const std::lock_guard guard(mutex);
        if (failure || next == last) return;
        mine = next++;
      }
      try {
        work(mine);
      } catch (...) {
        const std::lock_guard guard(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  std::vector<std::jthread> threads;
  const std::size_t wanted = std::min<std::size_t>(kRequestsInFlight, last - first);
  for (std::size_t i = 1; i < wanted; ++i) threads.emplace_back(run);
  run();
  threads.clear();
  return failure;
}

// Drives that have a volume, and nothing that opens it.
std::vector<std::string> missing_envelopes(const job::JobDirectory& directory,
                                           const Journal& journal) {
  std::vector<std::string> texts;
  for (const journal::Drive& drive : journal.drives()) {
    if (!drive.volume || std::filesystem::exists(directory.envelope(drive.id))) continue;
    texts.push_back("drive " + drive.id + " has no envelope (" +
                    directory.envelope(drive.id).string() +
                    "), and was left out: restore it from a copy, then run key rewrap again");
  }
  return texts;
}

void keep_records(Journal& journal, const std::vector<Outcome>& outcomes, const std::string& kid) {
  std::vector<Journal::NewEvent> events;
  for (const Outcome& outcome : outcomes) {
    if (outcome.event) events.push_back(*outcome.event);
  }
  if (!events.empty()) journal.add_events(events);
  for (const Outcome& outcome : outcomes) {
    const auto drive = outcome.drive.empty() ? std::nullopt : journal.drive(outcome.drive);
    if (drive && drive->volume && drive->volume->envelope_kid != kid) {
      journal.set_envelope_kid(outcome.drive, kid);
    }
  }
}

}  // namespace

RewrapCounts rewrap_envelopes(JobKeys& keys, Journal& journal, const std::string& kid,
                              Reason reason, const RewrapProgress& progress) {
  remove_leftovers(keys.job().directory);
  const std::vector<EnvelopeFile> files = envelopes_of(keys.job().directory);
  RewrapCounts counts;
  counts.envelopes = files.size();
  const Rewrapping wanted{keys.job().spec.name,
                          keys.ring(),
                          kid,
                          reason,
                          FileTime::from_timespec({keys.now() + kOverlap, 0}).iso8601(),
                          told_in(journal)};
  std::set<std::string> warnings;
  for (std::size_t first = 0; first < files.size(); first += kBatch) {
    const std::size_t last = std::min(first + kBatch, files.size());
    std::mutex mutex;
    std::vector<Outcome> outcomes;
    const std::exception_ptr failure = in_parallel(first, last, [&](std::size_t i) {
      Outcome outcome = rewrap_one(files[i], wanted);
      const std::lock_guard guard(mutex);
      outcomes.push_back(std::move(outcome));
    });
    keep_records(journal, outcomes, kid);
    for (Outcome& outcome : outcomes) {
      ++(outcome.rewrapped ? counts.rewrapped : counts.proven);
      for (const std::string& old_kid : outcome.older) ++counts.older[old_kid];
      if (!outcome.warning.empty()) warnings.insert(std::move(outcome.warning));
    }
    if (failure) std::rethrow_exception(failure);
    if (progress) progress(last, files.size());
  }
  for (std::string& missing : missing_envelopes(keys.job().directory, journal)) {
    warnings.insert(std::move(missing));
  }
  counts.warnings.assign(warnings.begin(), warnings.end());
  return counts;
}

std::size_t drop_recipients(JobKeys& keys, Journal& journal, const std::string& kid,
                            const std::function<bool(const std::string&)>& droppable) {
  const std::vector<EnvelopeFile> files = envelopes_of(keys.job().directory);
  std::size_t dropped = 0;
  for (std::size_t first = 0; first < files.size(); first += kBatch) {
    const std::size_t last = std::min(first + kBatch, files.size());
    std::mutex mutex;
    std::vector<std::pair<const EnvelopeFile*, keywrap::Envelope>> freed;
    std::vector<Journal::NewEvent> events;
    const std::exception_ptr failure = in_parallel(first, last, [&](std::size_t i) {
      keywrap::Envelope envelope = read_envelope(files[i], keys.job().spec.name);
      if (!keywrap::has_recipient(envelope, kid)) return;
      std::vector<std::string> old;
      for (const keywrap::Recipient& recipient : envelope.recipients) {
        if (recipient.kid != kid && droppable(recipient.kid)) old.push_back(recipient.kid);
      }
      if (old.empty()) return;
      for (const std::string& old_kid : old) {
        envelope = keywrap::drop_recipient(envelope, keys.ring(), old_kid, kid);
      }
      const std::lock_guard guard(mutex);
      freed.emplace_back(&files[i], std::move(envelope));
      for (const std::string& old_kid : old) {
        events.push_back({std::string(kDropped), files[i].is_drive ? files[i].name : "",
                          details_text({{"envelope", files[i].file.filename().string()},
                                        {"dropped", old_kid},
                                        {"kept", kid},
                                        {"verified", true}})});
      }
    });
    // The record first: of a recipient that is gone nothing else would tell.
    if (!events.empty()) journal.add_events(events);
    for (const auto& [file, envelope] : freed) write_envelope(*file, envelope);
    dropped += events.size();
    if (failure) std::rethrow_exception(failure);
  }
  return dropped;
}

}  // namespace driveprep::keys
