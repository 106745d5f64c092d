#include "agent/job/blob_names.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/utf16.h"

namespace driveprep::job {
namespace {

constexpr std::string_view kNotUtf8 = "is not valid UTF-8";

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// The one that begins at `units[0]`.
std::string code_point(std::u16string_view units) {
  auto value = static_cast<unsigned>(units[0]);
  if (units.size() > 1 && value >= 0xD800 && value < 0xDC00) {
    value = 0x10000 + ((value - 0xD800) << 10) + (static_cast<unsigned>(units[1]) - 0xDC00);
  }
  char text[16];
  std::snprintf(text, sizeof text, "U+%04X", value);
  return text;
}

bool is_control(char16_t c) { return c < 0x20 || (c >= 0x7F && c <= 0x9F); }

// Characters that HTTP and XML 1.0 cannot carry, private use, and what Unicode calls no character.
// The private planes 15 and 16 begin at high surrogate U+DB80.
bool is_unfit(char16_t c) {
  return (c >= 0xE000 && c <= 0xF8FF) || c >= 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF) ||
         (c >= 0xDB80 && c <= 0xDBFF);
}

bool is_noncharacter_pair(char16_t high, char16_t low) {
  const char32_t value = 0x10000 + ((static_cast<char32_t>(high) - 0xD800) << 10) +
                         (static_cast<char32_t>(low) - 0xDC00);
  return (value & 0xFFFE) == 0xFFFE;
}

}  // namespace

std::optional<std::string> check_container_name(std::string_view name) {
  if (name == "$root" || name == "$web" || name == "$logs") return std::nullopt;
  if (name.size() < 3 || name.size() > 63) {
    return "has " + std::to_string(name.size()) + " characters, 3 to 63 are allowed";
  }
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] >= 'A' && name[i] <= 'Z') return "has upper-case letters";
    if (!is_lower_or_digit(name[i]) && name[i] != '-') {
      return "has a character other than a-z, 0-9 and '-'";
    }
    if (name[i] == '-' && i > 0 && name[i - 1] == '-') return "has two hyphens in a row";
  }
  if (name.front() == '-' || name.back() == '-') return "begins or ends with a hyphen";
  return std::nullopt;
}

std::optional<std::string> check_blob_name(std::string_view container, std::string_view name) {
  if (name.empty()) return "is empty";
  const auto units = utf16_from_utf8(name);
  if (!units) return std::string(kNotUtf8);
  if (units->size() > kMaxBlobNameLength) {
    return "has " + std::to_string(units->size()) + " characters, at most 1024 are allowed";
  }
  for (std::size_t i = 0; i < units->size(); ++i) {
    const char16_t c = (*units)[i];
    const std::u16string_view here = std::u16string_view(*units).substr(i);
    if (is_control(c)) return "has the control character " + code_point(here);
    if (c == u'\\') return "has a backslash, which some clients turn into '/'";
    if (is_unfit(c))
      return "has the character " + code_point(here) + ", which blob names cannot have";
    if (c >= 0xD800 && c < 0xDC00 && is_noncharacter_pair(c, (*units)[i + 1])) {
      return "has a code point that is no character";
    }
  }
  std::size_t segments = 0;
  for (std::size_t start = 0; start <= name.size(); ++segments) {
    const std::size_t end = std::min(name.find('/', start), name.size());
    const std::string_view segment = name.substr(start, end - start);
    if (segment.empty()) return "has an empty path segment";
    if (segment == "." || segment == "..") {
      return "has the path segment \"" + std::string(segment) + "\"";
    }
    start = end + 1;
  }
  if (segments > kMaxBlobSegments) {
    return "has " + std::to_string(segments) + " path segments, at most 254 are allowed";
  }
  if (container == "$root" && segments > 1) {
    return "has a '/', which names in the container $root cannot have";
  }
  return std::nullopt;
}

bool has_segment_ending_in_dot(std::string_view name) {
  return name.ends_with('.') || name.find("./") != std::string_view::npos;
}

std::optional<std::string> check_share_component(std::string_view name) {
  if (name.empty()) return "is empty";
  const auto units = utf16_from_utf8(name);
  if (!units) return std::string(kNotUtf8);
  if (units->size() > 255) {
    return "has " + std::to_string(units->size()) + " characters, at most 255 are allowed";
  }
  if (name == "." || name == "..") return "is \".\" or \"..\"";
  for (const char16_t c : *units) {
    if (is_control(c)) return "has the control character " + code_point({&c, 1});
    if (std::u16string_view(u"\"\\/:|<>*?").find(c) != std::u16string_view::npos) {
      return std::string("has the character '") + static_cast<char>(c) + "'";
    }
  }
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  constexpr std::array<std::string_view, 5> kReserved = {"PRN", "AUX", "NUL", "CON", "CLOCK$"};
  const bool numbered = upper.size() == 4 &&
                        (upper.starts_with("LPT") || upper.starts_with("COM")) && upper[3] >= '1' &&
                        upper[3] <= '9';
  if (numbered || std::find(kReserved.begin(), kReserved.end(), upper) != kReserved.end()) {
    return "is a reserved device name";
  }
  if (upper.ends_with('.') || upper.ends_with(' ')) return "ends in a dot or a space";
  return std::nullopt;
}

}  // namespace driveprep::job
