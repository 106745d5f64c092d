#include "agent/cli/commands.h"
#include "agent/cli/job_session.h"
#include "agent/cli/output.h"
#include "agent/job/job_directory.h"

namespace driveprep::cli {
namespace {

// What is in the directory need not be of our making: null then.
nlohmann::ordered_json name_of(const std::filesystem::path& job) {
  try {
    return job::load_job_spec(job::JobDirectory(job).job_file()).name;
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace

int run_init(const CommonOptions& options) {
  const std::vector<std::filesystem::path> written = job::init_job_directory(options.job);
  if (options.json) {
    nlohmann::ordered_json files = nlohmann::ordered_json::array();
    for (const auto& file : written) files.push_back(file.string());
    nlohmann::ordered_json document = result_head(job::JobDirectory(options.job), "");
    document["name"] = name_of(options.job);
    document["written"] = files;
    print_json(document);
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
