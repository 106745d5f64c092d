// Ctrl-C and friends. While drives are worked on, the first asks for a clean stop and the second
// ends the program at once; at any other time there is nothing to finish, and the first ends it.
#pragma once

#include <atomic>

namespace driveprep::cli {

// Blocks SIGINT, SIGTERM and SIGHUP in this and every later thread and starts the one that waits
// for them; ignores SIGPIPE. Call before any other thread exists.
void watch_stop_signals();

// While one exists, the first signal only sets stop_requested(). Whoever makes one looks at it, and
// shows that a stop was asked for.
class CleanStop {
 public:
  CleanStop();
  CleanStop(const CleanStop&) = delete;
  CleanStop& operator=(const CleanStop&) = delete;
  ~CleanStop();
};

const std::atomic<bool>& stop_requested();
// 130 or 143 after a signal, 0 before.
int stop_exit_status();

}  // namespace driveprep::cli
