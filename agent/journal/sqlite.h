// The one place that meets SQLite: connections, statements, transactions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

struct sqlite3;
struct sqlite3_stmt;

namespace driveprep::journal {

class Statement {
 public:
  // Binds parameter `index` (from 1). Text and blobs are copied.
  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, ByteView blob);
  Statement& bind_null(int index);

  // Moves to the next row; false at the end (the statement is then reset and can be bound anew).
  bool step();
  // For statements without rows: step to the end.
  void run();
  void reset();

  // Column values of the current row (from 0).
  std::int64_t integer(int column) const;
  std::string text(int column) const { return std::string(text_view(column)); }
  std::string_view text_view(int column) const;  // valid until the next step
  Bytes blob(int column) const;
  bool is_null(int column) const;

 private:
  friend class Database;
  Statement(sqlite3* connection, sqlite3_stmt* statement, std::string file);
  struct Finalise {
    void operator()(sqlite3_stmt* statement) const;
  };

  sqlite3* connection_;
  std::unique_ptr<sqlite3_stmt, Finalise> statement_;
  std::string file_;
};

class Database {
 public:
  enum class Mode {
    kDurable,    // WAL, synchronous=FULL: a committed transaction survives a power cut
    kScratch,    // no journal, no syncs: rebuilt when lost
    kReadOnly,   // must exist; may leave -wal and -shm files behind
    kQueries,    // must exist; nothing changes it, and -wal and -shm files go with the last
                 // connection, as long as the file may be written to
    kImmutable,  // must exist and not change meanwhile: no locks, no -wal or -shm file is made
  };
  // An empty path is a private temporary database that spills to disk and vanishes on close.
  Database(const std::filesystem::path& file, Mode mode);

  // Runs one or more statements without parameters or results.
  void execute(const std::string& sql);
  Statement prepare(const std::string& sql);
  std::int64_t last_insert_id() const;
  // Rows that the last statement inserted, updated or deleted.
  std::int64_t changes() const;
  const std::string& name() const { return name_; }

 private:
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  std::string name_;
  std::unique_ptr<sqlite3, Close> connection_;
};

// Rolls back unless commit() was called.
class Transaction {
 public:
  explicit Transaction(Database& database);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace driveprep::journal
