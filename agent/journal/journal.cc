#include "agent/journal/journal.h"

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "agent/journal/schema.h"
#include "base/posix.h"

namespace driveprep::journal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFileName = "journal.db";

void create_file(const fs::path& file) {
  // SQLite would make it readable for everybody; its -wal and -shm files take over these rights.
  posix::open(file, O_RDWR | O_CREAT | O_NOFOLLOW, ErrorKind::kWrite, 0600);
  posix::fsync_directory(file.parent_path(), ErrorKind::kWrite);
}

struct Opened {
  Database database;
  fs::path private_copy;
};

// A log without its shared memory file, in a directory where SQLite cannot make one: the state of
// the journal is then only in both files together, so they are put together somewhere else.
Opened open_copy(const fs::path& file, const fs::path& log) {
  std::string directory = (fs::temp_directory_path() / "driveprep-journal-XXXXXX").string();
  if (::mkdtemp(directory.data()) == nullptr) {
    throw Error::from_errno(ErrorKind::kWrite, "journal-database",
                            "make a directory for a copy of " + file.string(), errno,
                            "Make the directory for temporary files writable.");
  }
  try {
    const fs::path copy = fs::path(directory) / kFileName;
    fs::copy_file(file, copy);
    fs::copy_file(log, copy.string() + "-wal");
    return {Database(copy, Database::Mode::kDurable), directory};
  } catch (const fs::filesystem_error& error) {
    fs::remove_all(directory);
    throw Error(ErrorKind::kWrite, "journal-database",
                "copy " + file.string() + " to " + directory + ": " + error.code().message(),
                "Free some space in the directory for temporary files.");
  } catch (...) {
    fs::remove_all(directory);
    throw;
  }
}

// A reader of a journal in WAL mode makes the log and its shared memory file, too. Only a
// connection that may write takes them away at its end. But with a log that somebody has left, it
// would move that into the journal: then the files are there anyway, and stay as they are.
Database::Mode reading_mode(const fs::path& file) {
  std::error_code absent;
  const std::uintmax_t log_size = fs::file_size(file.string() + "-wal", absent);
  return absent || log_size == 0 ? Database::Mode::kQueries : Database::Mode::kReadOnly;
}

Opened open_for_reading(const fs::path& file) {
  try {
    Database database(file, reading_mode(file));
    check_schema(database);
    return {std::move(database), {}};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kWrite) throw;
  }
  // A journal in WAL mode needs two more files beside it, which a read-only directory refuses.
  // Without a log there is nothing but the file itself, and nobody can be changing it.
  const fs::path log = file.string() + "-wal";
  std::error_code absent;
  const std::uintmax_t log_size = fs::file_size(log, absent);
  if (!absent && log_size > 0) return open_copy(file, log);
  return {Database(file, Database::Mode::kImmutable), {}};
}

Drive drive_from(const Statement& row) {
  Drive drive;
  drive.id = row.text(0);
  drive.target = row.text(1);
  const std::optional<DriveState> state = drive_state_from(row.text(2));
  if (!state) {
    throw Error(
        ErrorKind::kJournalMismatch, "journal-database",
        "the journal says drive " + drive.id + " is '" + row.text(2) + "', which is no known state",
        "Restore journal.db from a copy; without it the drives must be prepared anew.");
  }
  drive.state = *state;
  drive.detail = row.text(3);
  drive.planned_files = from_sql(row.integer(4));
  drive.planned_bytes = from_sql(row.integer(5));
  drive.created = time_column(row, 6);
  drive.changed = time_column(row, 7);
  return drive;
}

constexpr const char* kSelectDrive =
    "SELECT id, target, state, detail, planned_files, planned_bytes, created, changed FROM drive ";

std::optional<Statement> facts(Database& database, const char* table, const std::string& drive) {
  Statement row = database.prepare("SELECT * FROM " + std::string(table) + " WHERE drive = ?");
  row.bind(1, drive);
  if (!row.step()) return std::nullopt;
  return row;
}

void add_facts(Database& database, Drive& drive) {
  if (const auto row = facts(database, "identity", drive.id)) {
    drive.identity = DriveIdentity{row->text(1), from_sql(row->integer(2)),
                                   static_cast<std::uint32_t>(row->integer(3))};
  }
  if (const auto row = facts(database, "volume", drive.id)) {
    VolumeFacts& volume = drive.volume.emplace();
    volume.disk = guid_column(*row, 1);
    volume.partition = guid_column(*row, 2);
    volume.partition_offset = from_sql(row->integer(3));
    volume.partition_length = from_sql(row->integer(4));
    volume.cipher = row->text(5);
    volume.cluster_size = static_cast<std::uint32_t>(row->integer(6));
    for (int i = 0; i < 3; ++i) {
      volume.metadata_offsets[static_cast<std::size_t>(i)] = from_sql(row->integer(7 + i));
    }
    volume.header_backup_offset = from_sql(row->integer(10));
    volume.d_offset = from_sql(row->integer(11));
    volume.volume = guid_column(*row, 12);
    volume.recovery_protector = guid_column(*row, 13);
    volume.ntfs_serial = from_sql(row->integer(14));
    volume.envelope_kid = row->text(15);
  }
  if (const auto row = facts(database, "manifest", drive.id)) {
    drive.manifest = ManifestFacts{row->text(1), from_sql(row->integer(2))};
  }
  if (const auto row = facts(database, "verification", drive.id)) {
    drive.verification =
        Verification{time_column(*row, 1), from_sql(row->integer(2)), from_sql(row->integer(3)),
                     row->integer(4) != 0, row->text(5)};
  }
}

