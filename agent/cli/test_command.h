// driveprep test SERIAL: is a drive what it says, before anything is entrusted to it?
#pragma once

#include <functional>

#include "agent/cli/disk_choice.h"

namespace CLI {
class App;
}

namespace driveprep::cli {

struct TestOptions : DiskOptions {
  bool full = false;  // every byte
};

int run_test(const TestOptions& options);

// Adds the command to the parser; when it is named it is put into `command`.
void add_test_command(CLI::App& app, std::function<int()>& command);

}  // namespace driveprep::cli
