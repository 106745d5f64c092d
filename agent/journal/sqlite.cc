#include "agent/journal/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "base/error.h"

namespace driveprep::journal {
namespace {

constexpr const char* kTemporary = "the temporary database";

// The statements fit the tables that driveprep makes.
bool names_missing_object(std::string_view message) {
  return message.starts_with("no such table") || message.starts_with("no such column");
}

[[noreturn]] void fail(sqlite3* connection, const std::string& file, const std::string& attempt) {
  const int code = sqlite3_errcode(connection);
  ErrorKind kind = ErrorKind::kWrite;
  std::string name = "journal-database";
  std::string remedy;
  switch (code) {
    case SQLITE_FULL:
      if (file == kTemporary) {
        name = "plan-write";
        remedy = "Free some space in the directory for temporary files ($TMPDIR, else /var/tmp).";
      } else {
        name = "job-directory-full";
        remedy = "Free some space on the file system of the job directory (a plan also takes some of "
                 "$TMPDIR, else /var/tmp), then run the same command again.";
      }
      break;
    case SQLITE_READONLY:
      name = "job-directory-read-only";
      remedy = "Make the job directory writable for this user, or move it elsewhere.";
      break;
    case SQLITE_CANTOPEN:
      remedy = "Make the job directory writable for this user, or move it elsewhere.";
      break;
    case SQLITE_IOERR:
      remedy = "Check the file system of the job directory and the kernel log (dmesg).";
      break;
    case SQLITE_BUSY:
      kind = ErrorKind::kBusy;
      remedy = "Wait for the other run of driveprep on this job to end.";
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      kind = ErrorKind::kJournalMismatch;
      remedy = "Restore the file from a copy; without it the drives must be prepared anew.";
      break;
    case SQLITE_ERROR:
      if (file != kTemporary && names_missing_object(sqlite3_errmsg(connection))) {
        kind = ErrorKind::kJournalMismatch;
        remedy = "Somebody has changed the file: restore it from a copy.";
        break;
      }
      [[fallthrough]];
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      kind = ErrorKind::kInternal;
      remedy = "This is a bug in driveprep: please report it with the log of this run.";
      break;
    default: break;
  }
  throw Error(kind, name, attempt + " " + file + ": " + sqlite3_errmsg(connection),
              remedy);
}

// Only the characters with a meaning in a URI path need escaping.
std::string immutable_uri(const std::filesystem::path& file) {
  std::string uri = "file://";
  for (const char c : std::filesystem::absolute(file).string()) {
    switch (c) {
      case '%': uri += "%25"; break;
      case '?': uri += "%3F"; break;
      case '#': uri += "%23"; break;
      default: uri.push_back(c);
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

void Statement::Finalise::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement::Statement(sqlite3* connection, sqlite3_stmt* statement, std::string file)
    : connection_(connection), statement_(statement), file_(std::move(file)) {}

Statement& Statement::bind(int index, std::int64_t value) {
  if (sqlite3_bind_int64(statement_.get(), index, value) != SQLITE_OK) {
    fail(connection_, file_, "bind a value in");
  }
  return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
  // A null pointer would bind NULL instead of the empty text.
  const char* data = text.data() == nullptr ? "" : text.data();
  if (sqlite3_bind_text64(statement_.get(), index, data, text.size(), SQLITE_TRANSIENT,
                          SQLITE_UTF8) != SQLITE_OK) {
    fail(connection_, file_, "bind a text in");
  }
  return *this;
}

Statement& Statement::bind(int index, ByteView blob) {
  const int result = blob.empty() ? sqlite3_bind_zeroblob(statement_.get(), index, 0)
                                  : sqlite3_bind_blob64(statement_.get(), index, blob.data(),
                                                        blob.size(), SQLITE_TRANSIENT);
  if (result != SQLITE_OK) {
    fail(connection_, file_, "bind a blob in");
  }
  return *this;
}

Statement& Statement::bind_null(int index) {
  if (sqlite3_bind_null(statement_.get(), index) != SQLITE_OK) {
    fail(connection_, file_, "bind a null in");
  }
  return *this;
}

bool Statement::step() {
  switch (sqlite3_step(statement_.get())) {
    case SQLITE_ROW: return true;
    case SQLITE_DONE: reset(); return false;
    default: {
      try {
        fail(connection_, file_, "use");
      } catch (...) {
        sqlite3_reset(statement_.get());
        throw;
      }
    }
  }
}

void Statement::run() {
  while (step()) {
  }
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::text_view(int column) const {
  const ByteView raw(static_cast<const std::byte*>(sqlite3_column_blob(statement_.get(), column)),
                     static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column)));
  return as_text(raw);
}

Bytes Statement::blob(int column) const {
  const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement_.get(), column));
  return Bytes(data, data + sqlite3_column_bytes(statement_.get(), column));
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

void Database::Close::operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }

Database::Database(const std::filesystem::path& file, Mode mode)
    : name_(file.empty() ? kTemporary : file.string()) {
  sqlite3* raw = nullptr;
  const bool reading = mode == Mode::kReadOnly || mode == Mode::kImmutable;
  const int creating = mode == Mode::kQueries ? 0 : SQLITE_OPEN_CREATE;
  const int flags = (reading ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | creating) |
                    (mode == Mode::kImmutable ? SQLITE_OPEN_URI : 0);
  const std::string location = mode == Mode::kImmutable ? immutable_uri(file) : file.string();
  const int result = sqlite3_open_v2(location.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  connection_.reset(raw);
  if (result != SQLITE_OK) fail(raw, name_, "open");
  sqlite3_busy_timeout(raw, 5000);
  switch (mode) {
    case Mode::kDurable:
      execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;");
      break;
    case Mode::kScratch:
      execute("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE;");
      break;
    case Mode::kReadOnly:
    case Mode::kQueries:
    case Mode::kImmutable: execute("PRAGMA query_only=ON;"); break;
  }
}

void Database::execute(const std::string& sql) {
  if (sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    fail(connection_.get(), name_, "use");
  }
}

Statement Database::prepare(const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(connection_.get(), sql.c_str(), static_cast<int>(sql.size()), &raw,
                         nullptr) != SQLITE_OK) {
    fail(connection_.get(), name_, "prepare a statement for");
  }
  return Statement(connection_.get(), raw, name_);
}

std::int64_t Database::last_insert_id() const {
  return sqlite3_last_insert_rowid(connection_.get());
}

std::int64_t Database::changes() const { return sqlite3_changes64(connection_.get()); }

Transaction::Transaction(Database& database) : database_(database) {
  database_.execute("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.execute("ROLLBACK");
  } catch (...) {
    // The connection is unusable; SQLite rolls back by itself when it closes.
  }
}

void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

}  // namespace driveprep::journal
