#include "base/utf16.h"

#include <catch2/catch.hpp>

using namespace driveprep;

TEST_CASE("text goes to UTF-16 and back") {
  const auto [utf8, utf16] = GENERATE(table<std::string, std::u16string>({
      {"", u""},
      {"plain", u"plain"},
      {"gr\xC3\xBC\xC3\x9F", u"grüß"},
      {"\xE2\x82\xAC", u"€"},
      {"\xF0\x9F\x92\xBE", u"\xD83D\xDCBE"},
      {"\xEF\xBF\xBF", u"\xFFFF"},
      {"\xF4\x8F\xBF\xBF", u"\xDBFF\xDFFF"},
      {std::string("a\0b", 3), std::u16string(u"a\0b", 3)},
  }));
  CHECK(utf16_from_utf8(utf8) == utf16);
  CHECK(utf8_from_utf16(utf16) == utf8);
}

TEST_CASE("UTF-8 that is not well-formed is refused") {
  for (const char* text : {
           "\x80",              // continuation without a lead
           "\xC3",              // cut short
           "\xE2\x82",          // cut short
           "\xC0\xAF",          // overlong slash
           "\xE0\x80\xAF",      // overlong
           "\xF0\x80\x80\xAF",  // overlong
           "\xED\xA0\x80",      // high surrogate
           "\xED\xBF\xBF",      // low surrogate
           "\xF4\x90\x80\x80",  // above U+10FFFF
           "\xF5\x80\x80\x80",
           "\xFF",
           "\xC3(",
       }) {
    CAPTURE(text);
    CHECK_FALSE(utf16_from_utf8(text).has_value());
  }
}

TEST_CASE("lone surrogates are refused") {
  CHECK_FALSE(utf8_from_utf16(std::u16string(1, char16_t(0xD83D))).has_value());
  CHECK_FALSE(utf8_from_utf16(std::u16string(1, char16_t(0xDCBE))).has_value());
  CHECK_FALSE(utf8_from_utf16(std::u16string{char16_t(0xD83D), u'a'}).has_value());
  CHECK_FALSE(utf8_from_utf16(std::u16string{char16_t(0xDCBE), char16_t(0xD83D)}).has_value());
}

TEST_CASE("every code point survives both ways") {
  for (char32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 97) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::u16string text;
    if (c < 0x10000) {
      text.push_back(static_cast<char16_t>(c));
    } else {
      text.push_back(static_cast<char16_t>(0xD800 + ((c - 0x10000) >> 10)));
      text.push_back(static_cast<char16_t>(0xDC00 + ((c - 0x10000) & 0x3FF)));
    }
    const auto utf8 = utf8_from_utf16(text);
    REQUIRE(utf8.has_value());
    REQUIRE(utf16_from_utf8(*utf8) == text);
  }
}

TEST_CASE("WTF-8 keeps lone surrogates, is UTF-8 otherwise, and has one text for one name") {
  const std::u16string high(1, char16_t(0xD83D));
  const std::u16string low(1, char16_t(0xDCBE));
  CHECK(wtf8_from_utf16(high) == "\xED\xA0\xBD");
  CHECK(wtf8_from_utf16(low) == "\xED\xB2\xBE");
  CHECK(wtf8_from_utf16(high + low) == "\xF0\x9F\x92\xBE");
  CHECK(wtf8_from_utf16(u"a€") == *utf8_from_utf16(u"a€"));
  for (const std::u16string& name : {high, low, low + high, high + low, high + u"a" + low, high + high}) {
    CHECK(utf16_from_wtf8(wtf8_from_utf16(name)) == name);
  }
  CHECK_FALSE(utf16_from_wtf8("\xED\xA0\xBD\xED\xB2\xBE").has_value());
  CHECK_FALSE(utf16_from_wtf8("\xC0\xAF").has_value());
  CHECK_FALSE(utf16_from_wtf8("\xED\xA0").has_value());
}

TEST_CASE("UTF-16LE has the low byte first and an even length") {
  const Bytes bytes = utf16le(u"A€");
  CHECK(bytes == Bytes{std::byte{'A'}, std::byte{0}, std::byte{0xAC}, std::byte{0x20}});
  CHECK(from_utf16le(bytes) == u"A€");
  CHECK_FALSE(from_utf16le(ByteView(bytes).first(3)).has_value());
}