void update_state(Database& database, std::string_view id, DriveState state,
                  std::string_view detail) {
  database.prepare("UPDATE drive SET state = ?, detail = ?, changed = ? WHERE id = ?")
      .bind(1, to_string(state))
      .bind(2, detail)
      .bind(3, to_sql(FileTime::now()))
      .bind(4, id)
      .run();
  require_changed(database, id);
}

}  // namespace

std::unique_ptr<Journal> Journal::open(const fs::path& job_directory, Access access) {
  const fs::path file = job_directory / kFileName;
  if (access == Access::kReadOnly) {
    std::unique_ptr<Journal> journal = open_existing(job_directory);
    if (journal) return journal;
    throw Error(ErrorKind::kUsage, "journal-missing",
                job_directory.string() + " has no journal yet",
                "Run 'driveprep prepare' on this job first, or check the path.");
  }
  if (!fs::exists(file)) create_file(file);
  Database database(file, Database::Mode::kDurable);
  if (check_schema(database) == SchemaState::kEmpty) {
    Transaction transaction(database);
    if (check_schema(database) == SchemaState::kEmpty) create_schema(database);
    transaction.commit();
  }
  return std::unique_ptr<Journal>(new Journal(std::move(database), job_directory));
}

std::unique_ptr<Journal> Journal::open_existing(const fs::path& job_directory) {
  const fs::path file = job_directory / kFileName;
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return nullptr;
  Opened opened = open_for_reading(file);
  std::unique_ptr<Journal> journal(
      new Journal(std::move(opened.database), job_directory, std::move(opened.private_copy)));
  // A program that was killed between making the file and its tables has not begun the job.
  if (check_schema(journal->database_) == SchemaState::kEmpty) return nullptr;
  return journal;
}

Journal::Journal(Database database, fs::path job_directory, fs::path private_copy)
    : database_(std::move(database)),
      job_directory_(std::move(job_directory)),
      private_copy_(std::move(private_copy)) {}

Journal::~Journal() {
  if (private_copy_.empty()) return;
  { const Database closed = std::move(database_); }
  std::error_code ignored;
  fs::remove_all(private_copy_, ignored);
}

std::optional<JobRecord> Journal::job() const {
  std::scoped_lock lock(mutex_);
  Statement row =
      database_.prepare("SELECT id, session, plan_digest, inputs_digest, created FROM job");
  if (!row.step()) return std::nullopt;
  return JobRecord{row.text(0), row.text(1), sha256_column(row, 2), sha256_column(row, 3),
                   time_column(row, 4)};
}

void Journal::require_job(std::string_view id) const {
  const std::optional<JobRecord> known = job();
  if (!known || known->id == id) return;
  throw Error(
      ErrorKind::kJournalMismatch, "journal-other-job",
      database_.name() + " belongs to job '" + known->id + "', not to '" + std::string(id) + "'",
      "Set name in job.json to '" + known->id + "' again; use a new job directory for a new job.");
}

void Journal::set_job(const JobRecord& job) {
  require_job(job.id);
  std::scoped_lock lock(mutex_);
  Transaction transaction(database_);
  database_
      .prepare(
          "INSERT INTO job VALUES (1, ?, ?, ?, ?, ?) ON CONFLICT (only) DO UPDATE SET "
          "session = excluded.session, plan_digest = excluded.plan_digest, "
          "inputs_digest = excluded.inputs_digest")
      .bind(1, job.id)
      .bind(2, job.session)
      .bind(3, ByteView(job.plan_digest))
      .bind(4, ByteView(job.inputs_digest))
      .bind(5, to_sql(job.created))
      .run();
  transaction.commit();
}

std::vector<Drive> Journal::drives() const {
  std::scoped_lock lock(mutex_);
  std::vector<Drive> drives;
  Statement row = database_.prepare(std::string(kSelectDrive) + "ORDER BY number");
  while (row.step()) drives.push_back(drive_from(row));
  for (Drive& drive : drives) add_facts(database_, drive);
  return drives;
}

