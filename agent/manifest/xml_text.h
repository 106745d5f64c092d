// Text as XML 1.0 holds it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace driveprep::manifest {

// The position of the first byte that XML has no way to write: control characters but tab, line
// feed and carriage return, U+FFFE, U+FFFF, and what is not well-formed UTF-8.
std::optional<std::size_t> first_unwritable(std::string_view text);

// Throws kUsage "manifest-invalid-value", naming `element`, when there is such a byte.
void require_writable(std::string_view text, std::string_view element);

// For the content of elements and of attributes in double quotes. Line ends and tabs become
// character references: a parser would turn them into something else.
std::string_view xml_escape(char c);  // empty: the character stands for itself
// The position of the first byte from `from` on that does not; npos when there is none.
std::size_t first_escaped(std::string_view text, std::size_t from);

}  // namespace driveprep::manifest
