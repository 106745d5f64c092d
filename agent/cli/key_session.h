// What the key commands begin with: the job, its journal, its keys.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/cli/key_commands.h"
#include "agent/job/job_directory.h"
#include "agent/journal/job_lock.h"
#include "agent/journal/journal.h"
#include "agent/keys/job_keys.h"
#include "agent/keys/key_change.h"
#include "keywrap/envelope.h"
#include "keywrap/key_error.h"

namespace driveprep::cli {

// Notices are lines on standard error; the unlock secret of a key store comes as unlock_sources()
// says.
keys::Operator key_operator();

class KeySession {
 public:
  // kRead writes nothing and takes no lock; the journal may be missing. kChange holds the lock of
  // the job, and makes the journal when there is none.
  enum class Access { kRead, kChange };
  KeySession(const std::string& job, Access access);

  const job::Job& job() const { return job_; }
  keys::JobKeys& keys() { return *keys_; }
  // With kChange always there.
  journal::Journal* journal() { return journal_.get(); }
  keywrap::Profile profile() const { return job_.spec.encryption.profile; }
  // Does `work`; its KeyErrors come with the codes of the job's service.
  template <typename Work>
  auto in_its_words(Work work) const {
    return keywrap::in_words_of(profile(), std::move(work));
  }

 private:
  job::Job job_;
  std::unique_ptr<journal::JobLock> lock_;
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<keys::JobKeys> keys_;
  std::unique_ptr<keys::AccessMemory> memory_;  // with kChange; ends first
};

// A line with the number of envelopes that are done, on a terminal.
keys::RewrapProgress rewrap_progress(bool json);

// What stands in the way of the next use of the job's key, with what to do.
struct Obstacle {
  std::string code;
  std::string text;
  std::string remedy;
};
std::optional<Obstacle> obstacle_of(KeySession& session);

// On standard error, by commands that use the key for something else: warnings, and a change that
// came about by itself.
void tell_of_change(const keys::JobKeys& keys, const keys::KeyChange& change);

// What a change did, for people and as members of a JSON document.
void print_change(KeySession& session, const keys::KeyChange& change, bool json);

// What the options let an envelope be wrapped with.
keywrap::Accept accepted(const OpeningOptions& options);

}  // namespace driveprep::cli
