#include "keywrap/excerpt.h"

namespace driveprep::keywrap {
namespace {

constexpr std::size_t kLongestWord = 100;
constexpr std::string_view kSpace = " \t\r\n\v\f";

std::string printable(std::string_view word) {
  std::string result;
  for (const char c : word) result.push_back(c > 0x20 && c < 0x7F ? c : '?');
  return result;
}

}  // namespace

std::string excerpt(std::string_view text, std::size_t limit) {
  std::string result;
  while (result.size() <= limit) {
    const std::size_t start = text.find_first_not_of(kSpace);
    if (start == std::string_view::npos) return result;
    text.remove_prefix(start);
    const std::string_view word = text.substr(0, text.find_first_of(kSpace));
    text.remove_prefix(word.size());
    if (!result.empty()) result += ' ';
    result += word.size() > kLongestWord ? "(...)" : printable(word);
  }
  return result.substr(0, limit) + "...";
}

}  // namespace driveprep::keywrap
