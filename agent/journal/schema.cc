#include "agent/journal/schema.h"

#include <algorithm>

namespace driveprep::journal {
namespace {

constexpr std::int64_t kApplicationId = 0x44505250;  // "DPRP"
constexpr std::int64_t kVersion = 2;

constexpr const char* kTables = R"sql(
CREATE TABLE job (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  id TEXT NOT NULL,
  session TEXT NOT NULL,
  plan_digest BLOB NOT NULL,
  inputs_digest BLOB NOT NULL,
  created INTEGER NOT NULL);
CREATE TABLE drive (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  target TEXT NOT NULL,
  state TEXT NOT NULL,
  detail TEXT NOT NULL,
  planned_files INTEGER NOT NULL,
  planned_bytes INTEGER NOT NULL,
  created INTEGER NOT NULL,
  changed INTEGER NOT NULL);
CREATE TABLE identity (
  drive TEXT PRIMARY KEY REFERENCES drive(id),
  text TEXT NOT NULL,
  size INTEGER NOT NULL,
  sector_size INTEGER NOT NULL);
CREATE TABLE volume (
  drive TEXT PRIMARY KEY REFERENCES drive(id),
  disk BLOB NOT NULL,
  partition BLOB NOT NULL,
  partition_offset INTEGER NOT NULL,
  partition_length INTEGER NOT NULL,
  cipher TEXT NOT NULL,
  cluster_size INTEGER NOT NULL,
  metadata_offset_1 INTEGER NOT NULL,
  metadata_offset_2 INTEGER NOT NULL,
  metadata_offset_3 INTEGER NOT NULL,
  header_backup_offset INTEGER NOT NULL,
  d_offset INTEGER NOT NULL,
  volume BLOB NOT NULL,
  recovery_protector BLOB NOT NULL,
  ntfs_serial INTEGER NOT NULL,
  envelope_kid TEXT NOT NULL);
CREATE TABLE manifest (
  drive TEXT PRIMARY KEY REFERENCES drive(id),
  md5 TEXT NOT NULL,
  bytes INTEGER NOT NULL);
CREATE TABLE verification (
  drive TEXT PRIMARY KEY REFERENCES drive(id),
  time INTEGER NOT NULL,
  blocks INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  cache_bypassed INTEGER NOT NULL,
  result TEXT NOT NULL);
CREATE TABLE checkpoint (
  drive TEXT PRIMARY KEY REFERENCES drive(id),
  number INTEGER NOT NULL,
  redo_digest BLOB NOT NULL,
  applied INTEGER NOT NULL,
  next_file INTEGER NOT NULL,
  spool_length INTEGER NOT NULL,
  bytes_done INTEGER NOT NULL,
  files_done INTEGER NOT NULL,
  partial_number INTEGER,
  partial_length INTEGER);
CREATE TABLE failure (
  drive TEXT NOT NULL REFERENCES drive(id),
  file INTEGER NOT NULL,
  path BLOB NOT NULL,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (drive, file)) WITHOUT ROWID;
CREATE TABLE event (
  sequence INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  kind TEXT NOT NULL,
  drive TEXT NOT NULL,
  details TEXT NOT NULL,
  hash BLOB NOT NULL);
CREATE TRIGGER event_is_final BEFORE UPDATE ON event
  BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER event_stays BEFORE DELETE ON event
  BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;
)sql";

constexpr const char* kEventHead = R"sql(
CREATE TABLE IF NOT EXISTS event_head (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  events INTEGER NOT NULL,
  hash BLOB NOT NULL);
)sql";

std::int64_t single_integer(Database& database, const char* sql) {
  Statement query = database.prepare(sql);
  require(query.step(), "a query for one integer gave no row");
  return query.integer(0);
}

void expect_size(const Bytes& value, std::size_t size) {
  if (value.size() == size) return;
  throw Error(ErrorKind::kJournalMismatch, "journal-database",
              "the journal holds a value of " + std::to_string(value.size()) + " bytes where " +
                  std::to_string(size) + " belong",
              "Restore journal.db from a copy; without it the drives must be prepared anew.");
}

}  // namespace

SchemaState check_schema(Database& database) {
  const std::int64_t application = single_integer(database, "PRAGMA application_id");
  const std::int64_t version = single_integer(database, "PRAGMA user_version");
  if (application == kApplicationId && version == kVersion) return SchemaState::kReady;
  if (application == 0 && version == 0 &&
      single_integer(database, "SELECT count(*) FROM sqlite_master") == 0) {
    return SchemaState::kEmpty;
  }
  if (application != kApplicationId) {
    throw Error(ErrorKind::kJournalMismatch, "journal-version",
                database.name() + " is a database, but not a journal of driveprep",
                "Move that file out of the job directory.");
  }
  throw Error(ErrorKind::kJournalMismatch, "journal-version",
              database.name() + " has journal version " + std::to_string(version) +
                  ", this driveprep writes version " + std::to_string(kVersion),
              "Finish this job with the driveprep that began it.");
}

void create_schema(Database& database) {
  database.execute(kTables);
  create_event_head(database);
  database.execute("PRAGMA application_id=" + std::to_string(kApplicationId) +
                   "; PRAGMA user_version=" + std::to_string(kVersion) + ";");
}

void create_event_head(Database& database) { database.execute(kEventHead); }

bool has_event_head(Database& database) {
  return single_integer(database, "SELECT count(*) FROM sqlite_master WHERE name = 'event_head'") !=
         0;
}

Sha256 sha256_column(const Statement& row, int column) {
  const Bytes value = row.blob(column);
  Sha256 digest{};
  expect_size(value, digest.size());
  std::copy(value.begin(), value.end(), digest.begin());
  return digest;
}

Guid guid_column(const Statement& row, int column) {
  const Bytes value = row.blob(column);
  expect_size(value, Guid::kSize);
  return Guid::from_disk(value);
}

void require_changed(const Database& database, std::string_view drive) {
  if (database.changes() == 0) {
    internal_error("the journal knows no drive '" + std::string(drive) + "'");
  }
}

}  // namespace driveprep::journal
