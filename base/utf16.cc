#include "base/utf16.h"

namespace driveprep {
namespace {

constexpr char32_t kSurrogateFirst = 0xD800;
constexpr char32_t kSurrogateLow = 0xDC00;
constexpr char32_t kSurrogateEnd = 0xE000;

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xC0 | c >> 6));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | c >> 12));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | c >> 18));
    out.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

enum class Surrogates { kRefuse, kAccept };

bool is_surrogate(char32_t c) { return c >= kSurrogateFirst && c < kSurrogateEnd; }

std::optional<std::u16string> decode(std::string_view text, Surrogates surrogates) {
  std::u16string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    std::size_t length = 1;
    char32_t c = lead;
    char32_t smallest = 0;
    if (lead >= 0x80) {
      if (lead >= 0xC2 && lead < 0xE0) {
        length = 2;
        c = lead & 0x1F;
        smallest = 0x80;
      } else if (lead >= 0xE0 && lead < 0xF0) {
        length = 3;
        c = lead & 0x0F;
        smallest = 0x800;
      } else if (lead >= 0xF0 && lead < 0xF5) {
        length = 4;
        c = lead & 0x07;
        smallest = 0x10000;
      } else
        return std::nullopt;
    }
    if (i + length > text.size()) return std::nullopt;
    for (std::size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0) != 0x80) return std::nullopt;
      c = c << 6 | (next & 0x3F);
    }
    if (c < smallest || c > 0x10FFFF) return std::nullopt;
    if (is_surrogate(c)) {
      if (surrogates == Surrogates::kRefuse) return std::nullopt;
      // A pair in two times three bytes is not its WTF-8 text.
      const bool behind_high =
          !out.empty() && out.back() >= kSurrogateFirst && out.back() < kSurrogateLow;
      if (c >= kSurrogateLow && behind_high) return std::nullopt;
    }
    if (c < 0x10000) {
      out.push_back(static_cast<char16_t>(c));
    } else {
      out.push_back(static_cast<char16_t>(kSurrogateFirst + ((c - 0x10000) >> 10)));
      out.push_back(static_cast<char16_t>(kSurrogateLow + ((c - 0x10000) & 0x3FF)));
    }
    i += length;
  }
  return out;
}

std::optional<std::string> encode(std::u16string_view text, Surrogates surrogates) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char32_t c = text[i];
    if (is_surrogate(c)) {
      const char32_t low = i + 1 < text.size() ? text[i + 1] : U'\0';
      if (c < kSurrogateLow && low >= kSurrogateLow && low < kSurrogateEnd) {
        c = 0x10000 + ((c - kSurrogateFirst) << 10) + (low - kSurrogateLow);
        ++i;
      } else if (surrogates == Surrogates::kRefuse) {
        return std::nullopt;
      }
    }
    append_utf8(out, c);
  }
  return out;
}

}  // namespace

std::optional<std::u16string> utf16_from_utf8(std::string_view text) {
  return decode(text, Surrogates::kRefuse);
}

std::optional<std::string> utf8_from_utf16(std::u16string_view text) {
  return encode(text, Surrogates::kRefuse);
}

std::string wtf8_from_utf16(std::u16string_view text) { return *encode(text, Surrogates::kAccept); }

std::optional<std::u16string> utf16_from_wtf8(std::string_view text) {
  return decode(text, Surrogates::kAccept);
}

Bytes utf16le(std::u16string_view text) {
  ByteWriter writer;
  for (char16_t unit : text) writer.u16(unit);
  return writer.take();
}

std::optional<std::u16string> from_utf16le(ByteView bytes) {
  if (bytes.size() % 2 != 0) return std::nullopt;
  std::u16string text;
  ByteReader reader(bytes);
  while (reader.remaining() > 0) text.push_back(static_cast<char16_t>(reader.u16()));
  return text;
}

}  // namespace driveprep
