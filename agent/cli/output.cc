#include "agent/cli/output.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <sstream>

#include "base/human_text.h"
#include "base/utf16.h"

namespace driveprep::cli {

namespace {

// What a terminal may take for an order: C1 controls, and marks that change the direction of
// writing.
bool acts_on_terminal(char16_t unit) {
  return (unit >= 0x7F && unit < 0xA0) || changes_direction(unit);
}

void append_escaped(std::u16string& out, const char* format, unsigned value) {
  std::array<char, 8> escaped{};
  std::snprintf(escaped.data(), escaped.size(), format, value);
  for (const char* c = escaped.data(); *c != 0; ++c) out += static_cast<char16_t>(*c);
}

// Within strings, which is where such characters are.
std::string safe_json_line(const std::string& line) {
  const std::u16string units = utf16_from_utf8(line).value();
  std::u16string safe;
  for (const char16_t unit : units) {
    if (acts_on_terminal(unit)) {
      append_escaped(safe, "\\u%04x", unit);
    } else {
      safe += unit;
    }
  }
  return utf8_from_utf16(safe).value();
}

bool is_ascii(const std::string& text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x7F; });
}

// What is no text at all is shown as far as it is ASCII.
std::u16string ascii_of(const std::string& text) {
  std::u16string units;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    units += byte < 0x80 ? static_cast<char16_t>(byte) : u'?';
  }
  return units;
}

bool is_high_surrogate(char16_t unit) { return unit >= 0xD800 && unit < 0xDC00; }
bool is_low_surrogate(char16_t unit) { return unit >= 0xDC00 && unit < 0xE000; }

enum class LineFeeds { kKeep, kEscape };

std::string shown_text(const std::string& text, LineFeeds line_feeds) {
  const std::optional<std::u16string> decoded = utf16_from_wtf8(text);
  const std::u16string units = decoded ? *decoded : ascii_of(text);
  std::u16string shown;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const char16_t unit = units[i];
    const bool kept_line_feed = unit == u'\n' && line_feeds == LineFeeds::kKeep;
    if (is_high_surrogate(unit) && i + 1 < units.size() && is_low_surrogate(units[i + 1])) {
      shown.append(units, i++, 2);
    } else if ((unit < 0x20 && !kept_line_feed) || unit == 0x7F) {
      append_escaped(shown, "\\x%02x", unit);
    } else if (acts_on_terminal(unit) || is_high_surrogate(unit) || is_low_surrogate(unit)) {
      append_escaped(shown, "\\u%04x", unit);
    } else {
      shown += unit;
    }
  }
  return utf8_from_utf16(shown).value();
}

}  // namespace

void print_json(const nlohmann::ordered_json& document) {
  // Names out of file systems need not be UTF-8.
  std::istringstream text(document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  for (std::string line; std::getline(text, line);) {
    std::fprintf(stdout, "%s\n", is_ascii(line) ? line.c_str() : safe_json_line(line).c_str());
  }
  std::fflush(stdout);
}

void print(const std::string& text) {
  std::fprintf(stdout, "%s\n", text.c_str());
  std::fflush(stdout);  // in step with what goes to standard error
}

void flush_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  throw Error(ErrorKind::kWrite, "output-failed",
              "the result could not be written to standard output",
              "Look where standard output goes; driveprep status tells what was done.");
}

void note(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

std::string table(const std::vector<std::vector<std::string>>& rows) {
  // Counts characters, not bytes: enough for names in most scripts.
  const auto width = [](const std::string& cell) {
    return static_cast<std::size_t>(
        std::ranges::count_if(cell, [](char c) { return (c & 0xC0) != 0x80; }));
  };
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - width(row[i]) + 2, ' ');
    }
    text += line + "\n";
  }
  if (!text.empty()) text.pop_back();
  return text;
}

nlohmann::ordered_json key_error_json(keywrap::Condition condition, keywrap::Profile profile,
                                      const keywrap::KeyEvidence& evidence) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
  };
  nlohmann::ordered_json object = {{"condition", keywrap::to_string(condition)},
                                   {"code", keywrap::code_of(condition, profile)},
                                   {"profile", keywrap::to_string(profile)},
                                   {"httpStatus", nullptr},
                                   {"vaultCode", or_null(evidence.vault_code)},
                                   {"vaultInnerCode", or_null(evidence.vault_inner_code)},
                                   {"requestId", or_null(evidence.request_id)},
                                   {"kid", or_null(evidence.kid)},
                                   {"recoverable", keywrap::is_recoverable(condition)},
                                   {"retryable", keywrap::is_retryable(condition)}};
  if (evidence.http_status != 0) object["httpStatus"] = evidence.http_status;
  return object;
}

nlohmann::ordered_json error_json(const Error& error) {
  nlohmann::ordered_json object = {{"code", error.code()},
                                   {"kind", to_string(error.kind())},
                                   {"exit", static_cast<int>(error.kind())},
                                   {"message", error.what()},
                                   {"remedy", error.remedy()}};
  if (const auto* about_key = dynamic_cast<const keywrap::KeyError*>(&error)) {
    object.update(
        key_error_json(about_key->condition(), about_key->profile(), about_key->evidence()));
    object["action"] = error.remedy();
  }
  return object;
}

void print_error(const Error& error) {
  note("driveprep: " + printable(error.what()));
  if (!error.remedy().empty()) note("  what to do: " + error.remedy());
  if (const auto* key = dynamic_cast<const keywrap::KeyError*>(&error);
      key != nullptr && !key->evidence().request_id.empty()) {
    note("  request id: " + printable_line(key->evidence().request_id));
  }
  note("  (" + error.code() + ", exit status " + std::to_string(static_cast<int>(error.kind())) +
       ")");
}

std::string printable(const std::string& text) { return shown_text(text, LineFeeds::kKeep); }

std::string printable_line(const std::string& text) { return shown_text(text, LineFeeds::kEscape); }

}  // namespace driveprep::cli
