#include "agent/job/csv.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "base/secret_bytes.h"
#include "base/utf16.h"

namespace driveprep::job {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string place(const std::string& file, unsigned line, unsigned column) {
  return file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": ";
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }
bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Eight groups of six digits.
bool is_recovery_password(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i % 7 == 6 ? text[i] != '-' : !ascii::is_digit(text[i])) return false;
  }
  return true;
}

bool may_be_base64_key(std::string_view text) {
  return text.size() >= 40 && text.ends_with('=') &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return ascii::is_alphanumeric(c) || c == '+' || c == '/' || c == '=';
         });
}

}  // namespace

std::string shown(std::string_view value) {
  constexpr std::size_t kPasswordLength = 8 * 6 + 7;
  bool secret = may_be_base64_key(value);
  for (std::size_t i = 0; !secret && i + kPasswordLength <= value.size(); ++i) {
    secret = is_recovery_password(value.substr(i, kPasswordLength));
  }
  return secret ? "(looks like a key, not shown)" : std::string(value);
}

CsvReader::CsvReader(std::string_view text, std::string file)
    : text_(text), file_(std::move(file)) {
  if (text_.starts_with(kByteOrderMark)) position_ = kByteOrderMark.size();
  if (text_.starts_with("\xFF\xFE") || text_.starts_with("\xFE\xFF")) {
    fail("csv-encoding", "the file is UTF-16", "Save the file as UTF-8.");
  }
}

void CsvReader::fail(const char* code, const std::string& what, const std::string& remedy) const {
  throw Error(ErrorKind::kUsage, code, place(file_, line_, column_) + what, remedy);
}

bool CsvReader::at_line_end() const {
  return at_end() || text_[position_] == '\n' || text_.substr(position_, 2) == "\r\n";
}

void CsvReader::take_line_end() {
  if (at_end()) return;
  position_ += text_[position_] == '\r' ? 2 : 1;
  ++line_;
  column_ = 1;
}

void CsvReader::take_character(std::string* into) {
  const char c = text_[position_++];
  if (into != nullptr) into->push_back(c);
  if (c == '\n') {
    ++line_;
    column_ = 1;
  } else if (at_end() || starts_character(text_[position_])) {
    ++column_;
  }
}

void CsvReader::skip_line() {
  while (!at_line_end()) take_character(nullptr);
  take_line_end();
}

CsvField CsvReader::quoted_field() {
  CsvField field{"", line_, column_};
  take_character(nullptr);
  for (;;) {
    if (at_end()) {
      line_ = field.line;
      column_ = field.column;
      fail("csv-quote", "the quote that opens here is never closed",
           "Close it with a double quote; write a double quote inside a value twice.");
    }
    const char c = text_[position_];
    if (c == '"') {
      take_character(nullptr);
      if (at_end() || text_[position_] != '"') break;
    } else if (is_control(c) && c != '\n' && c != '\r' && c != '\t') {
      fail("csv-control-character", "a control character stands here", "Remove it.");
    }
    take_character(&field.text);
  }
  if (!at_line_end() && text_[position_] != ',') {
    fail("csv-quote", "text follows a closing quote",
         "Quote the whole value, and write a double quote inside it twice.");
  }
  return field;
}

CsvField CsvReader::plain_field() {
  CsvField field{"", line_, column_};
  while (!at_line_end() && text_[position_] != ',') {
    const char c = text_[position_];
    if (c == '"') {
      fail("csv-quote", "a double quote stands inside a value that does not begin with one",
           "Quote the whole value, and write a double quote inside it twice.");
    }
    if (is_control(c)) {
      fail("csv-control-character",
           c == '\r' ? "a carriage return without a line feed" : "a control character stands here",
           "End lines with LF or CR LF, separate values with commas.");
    }
    take_character(&field.text);
  }
  if (field.text.starts_with(' ') || field.text.ends_with(' ')) {
    column_ = field.column;
    fail("csv-space", "the value has a space at its start or end",
         "Remove the space, or put the value in double quotes if it belongs to it.");
  }
  return field;
}

std::optional<CsvRow> CsvReader::next() {
  while (!at_end() && (at_line_end() || text_[position_] == '#')) skip_line();
  if (at_end()) return std::nullopt;
  CsvRow row;
  for (;;) {
    const bool quoted = !at_end() && text_[position_] == '"';
    row.push_back(quoted ? quoted_field() : plain_field());
    if (!utf16_from_utf8(row.back().text)) {
      line_ = row.back().line;
      column_ = row.back().column;
      fail("csv-encoding", "the value is not UTF-8", "Save the file as UTF-8.");
    }
    if (at_line_end()) break;
    take_character(nullptr);
  }
  take_line_end();
  return row;
}

CsvTable::CsvTable(std::string_view text, std::string file) : reader_(text, std::move(file)) {
  std::optional<CsvRow> header = reader_.next();
  if (!header) {
    throw Error(ErrorKind::kUsage, "csv-empty", reader_.file() + " has no header line",
                "Begin it with the line of column names; \"driveprep init\" writes a sample.");
  }
  header_ = std::move(*header);
}

Error CsvTable::error(const CsvField& at, std::string code, const std::string& what,
                      std::string remedy) const {
  return Error(ErrorKind::kUsage, std::move(code), place(reader_.file(), at.line, at.column) + what,
               std::move(remedy));
}

void CsvTable::expect(const std::vector<std::string>& required,
                      const std::vector<std::string>& optional) {
  const auto is_in = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (std::size_t i = 0; i < header_.size(); ++i) {
    const std::string& name = header_[i].text;
    if (!is_in(required, name) && !is_in(optional, name)) {
      // What a spreadsheet writes where the comma is the decimal sign.
      const bool semicolons = header_.size() == 1 && name.find(';') != std::string::npos;
      throw error(header_[i], "csv-unknown-column", "unknown column \"" + shown(name) + "\"",
                  std::string(semicolons ? "Separate values with commas, not semicolons. " : "") +
                      "Columns are named exactly: " + joined(required) +
                      (optional.empty() ? "" : "; and if wanted " + joined(optional)) + ".");
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (header_[j].text == name) {
        throw error(header_[i], "csv-repeated-column", "column \"" + shown(name) + "\" comes twice",
                    "Keep one of them.");
      }
    }
  }
  for (const std::string& name : required) {
    const bool there = std::any_of(header_.begin(), header_.end(),
                                   [&](const CsvField& field) { return field.text == name; });
    if (!there) {
      throw error(header_.front(), "csv-missing-column", "column \"" + name + "\" is missing",
                  "The header line needs " + joined(required) + ".");
    }
  }
}

bool CsvTable::next() {
  std::optional<CsvRow> row = reader_.next();
  if (!row) return false;
  row_ = std::move(*row);
  if (row_.size() != header_.size()) {
    throw error(row_.front(), "csv-value-count",
                "this row has " + std::to_string(row_.size()) + " values, the header names " +
                    std::to_string(header_.size()) + " columns",
                "Give every column a value, an empty one between commas if there is none; quote "
                "values that contain commas.");
  }
  return true;
}

const CsvField& CsvTable::value(std::string_view column) const {
  for (std::size_t i = 0; i < header_.size(); ++i) {
    if (header_[i].text == column) return row_[i];
  }
  return absent_;
}

void CsvTable::wipe_row() {
  for (CsvField& field : row_) wipe(field.text);
}

}  // namespace driveprep::job
