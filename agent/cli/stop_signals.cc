#include "agent/cli/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <string_view>
#include <thread>

namespace driveprep::cli {
namespace {

std::atomic<bool> stop{false};
std::atomic<int> exit_status{0};
std::atomic<int> clean_stops{0};

int status_of(int signal_number) { return signal_number == SIGTERM ? 143 : 130; }

void say(std::string_view text) {
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

void wait_for_signals(sigset_t signals) {
  for (;;) {
    int signal_number = 0;
    if (sigwait(&signals, &signal_number) != 0) continue;
    if (clean_stops == 0 || stop) {
      say(clean_stops == 0 ? "\ndriveprep: stopped\n"
                           : "\ndriveprep: stopped at once: what was begun is not finished; run the "
                             "same command again\n");
      ::_exit(status_of(signal_number));
    }
    exit_status = status_of(signal_number);
    stop = true;
  }
}

}  // namespace

void watch_stop_signals() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread(wait_for_signals, signals).detach();
}

CleanStop::CleanStop() { ++clean_stops; }
CleanStop::~CleanStop() { --clean_stops; }

const std::atomic<bool>& stop_requested() { return stop; }
int stop_exit_status() { return exit_status; }

}  // namespace driveprep::cli
