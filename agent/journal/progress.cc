// Checkpoints and the sources that failed.
#include "agent/journal/journal.h"
#include "agent/journal/schema.h"

namespace driveprep::journal {
namespace {

void insert_failures(Database& database, std::string_view drive,
                     std::span<const Failure> failures) {
  if (failures.empty()) return;
  Statement insert = database.prepare("INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?, ?)");
  for (const Failure& failure : failures) {
    insert.bind(1, drive)
        .bind(2, to_sql(failure.file))
        .bind(3, as_bytes(failure.path))
        .bind(4, failure.code)
        .bind(5, failure.message)
        .run();
  }
}

}  // namespace

std::optional<Checkpoint> Journal::checkpoint(std::string_view drive) const {
  std::scoped_lock lock(mutex_);
  Statement row = database_.prepare(
      "SELECT number, redo_digest, applied, next_file, spool_length, bytes_done, files_done, "
      "partial_number, partial_length FROM checkpoint WHERE drive = ?");
  row.bind(1, drive);
  if (!row.step()) return std::nullopt;
  Checkpoint checkpoint;
  checkpoint.number = from_sql(row.integer(0));
  checkpoint.redo_digest = sha256_column(row, 1);
  checkpoint.applied = row.integer(2) != 0;
  checkpoint.next_file = from_sql(row.integer(3));
  checkpoint.spool_length = from_sql(row.integer(4));
  checkpoint.bytes_done = from_sql(row.integer(5));
  checkpoint.files_done = from_sql(row.integer(6));
  if (!row.is_null(7)) {
    checkpoint.partial = PartialFile{from_sql(row.integer(7)), from_sql(row.integer(8))};
  }
  return checkpoint;
}

void Journal::commit_checkpoint(std::string_view drive, const Checkpoint& checkpoint,
                                std::span<const Failure> failed,
                                std::span<const std::uint64_t> recovered) {
  std::scoped_lock lock(mutex_);
  Transaction transaction(database_);
  {
    Statement last = database_.prepare("SELECT number FROM checkpoint WHERE drive = ?");
    last.bind(1, drive);
    require(!last.step() || from_sql(last.integer(0)) < checkpoint.number,
            "the numbers of a drive's checkpoints must grow");
  }
  Statement insert = database_.prepare(
      "INSERT OR REPLACE INTO checkpoint SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM drive "
      "WHERE id = ?");
  insert.bind(1, to_sql(checkpoint.number))
      .bind(2, ByteView(checkpoint.redo_digest))
      .bind(3, std::int64_t{checkpoint.applied})
      .bind(4, to_sql(checkpoint.next_file))
      .bind(5, to_sql(checkpoint.spool_length))
      .bind(6, to_sql(checkpoint.bytes_done))
      .bind(7, to_sql(checkpoint.files_done));
  if (checkpoint.partial) {
    insert.bind(8, to_sql(checkpoint.partial->number))
        .bind(9, to_sql(checkpoint.partial->valid_length));
  } else {
    insert.bind_null(8).bind_null(9);
  }
  insert.bind(10, drive).run();
  require_changed(database_, drive);
  insert_failures(database_, drive, failed);
  if (!recovered.empty()) {
    Statement remove = database_.prepare("DELETE FROM failure WHERE drive = ? AND file = ?");
    for (const std::uint64_t file : recovered) remove.bind(1, drive).bind(2, to_sql(file)).run();
  }
  transaction.commit();
}

void Journal::mark_applied(std::string_view drive, std::uint64_t number) {
  std::scoped_lock lock(mutex_);
  database_.prepare("UPDATE checkpoint SET applied = 1 WHERE drive = ? AND number = ?")
      .bind(1, drive)
      .bind(2, to_sql(number))
      .run();
  require(database_.changes() == 1, "the checkpoint that was applied is not the last one");
}

std::uint64_t Journal::failure_count(std::string_view drive) const {
  std::scoped_lock lock(mutex_);
  Statement query = database_.prepare("SELECT count(*) FROM failure WHERE drive = ?");
  query.bind(1, drive);
  require(query.step(), "count(*) gave no row");
  return from_sql(query.integer(0));
}

std::vector<Failure> Journal::failures(std::string_view drive, std::uint64_t first,
                                       std::size_t limit) const {
  std::scoped_lock lock(mutex_);
  Statement query = database_.prepare(
      "SELECT file, path, code, message FROM failure WHERE drive = ? AND file >= ? "
      "ORDER BY file LIMIT ?");
  query.bind(1, drive).bind(2, to_sql(first)).bind(3, static_cast<std::int64_t>(limit));
  std::vector<Failure> failures;
  while (query.step()) {
    failures.push_back({from_sql(query.integer(0)), query.text(1), query.text(2), query.text(3)});
  }
  return failures;
}

void Journal::add_failures(std::string_view drive, std::span<const Failure> failures) {
  std::scoped_lock lock(mutex_);
  Transaction transaction(database_);
  insert_failures(database_, drive, failures);
  transaction.commit();
}

void Journal::clear_failures(std::string_view drive) {
  std::scoped_lock lock(mutex_);
  database_.prepare("DELETE FROM failure WHERE drive = ?").bind(1, drive).run();
}

}  // namespace driveprep::journal
