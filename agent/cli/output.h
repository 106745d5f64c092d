// Printing: results on standard output, everything else on standard error.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "keywrap/key_error.h"

namespace driveprep::cli {

// One JSON document, indented, with a line feed. A terminal takes no harm from it: what would
// change its state or the direction of writing is escaped. What is no UTF-8 is replaced by U+FFFD.
void print_json(const nlohmann::ordered_json& document);
void print(const std::string& text);  // a line feed is added
// At the end: throws kWrite "output-failed" when standard output did not take everything.
void flush_output();
void note(const std::string& text);  // to standard error

// Columns padded to their widest cell; the first row is the heading.
std::string table(const std::vector<std::vector<std::string>>& rows);

// {"code", "kind", "exit", "message", "remedy"}.
// What a KeyError tells besides: condition, code in the words of the service, evidence.
nlohmann::ordered_json key_error_json(keywrap::Condition condition, keywrap::Profile profile,
                                      const keywrap::KeyEvidence& evidence);
nlohmann::ordered_json error_json(const Error& error);
// "error: ...", and the remedy on a line of its own.
void print_error(const Error& error);

// Text of names out of files: control characters and terminal escapes are made visible.
std::string printable(const std::string& text);
// The same for what has to stay on one line: line feeds are made visible, too.
std::string printable_line(const std::string& text);

}  // namespace driveprep::cli
