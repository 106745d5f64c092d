#include "drive/inventory/device_text.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace driveprep::inventory {
namespace {

constexpr std::size_t kShortestSerial = 4;

// Digits and letters of a placeholder in their order, from any place on.
constexpr std::array<std::string_view, 3> kRows = {"0123456789abcdefghijklmnopqrstuvwxyz",
                                                   "1234567890", "9876543210"};

bool is_part_of_a_row(std::string_view lower) {
  return std::ranges::any_of(
      kRows, [&](std::string_view row) { return row.find(lower) != std::string_view::npos; });
}

// "012345678901234567890": a row that begins again.
bool repeats_digits(std::string_view text) {
  if (text.size() < 10) return false;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9' || text[i - 1] < '0' || text[i - 1] > '9') return false;
    if ((text[i - 1] - '0' + 1) % 10 != text[i] - '0') return false;
  }
  return true;
}

}  // namespace

std::string clean_device_text(std::string_view raw) {
  std::string clean;
  bool gap = false;
  for (const char c : raw) {
    if (c == ' ') {
      gap = !clean.empty();
    } else if (c > ' ' && c <= '~') {
      if (gap) clean += ' ';
      gap = false;
      clean += c;
    }
  }
  return clean;
}

bool is_telling_serial(std::string_view serial) {
  if (serial.size() < kShortestSerial) return false;
  if (std::ranges::all_of(serial, [&](char c) { return c == serial.front(); })) return false;
  return !is_part_of_a_row(ascii::lower(serial)) && !repeats_digits(serial);
}

}  // namespace driveprep::inventory
