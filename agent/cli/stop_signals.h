// Ctrl-C and friends: the first asks for a clean stop, the second ends the program at once.
#pragma once

#include <atomic>

namespace driveprep::cli {

// Blocks SIGINT, SIGTERM and SIGHUP in this and every later thread and starts the one that waits for
// them; ignores SIGPIPE. Call before any other thread exists.
void watch_stop_signals();

// Set by the first signal.
const std::atomic<bool>& stop_requested();
// 130 or 143 after a signal, 0 before.
int stop_exit_status();

}  // namespace driveprep::cli
