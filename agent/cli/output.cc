#include "agent/cli/output.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "base/human_text.h"
#include "base/utf16.h"

namespace driveprep::cli {

void print_json(const nlohmann::ordered_json& document) {
  // Names out of file systems need not be UTF-8.
  print(document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print(const std::string& text) {
  std::fprintf(stdout, "%s\n", text.c_str());
  std::fflush(stdout);  // in step with what goes to standard error
}

void flush_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  throw Error(ErrorKind::kWrite, "output-failed", "the result could not be written to standard output",
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

nlohmann::ordered_json error_json(const Error& error) {
  return {{"code", error.code()},
          {"kind", to_string(error.kind())},
          {"exit", static_cast<int>(error.kind())},
          {"message", error.what()},
          {"remedy", error.remedy()}};
}

void print_error(const Error& error) {
  note("driveprep: " + printable(error.what()));
  if (!error.remedy().empty()) note("  what to do: " + error.remedy());
  note("  (" + error.code() + ", exit status " + std::to_string(static_cast<int>(error.kind())) +
       ")");
}

std::string printable(const std::string& text) {
  const std::optional<std::u16string> units = utf16_from_utf8(text);
  std::u16string shown;
  const auto escape = [&shown](const char* format, unsigned value) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, format, value);
    for (const char* c = escaped; *c != 0; ++c) shown += static_cast<char16_t>(*c);
  };
  // What is no UTF-8 is shown as far as it is ASCII.
  const std::size_t length = units ? units->size() : text.size();
  for (std::size_t i = 0; i < length; ++i) {
    const char16_t unit =
        units ? (*units)[i] : static_cast<char16_t>(static_cast<unsigned char>(text[i]));
    if ((unit < 0x20 && unit != '\n') || unit == 0x7F) {
      escape("\\x%02x", unit);
    } else if (!units && unit >= 0x80) {
      shown += u'?';
    } else if ((unit >= 0x80 && unit < 0xA0) || changes_direction(unit)) {
      escape("\\u%04x", unit);
    } else {
      shown += unit;
    }
  }
  return utf8_from_utf16(shown).value();
}

}  // namespace driveprep::cli
