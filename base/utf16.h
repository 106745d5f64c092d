// Conversion between UTF-8 and UTF-16 without replacement characters: strict, or, for names that are
// no well-formed Unicode, as WTF-8 (https://simonsapin.github.io/wtf-8/).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace driveprep {

// nullopt for input that is not well-formed (overlong forms, surrogates, values above U+10FFFF).
std::optional<std::u16string> utf16_from_utf8(std::string_view text);
std::optional<std::string> utf8_from_utf16(std::u16string_view text);

// Every sequence of units has one WTF-8 text and no two share one: UTF-8, and a lone surrogate in three
// bytes. nullopt for what is not such a text.
std::string wtf8_from_utf16(std::u16string_view text);
std::optional<std::u16string> utf16_from_wtf8(std::string_view text);

// UTF-16LE bytes without a terminator, and back (an odd length is not well-formed).
Bytes utf16le(std::u16string_view text);
std::optional<std::u16string> from_utf16le(ByteView bytes);

}  // namespace driveprep
