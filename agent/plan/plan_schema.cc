#include "agent/plan/plan_schema.h"

namespace driveprep::plan {

void create_plan_tables(journal::Database& database) {
  // 32 MiB of pages: directories and names are looked up near the place of the last look-up.
  database.execute(R"(
    PRAGMA main.cache_size = -32768;
    CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE dataset_row(id INTEGER PRIMARY KEY, type INTEGER NOT NULL,
      disposition INTEGER NOT NULL);
    CREATE TABLE drive(id INTEGER PRIMARY KEY, drive_id TEXT NOT NULL, target TEXT NOT NULL,
      disk_bytes INTEGER NOT NULL, sector_size INTEGER NOT NULL, cluster_bytes INTEGER NOT NULL,
      usable INTEGER NOT NULL, estimated INTEGER NOT NULL, files INTEGER NOT NULL DEFAULT 0,
      directories INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
      appearance TEXT NOT NULL);
    CREATE TABLE directory(id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name TEXT NOT NULL,
      ntfs BLOB, fold INTEGER NOT NULL, created INTEGER, modified INTEGER, accessed INTEGER);
    CREATE UNIQUE INDEX directory_name ON directory(parent, name);
    CREATE TABLE source(id INTEGER PRIMARY KEY, path TEXT NOT NULL);
    CREATE TABLE item(drive INTEGER NOT NULL, number INTEGER NOT NULL, directory INTEGER NOT NULL,
      source INTEGER NOT NULL, dataset_row INTEGER NOT NULL, name TEXT NOT NULL, source_name TEXT,
      ntfs BLOB, size INTEGER NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL,
      accessed INTEGER NOT NULL, PRIMARY KEY(drive, number)) WITHOUT ROWID;
    CREATE TABLE drive_directory(drive INTEGER NOT NULL, directory INTEGER NOT NULL,
      PRIMARY KEY(drive, directory)) WITHOUT ROWID;
    CREATE TABLE attachment(drive INTEGER NOT NULL, dataset_row INTEGER NOT NULL,
      kind INTEGER NOT NULL, name TEXT NOT NULL, content BLOB NOT NULL,
      PRIMARY KEY(drive, dataset_row, kind)) WITHOUT ROWID;
    CREATE TABLE finding(id INTEGER PRIMARY KEY, code TEXT NOT NULL, subject TEXT NOT NULL,
      detail TEXT NOT NULL);
    CREATE TABLE finding_count(code TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
  )");
}

void attach_scan_tables(journal::Database& database) {
  database.execute(R"(
    ATTACH '' AS scan;
    PRAGMA scan.journal_mode = OFF;
    PRAGMA scan.synchronous = OFF;
    PRAGMA scan.cache_size = -49152;
    CREATE TABLE scan.file(id INTEGER PRIMARY KEY, directory INTEGER NOT NULL,
      source INTEGER NOT NULL, dataset_row INTEGER NOT NULL, name TEXT NOT NULL, source_name TEXT,
      ntfs BLOB, fold INTEGER NOT NULL, size INTEGER NOT NULL, created INTEGER NOT NULL,
      modified INTEGER NOT NULL, accessed INTEGER NOT NULL, cost INTEGER NOT NULL);
    CREATE TABLE scan.placement(file INTEGER PRIMARY KEY, drive INTEGER NOT NULL);
    CREATE TABLE scan.collision(directory INTEGER NOT NULL, fold INTEGER NOT NULL,
      PRIMARY KEY(directory, fold)) WITHOUT ROWID;
  )");
}

std::string meta_text(journal::Database& database, const std::string& key) {
  journal::Statement query = database.prepare("SELECT value FROM meta WHERE key = ?");
  query.bind(1, key);
  return query.step() ? query.text(0) : std::string();
}

void set_meta(journal::Database& database, const std::string& key, const std::string& value) {
  database.prepare("INSERT OR REPLACE INTO meta VALUES(?,?)").bind(1, key).bind(2, value).run();
}

}  // namespace driveprep::plan
