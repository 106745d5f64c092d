// The journal of a job: what has happened, durable (JOB/journal.db, SQLite in WAL mode, full
// synchronous). A function that changes something has reached the disk when it returns.
//
// One process writes (it holds the JobLock), any number may read meanwhile. All functions may be
// called from several threads. Errors: kWrite "job-directory-full", "job-directory-read-only",
// "journal-database" (another input/output error); kJournalMismatch "journal-version" for a file of another driveprep,
// "journal-other-job", and "journal-database" for a damaged file; kInternal for an unknown drive.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/journal/kept_head.h"
#include "agent/journal/records.h"
#include "agent/journal/sqlite.h"

namespace driveprep::journal {

// What the chain of events tells of itself. The head of the chain is kept in two more places: in a
// table beside the events, and in JOB/audit-head.json. Each may lag behind the chain, but has to be
// a place in it.
struct ChainCheck {
  enum class State {
    kWhole,
    kChanged,  // an event does not fit the one before, or cannot be read
    kCutOff,   // events are missing that the table of the head tells of
    kOlder,    // the chain is as the journal knows it, but JOB/audit-head.json knows more
  };
  State state = State::kWhole;
  ChainHead head;  // the last event
  std::optional<std::int64_t> first_broken;
  std::string trouble;     // why it is not whole, as half a sentence
  std::string not_proven;  // what cannot be told of a chain that is whole, as a sentence; or empty
  bool head_unreadable = false;    // JOB/audit-head.json is there and says nothing
  std::vector<std::string> marks;  // what it says has happened

  bool whole() const { return state == State::kWhole; }
};

class Journal {
 public:
  enum class Access { kReadWrite, kReadOnly };

  // kReadWrite creates JOB/journal.db (0600) when it is missing. kReadOnly changes nothing in the
  // journal and works in a read-only directory too; files that SQLite needs meanwhile are gone
  // again when the last reader is. A missing journal is an Error of kind kUsage, "journal-missing".
  static std::unique_ptr<Journal> open(const std::filesystem::path& job_directory, Access access);
  // For reading; nullptr when there is no journal yet.
  static std::unique_ptr<Journal> open_existing(const std::filesystem::path& job_directory);

  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  std::optional<JobRecord> job() const;
  // Throws kJournalMismatch "journal-other-job" when the journal belongs to another job than `id`:
  // the envelopes of its drives are bound to its own. A journal without a job belongs to nobody
  // yet.
  void require_job(std::string_view id) const;
  // Stores the job. When one is there already its id must be the same; `created` is then kept.
  void set_job(const JobRecord& job);

  // In the order in which they were added.
  std::vector<Drive> drives() const;
  std::optional<Drive> drive(std::string_view id) const;
  // A new drive in state planned, or new target, planned files and planned bytes of a known one
  // (the rest of it stays). `state`, `created` and the optional facts of `drive` are not looked at.
  void add_drive(const Drive& drive);
  // Back to planned: identity, volume, manifest, verification, checkpoint and failures are
  // forgotten.
  void reset_drive(std::string_view id, std::string_view detail);
  void set_state(std::string_view id, DriveState state, std::string_view detail);
  void set_identity(std::string_view id, const DriveIdentity& identity);
  void set_volume(std::string_view id, const VolumeFacts& volume);
  void set_envelope_kid(std::string_view id, std::string_view kid);
  void set_manifest(std::string_view id, const ManifestFacts& manifest);
  // The result of a verification together with the state that follows from it, at once.
  void set_verification(std::string_view id, const Verification& verification, DriveState state,
                        std::string_view detail);

  std::optional<Checkpoint> checkpoint(std::string_view drive) const;
  // The commit point: replaces the last checkpoint of the drive (whose number must be lower), adds
  // `failed` (a second failure of a file replaces its first) and removes the failures of the files
  // in `recovered`, at once.
  void commit_checkpoint(std::string_view drive, const Checkpoint& checkpoint,
                         std::span<const Failure> failed = {},
                         std::span<const std::uint64_t> recovered = {});
  // `number` must be the last one committed.
  void mark_applied(std::string_view drive, std::uint64_t number);

  std::uint64_t failure_count(std::string_view drive) const;
  // At most `limit` failures with file numbers from `first` on, ascending. There may be millions:
  // page with first = last number + 1.
  std::vector<Failure> failures(std::string_view drive, std::uint64_t first = 0,
                                std::size_t limit = 1000) const;
  void add_failures(std::string_view drive, std::span<const Failure> failures);
  void clear_failures(std::string_view drive);

  // Moves the write-ahead log into the file: what comes next is written over it, which needs no more room
  // of a file system that is full.
  void reuse_log();

  // `details`: one JSON object, "{}" when empty. Kind and drive must not hold control characters.
  void add_event(std::string_view kind, std::string_view drive = {}, std::string_view details = {});
  // All of them in one transaction: together or not at all.
  struct NewEvent {
    std::string kind;
    std::string drive;
    std::string details;
  };
  void add_events(std::span<const NewEvent> events);
  // Keeps in JOB/audit-head.json that something has happened once and for all.
  void mark(const std::string& name);
  std::vector<Event> events(std::int64_t first = 1, std::size_t limit = 1000) const;
  // Recomputes the hash chain: the sequence number of the first event that does not fit, if any.
  std::optional<std::int64_t> first_broken_event() const;
  // Recomputes the hash chain and compares it with the heads that were kept. Throws nothing for a
  // table of events that cannot be read: that is a broken chain.
  ChainCheck check_chain() const;
  // Whether one of the events has this hash; means something only when the chain is whole.
  bool holds_event(const Sha256& hash) const;

 private:
  Journal(Database database, std::filesystem::path job_directory,
          std::filesystem::path private_copy = {});
  ChainCheck compare_chain(const std::optional<KeptHead>& kept) const;
  std::optional<Sha256> hash_at(std::int64_t sequence) const;
  bool holds(const ChainHead& head) const;
  void keep_head(const ChainHead& head, const std::string& new_mark);

  mutable std::mutex mutex_;
  mutable Database database_;
  std::filesystem::path job_directory_;
  std::filesystem::path private_copy_;  // a directory to remove at the end, or empty
};

}  // namespace driveprep::journal
