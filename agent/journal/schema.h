// The tables of the journal, and the values that SQLite has no type for.
#pragma once

#include "agent/journal/sqlite.h"
#include "base/digest.h"
#include "base/file_time.h"
#include "base/guid.h"

namespace driveprep::journal {

// Creates the tables in a database without any.
void create_schema(Database& database);
// The table of the chain's head, in a journal that was made before there was one.
void create_event_head(Database& database);
bool has_event_head(Database& database);

enum class SchemaState { kReady, kEmpty };
// kJournalMismatch "journal-version" when the file holds anything else.
SchemaState check_schema(Database& database);

// 64-bit unsigned values are kept as the signed integer with the same bits.
inline std::int64_t to_sql(std::uint64_t value) { return static_cast<std::int64_t>(value); }
inline std::uint64_t from_sql(std::int64_t value) { return static_cast<std::uint64_t>(value); }
inline std::int64_t to_sql(FileTime time) { return to_sql(time.ticks); }
inline FileTime time_column(const Statement& row, int column) {
  return FileTime{from_sql(row.integer(column))};
}
// A damaged value is a kJournalMismatch "journal-database".
Sha256 sha256_column(const Statement& row, int column);
Guid guid_column(const Statement& row, int column);

// Throws kInternal unless the last statement found the drive.
void require_changed(const Database& database, std::string_view drive);

}  // namespace driveprep::journal