std::optional<Drive> Journal::drive(std::string_view id) const {
  std::scoped_lock lock(mutex_);
  Statement row = database_.prepare(std::string(kSelectDrive) + "WHERE id = ?");
  row.bind(1, id);
  if (!row.step()) return std::nullopt;
  Drive drive = drive_from(row);
  add_facts(database_, drive);
  return drive;
}

void Journal::add_drive(const Drive& drive) {
  std::scoped_lock lock(mutex_);
  const std::int64_t now = to_sql(FileTime::now());
  database_
      .prepare(
          "INSERT INTO drive (id, target, state, detail, planned_files, planned_bytes, created, "
          "changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
          "target = excluded.target, planned_files = excluded.planned_files, "
          "planned_bytes = excluded.planned_bytes")
      .bind(1, drive.id)
      .bind(2, drive.target)
      .bind(3, to_string(DriveState::kPlanned))
      .bind(4, drive.detail)
      .bind(5, to_sql(drive.planned_files))
      .bind(6, to_sql(drive.planned_bytes))
      .bind(7, now)
      .bind(8, now)
      .run();
}

void Journal::reset_drive(std::string_view id, std::string_view detail) {
  std::scoped_lock lock(mutex_);
  Transaction transaction(database_);
  for (const char* table :
       {"identity", "volume", "manifest", "verification", "checkpoint", "failure"}) {
    database_.prepare("DELETE FROM " + std::string(table) + " WHERE drive = ?").bind(1, id).run();
  }
  update_state(database_, id, DriveState::kPlanned, detail);
  transaction.commit();
}

void Journal::set_state(std::string_view id, DriveState state, std::string_view detail) {
  std::scoped_lock lock(mutex_);
  update_state(database_, id, state, detail);
}

void Journal::reuse_log() {
  std::scoped_lock lock(mutex_);
  database_.execute("PRAGMA wal_checkpoint(RESTART)");
}

void Journal::set_identity(std::string_view id, const DriveIdentity& identity) {
  std::scoped_lock lock(mutex_);
  database_.prepare("INSERT OR REPLACE INTO identity SELECT id, ?, ?, ? FROM drive WHERE id = ?")
      .bind(1, identity.text)
      .bind(2, to_sql(identity.size))
      .bind(3, std::int64_t{identity.sector_size})
      .bind(4, id)
      .run();
  require_changed(database_, id);
}

void Journal::set_volume(std::string_view id, const VolumeFacts& volume) {
  std::scoped_lock lock(mutex_);
  database_
      .prepare(
          "INSERT OR REPLACE INTO volume SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? "
          "FROM drive WHERE id = ?")
      .bind(1, volume.disk.on_disk())
      .bind(2, volume.partition.on_disk())
      .bind(3, to_sql(volume.partition_offset))
      .bind(4, to_sql(volume.partition_length))
      .bind(5, volume.cipher)
      .bind(6, std::int64_t{volume.cluster_size})
      .bind(7, to_sql(volume.metadata_offsets[0]))
      .bind(8, to_sql(volume.metadata_offsets[1]))
      .bind(9, to_sql(volume.metadata_offsets[2]))
      .bind(10, to_sql(volume.header_backup_offset))
      .bind(11, to_sql(volume.d_offset))
      .bind(12, volume.volume.on_disk())
      .bind(13, volume.recovery_protector.on_disk())
      .bind(14, to_sql(volume.ntfs_serial))
      .bind(15, volume.envelope_kid)
      .bind(16, id)
      .run();
  require_changed(database_, id);
}

void Journal::set_envelope_kid(std::string_view id, std::string_view kid) {
  std::scoped_lock lock(mutex_);
  database_.prepare("UPDATE volume SET envelope_kid = ? WHERE drive = ?")
      .bind(1, kid)
      .bind(2, id)
      .run();
  require_changed(database_, id);
}

void Journal::set_manifest(std::string_view id, const ManifestFacts& manifest) {
  std::scoped_lock lock(mutex_);
  database_.prepare("INSERT OR REPLACE INTO manifest SELECT id, ?, ? FROM drive WHERE id = ?")
      .bind(1, manifest.md5_hex)
      .bind(2, to_sql(manifest.bytes))
      .bind(3, id)
      .run();
  require_changed(database_, id);
}

void Journal::set_verification(std::string_view id, const Verification& verification,
                               DriveState state, std::string_view detail) {
  std::scoped_lock lock(mutex_);
  Transaction transaction(database_);
  database_
      .prepare(
          "INSERT OR REPLACE INTO verification SELECT id, ?, ?, ?, ?, ? FROM drive WHERE id = ?")
      .bind(1, to_sql(verification.when))
      .bind(2, to_sql(verification.blocks))
      .bind(3, to_sql(verification.bytes))
      .bind(4, std::int64_t{verification.cache_bypassed})
      .bind(5, verification.result)
      .bind(6, id)
      .run();
  update_state(database_, id, state, detail);
  transaction.commit();
}

}  // namespace driveprep::journal
