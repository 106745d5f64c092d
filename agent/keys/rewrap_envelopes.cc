#include "agent/keys/rewrap_envelopes.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <set>
#include <thread>

#include "agent/keys/audit.h"
#include "agent/keys/envelopes.h"
#include "base/encoding.h"
#include "keywrap/content_key.h"
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

Outcome rewrap_one(const EnvelopeFile& file, const std::string& job_id, JobKeys& keys,
                   const std::string& kid, Reason reason) {
  const keywrap::Envelope envelope = read_envelope(file, job_id);
  Outcome outcome;
  if (envelope.binding.purpose == keywrap::Purpose::kRecoveryPassword) outcome.drive = file.name;
  for (const keywrap::Recipient& recipient : envelope.recipients) {
    if (recipient.kid != kid) outcome.older.push_back(recipient.kid);
  }
  if (envelope.recipients.front().kid == kid) {
    outcome.warning =
        keywrap::unwrap_content_key({envelope.recipients.front()}, keys.ring()).warning;
    return outcome;
  }
  // On the way back to an older key, or in a copy that was put back, it is there further behind.
  keywrap::Rewrapped result = keywrap::has_recipient(envelope, kid)
                                  ? keywrap::prefer_recipient(envelope, keys.ring(), kid)
                                  : keywrap::add_recipient(envelope, keys.ring(), kid);
  write_envelope(file, result.envelope);
  outcome.rewrapped = true;
  outcome.warning = std::move(result.warning);
  ordered_json details = {{"envelope", file.file.filename().string()},
                          {"reason", to_string(reason)},
                          {"from", result.opened_by},
                          {"to", kid},
                          {"alg", keywrap::to_string(keywrap::WrapAlgorithm::kRsaOaep256)},
                          {"sealed_before", hex_lower(keywrap::sealed_digest(envelope))},
                          {"sealed_after", hex_lower(keywrap::sealed_digest(result.envelope))},
                          {"verified", true}};
  outcome.event = {std::string(kRewrapped), file.is_drive ? file.name : "",
                   details_text(std::move(details))};
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
  std::set<std::string> warnings;
  for (std::size_t first = 0; first < files.size(); first += kBatch) {
    const std::size_t last = std::min(first + kBatch, files.size());
    std::mutex mutex;
    std::vector<Outcome> outcomes;
    const std::exception_ptr failure = in_parallel(first, last, [&](std::size_t i) {
      Outcome outcome = rewrap_one(files[i], keys.job().spec.name, keys, kid, reason);
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
  counts.warnings.assign(warnings.begin(), warnings.end());
  return counts;
}

std::size_t drop_recipients(JobKeys& keys, Journal& journal, const std::string& kid,
                            const std::function<bool(const std::string&)>& droppable) {
  const std::vector<EnvelopeFile> files = envelopes_of(keys.job().directory);
  std::mutex mutex;
  std::size_t dropped = 0;
  std::vector<Journal::NewEvent> events;
  const std::exception_ptr failure = in_parallel(0, files.size(), [&](std::size_t i) {
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
    write_envelope(files[i], envelope);
    const std::lock_guard guard(mutex);
    for (const std::string& old_kid : old) {
      ++dropped;
      events.push_back({std::string(kDropped), files[i].is_drive ? files[i].name : "",
                        details_text({{"envelope", files[i].file.filename().string()},
                                      {"dropped", old_kid},
                                      {"kept", kid},
                                      {"verified", true}})});
    }
  });
  if (!events.empty()) journal.add_events(events);
  if (failure) std::rethrow_exception(failure);
  return dropped;
}

}  // namespace driveprep::keys
