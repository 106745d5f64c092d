#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/job/job_directory.h"

namespace driveprep::cli {

int run_init(const CommonOptions& options) {
  const std::vector<std::filesystem::path> written = job::init_job_directory(options.job);
  if (options.json) {
    nlohmann::ordered_json files = nlohmann::ordered_json::array();
    for (const auto& file : written) files.push_back(file.string());
    print_json({{"schema", 1}, {"job", options.job}, {"written", files}});
    return 0;
  }
  if (written.empty()) {
    print("Nothing to do: " + options.job + " has all its files already.");
    return 0;
  }
  for (const auto& file : written) print("wrote " + file.string());
  print("Next: edit these files, then run  driveprep plan " + options.job);
  return 0;
}

}  // namespace driveprep::cli
