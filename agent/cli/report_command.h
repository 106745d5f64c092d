// driveprep report: checks signed records, and tells the key that this user signs with.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace driveprep::cli {

struct ReportOptions {
  std::vector<std::string> files;  // to be checked
  std::string key;                 // file of the public key that must have signed them; or empty
  bool public_key = false;
  bool json = false;
};

int run_report(const ReportOptions& options);

// Adds the command to the parser; when it is named it is put into `command`.
void add_report_command(CLI::App& app, std::function<int()>& command);

}  // namespace driveprep::cli
