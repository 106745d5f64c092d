#include "keywrap/excerpt.h"

#include <algorithm>

#include "base/ascii.h"

namespace driveprep::keywrap {
namespace {

constexpr std::size_t kLongestWord = 100;
constexpr std::size_t kShortestKey = 40;
constexpr std::size_t kPasswordDigits = 48;
constexpr std::size_t kBlockDigits = 6;
constexpr std::string_view kLeftOut = "(...)";
constexpr std::string_view kSpace = " \t\r\n\v\f";

std::string printable(std::string_view word) {
  std::string result;
  for (const char c : word) result.push_back(c > 0x20 && c < 0x7F ? c : '?');
  return result;
}

// How many characters at the beginning of `text` could be a recovery password; 0: none.
std::size_t password_length(std::string_view text) {
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (ascii::is_digit(text[i])) {
      if (++digits == kPasswordDigits) return i + 1;
      continue;
    }
    const bool between_blocks = digits > 0 && digits % kBlockDigits == 0 &&
                                (text[i] == '-' || kSpace.find(text[i]) != kSpace.npos);
    if (!between_blocks) return 0;
  }
  return 0;
}

std::string without_passwords(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t length = password_length(text);
    if (length > 0) {
      result += kLeftOut;
      text.remove_prefix(length);
    } else {
      result += text.front();
      text.remove_prefix(1);
    }
  }
  return result;
}

bool looks_random(std::string_view run) {
  return run.size() >= kShortestKey && std::ranges::any_of(run, ascii::is_digit) &&
         std::ranges::any_of(run, [](char c) { return c >= 'a' && c <= 'z'; }) &&
         std::ranges::any_of(run, [](char c) { return c >= 'A' && c <= 'Z'; });
}

// '+' is of the other base64; its '/' is left, or the paths of resources would go.
bool is_key_character(char c) {
  return ascii::is_alphanumeric(c) || c == '-' || c == '_' || c == '+';
}

std::string without_keys(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const auto end = std::ranges::find_if_not(text, is_key_character);
    const auto length = static_cast<std::size_t>(end - text.begin());
    result += looks_random(text.substr(0, length)) ? kLeftOut : text.substr(0, length);
    text.remove_prefix(length);
    if (text.empty()) break;
    result += text.front();
    text.remove_prefix(1);
  }
  return result;
}

}  // namespace

std::string excerpt(std::string_view foreign, std::size_t limit) {
  const std::string safe = without_passwords(foreign);
  std::string_view text = safe;
  std::string result;
  while (result.size() <= limit) {
    const std::size_t start = text.find_first_not_of(kSpace);
    if (start == std::string_view::npos) return result;
    text.remove_prefix(start);
    const std::string_view word = text.substr(0, text.find_first_of(kSpace));
    text.remove_prefix(word.size());
    if (!result.empty()) result += ' ';
    result += word.size() > kLongestWord ? std::string(kLeftOut) : printable(without_keys(word));
  }
  return result.substr(0, limit) + "...";
}

}  // namespace driveprep::keywrap
