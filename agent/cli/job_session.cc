#include "agent/cli/job_session.h"

#include <spdlog/sinks/basic_file_sink.h>

#include <algorithm>

#include "base/directories.h"
#include "base/posix.h"
#include "base/system_error.h"
#include "base/units.h"

namespace driveprep::cli {
namespace {

constexpr std::uint64_t kCsvLimit = 16 * kMiB;

}  // namespace

std::string program_name() { return "driveprep " DRIVEPREP_VERSION; }

nlohmann::ordered_json result_head(const job::JobDirectory& directory, const std::string& name) {
  return {{"schema", 1}, {"job", directory.root().string()}, {"name", name}};
}

Sha256 inputs_digest(const job::Job& job) {
  std::string text = posix::read_file(job.directory.dataset_file(), kCsvLimit, ErrorKind::kUsage);
  text += '\0';
  text += posix::read_file(job.directory.driveset_file(), kCsvLimit, ErrorKind::kUsage);
  text += '\0';
  text += job.spec.session;
  text += '\0';
  text += job::to_string(job.spec.bitlocker.cipher);
  text += job.spec.bitlocker.external_key ? "+bek" : "";
  text += job.spec.bitlocker.password_file ? "+password" : "";
  const job::SourcePolicy& sources = job.spec.sources;
  for (const int choice :
       {static_cast<int>(sources.illegal_names), static_cast<int>(sources.symlinks),
        static_cast<int>(sources.specials), static_cast<int>(sources.unreadable)}) {
    text += std::to_string(choice);
  }
  return sha256(as_bytes(text));
}

std::shared_ptr<spdlog::logger> open_log(const job::JobDirectory& directory,
                                         const std::string& command) {
  in_job_directory([&] { create_directories_durably(directory.logs(), ErrorKind::kWrite); });
  std::string time = FileTime::now().iso8601();
  std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
  const std::filesystem::path file = directory.logs() / (command + "-" + time + ".log");
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
    auto logger = std::make_shared<spdlog::logger>(command, std::move(sink));
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    logger->flush_on(spdlog::level::info);
    return logger;
  } catch (const spdlog::spdlog_ex& failure) {
    throw Error(ErrorKind::kWrite, "log-file", failure.what(),
                "Make the job directory writable and free some space on it.");
  }
}

std::unique_ptr<journal::Journal> open_begun(const job::JobDirectory& directory) {
  directory.check_readable();
  std::unique_ptr<journal::Journal> journal = journal::Journal::open_existing(directory.root());
  if (!journal || !journal->job()) {
    throw Error(ErrorKind::kUsage, "job-not-begun",
                "nothing has been prepared yet in " + directory.root().string(),
                "Run driveprep prepare " + directory.root().string() + " first.");
  }
  return journal;
}

}  // namespace driveprep::cli
