#include "agent/cli/terminal_answer.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include "agent/cli/stop_signals.h"

namespace driveprep::cli {
namespace {

constexpr int kLookForStop = 100;  // milliseconds

}  // namespace

bool can_ask() { return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0; }

void forget_typed_ahead() { ::tcflush(STDIN_FILENO, TCIFLUSH); }

std::optional<std::string> read_answer() {
  std::string answer;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  while (!stop_requested()) {
    if (::poll(&input, 1, kLookForStop) <= 0) continue;
    char c = 0;
    if (::read(STDIN_FILENO, &c, 1) != 1 || c == '\n') break;
    answer += c;
  }
  if (answer.empty() || stop_requested()) return std::nullopt;
  return answer;
}

}  // namespace driveprep::cli
