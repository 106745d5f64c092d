// A strict reader of comma-separated text (RFC 4180), with the position of every value.
//
// Accepted beyond the RFC: LF as well as CRLF, a byte order mark, blank lines, and comment lines
// whose first character is '#'. Refused, as kUsage with "file:line:column": text that is not UTF-8,
// control characters, a quote inside an unquoted value, anything but a comma or line end after a
// closing quote, a quote never closed, spaces around an unquoted value (they would be part of it).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace driveprep::job {

struct CsvField {
  std::string text;
  unsigned line = 0;    // from 1
  unsigned column = 0;  // from 1, in characters, where the value starts
};

using CsvRow = std::vector<CsvField>;

class CsvReader {
 public:
  // `file` is the name in error messages; `text` must outlive the reader.
  CsvReader(std::string_view text, std::string file);

  // The next row that is neither blank nor a comment; nullopt at the end. Has at least one field.
  std::optional<CsvRow> next();

  const std::string& file() const { return file_; }

 private:
  [[noreturn]] void fail(const char* code, const std::string& what,
                         const std::string& remedy) const;
  bool at_end() const { return position_ == text_.size(); }
  bool at_line_end() const;
  void take_line_end();
  void take_character(std::string* into);
  void skip_line();
  CsvField quoted_field();
  CsvField plain_field();

  std::string_view text_;
  std::string file_;
  std::size_t position_ = 0;
  unsigned line_ = 1;
  unsigned column_ = 1;
};

// A value for a message. Values of a drive set may hold a key, perhaps in the wrong place: whatever
// contains a recovery password, or could be base64 of a key, is not repeated.
std::string shown(std::string_view value);

// Rows under a header line: columns are found by their literal name.
class CsvTable {
 public:
  // `columns`: every column that may appear. Unknown, repeated and missing ones are errors;
  // `required` are those that must be there. Throws "csv-empty" without a header line.
  CsvTable(std::string_view text, std::string file);

  const CsvRow& header() const { return header_; }
  // Checks the header line: every name in `required` present, every name known, none twice.
  void expect(const std::vector<std::string>& required, const std::vector<std::string>& optional);

  // Moves to the next row; false at the end. A row must have as many values as the header.
  bool next();
  // The value in `column` of the current row; empty when the header has no such column.
  const CsvField& value(std::string_view column) const;
  unsigned line() const { return row_.front().line; }
  // For tables that may hold a secret: overwrites the values of the current row.
  void wipe_row();

  // An Error of kind kUsage at a value of this table.
  Error error(const CsvField& at, std::string code, const std::string& what,
              std::string remedy) const;

 private:
  CsvReader reader_;
  CsvRow header_;
  CsvRow row_;
  CsvField absent_;
};

}  // namespace driveprep::job
