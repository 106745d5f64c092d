#include "keywrap/http/blot_out.h"

#include <algorithm>

#include "base/ascii.h"

namespace driveprep::keywrap::http {
namespace {

constexpr std::size_t kShortestSecret = 4;

// A character and how many it is written with; the character is kNone at the end.
constexpr int kNone = -1;
struct Read {
  int character = kNone;
  std::size_t length = 1;
};

int hex_value(std::string_view digits, std::size_t count) {
  int value = 0;
  if (digits.size() < count) return kNone;
  for (const char c : digits.substr(0, count)) {
    const char lower = static_cast<char>(c | 0x20);
    if (ascii::is_digit(c)) {
      value = 16 * value + (c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      value = 16 * value + (lower - 'a' + 10);
    } else {
      return kNone;
    }
  }
  return value;
}

Read plain(std::string_view text) {
  if (text.empty()) return {};
  return {static_cast<unsigned char>(text.front()), 1};
}

Read encoded(std::string_view text) {
  if (text.starts_with('%')) return {hex_value(text.substr(1), 2), 3};
  if (text.starts_with("\\u")) return {hex_value(text.substr(2), 4), 6};
  if (text.starts_with('\\') && text.size() > 1) {
    return {static_cast<unsigned char>(text[1]), 2};
  }
  return {};
}

// base64 and base64url differ in two characters.
int folded(int character) {
  if (character == '+') return '-';
  return character == '/' ? '_' : character;
}

// How many characters at the beginning of `text` are the secret; 0: it is not there.
std::size_t length_of(std::string_view text, std::string_view secret) {
  std::size_t length = 0;
  for (const char& wanted : secret) {
    const int character = folded(static_cast<unsigned char>(wanted));
    Read read = plain(text.substr(length));
    if (folded(read.character) != character) read = encoded(text.substr(length));
    if (folded(read.character) != character) return 0;
    length += read.length;
  }
  return length;
}

}  // namespace

void blot_out(MutableByteView text, std::string_view secret) {
  if (secret.size() < kShortestSecret) return;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = length_of(as_text(text.subspan(at)), secret);
    std::ranges::fill(text.subspan(at, length), std::byte{'*'});
    at += std::max<std::size_t>(length, 1);
  }
}

}  // namespace driveprep::keywrap::http
