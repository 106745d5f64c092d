#include "agent/manifest/xml_text.h"

#include <array>

#include "base/encoding.h"
#include "base/error.h"

namespace driveprep::manifest {
namespace {

constexpr unsigned kBad = 0x110000;

// Decodes the multi-byte sequence at the front of `text` (not empty); sets its length.
unsigned decode(std::string_view text, std::size_t& length) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = at(0);
  unsigned value;
  unsigned smallest;
  if (lead >= 0xC2 && lead < 0xE0) {
    length = 2, value = lead & 0x1F, smallest = 0x80;
  } else if (lead >= 0xE0 && lead < 0xF0) {
    length = 3, value = lead & 0x0F, smallest = 0x800;
  } else if (lead >= 0xF0 && lead < 0xF5) {
    length = 4, value = lead & 0x07, smallest = 0x10000;
  } else {
    return kBad;
  }
  if (text.size() < length) return kBad;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xC0) != 0x80) return kBad;
    value = value << 6 | (at(i) & 0x3FU);
  }
  return value < smallest || (value >= 0xD800 && value < 0xE000) ? kBad : value;
}

}  // namespace

std::optional<std::size_t> first_unwritable(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') return i;
      ++i;
      continue;
    }
    std::size_t length = 0;
    const unsigned value = decode(text.substr(i), length);
    if (value >= kBad || value == 0xFFFE || value == 0xFFFF) return i;
    i += length;
  }
  return std::nullopt;
}

void require_writable(std::string_view text, std::string_view element) {
  const std::optional<std::size_t> at = first_unwritable(text);
  if (!at) return;
  throw Error(ErrorKind::kUsage, "manifest-invalid-value",
              std::string(element) + " '" + std::string(text.substr(0, *at)) + "...' has 0x" +
                  hex_upper(as_bytes(text.substr(*at, 1))) + " at byte " + std::to_string(*at) +
                  ", which XML cannot hold",
              "Choose another name for it in the data set.");
}

namespace {

constexpr std::string_view escape_of(char c) {
  switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\t': return "&#9;";
    case '\n': return "&#10;";
    case '\r': return "&#13;";
    default: return {};
  }
}

constexpr auto kEscaped = [] {
  std::array<bool, 256> escaped{};
  for (std::size_t c = 0; c < 256; ++c) escaped[c] = !escape_of(static_cast<char>(c)).empty();
  return escaped;
}();

}  // namespace

std::string_view xml_escape(char c) { return escape_of(c); }

std::size_t first_escaped(std::string_view text, std::size_t from) {
  for (std::size_t i = from; i < text.size(); ++i) {
    if (kEscaped[static_cast<unsigned char>(text[i])]) return i;
  }
  return std::string_view::npos;
}

}  // namespace driveprep::manifest
