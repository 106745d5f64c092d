// A question to the operator, on the terminal.
#pragma once

#include <optional>
#include <string>

namespace driveprep::cli {

// Whether there is somebody to ask: an answer out of a pipe is no consent.
bool can_ask();

// What was typed before a question is no answer to it: call this before the question shows.
void forget_typed_ahead();

// The next line of the terminal; nullopt when it is empty, the terminal is closed (Ctrl-D), or a
// stop is asked for. Make a CleanStop before the question shows: the answer may be Ctrl-C.
std::optional<std::string> read_answer();

}  // namespace driveprep::cli
