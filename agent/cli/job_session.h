// What most commands begin with: the job's files, its journal, its log.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include <spdlog/logger.h>

#include "agent/job/job_directory.h"
#include "agent/journal/journal.h"
#include "base/digest.h"

namespace driveprep::cli {

// "driveprep 0.1.0".
std::string program_name();

// {"schema", "job": the path of its directory, "name"}: how every result of a command begins.
nlohmann::ordered_json result_head(const job::JobDirectory& directory, const std::string& name);

// Over everything that decides what is written: the two CSV files, session, encryption, policies.
Sha256 inputs_digest(const job::Job& job);

// JOB/logs/<command>-<UTC time>.log.
std::shared_ptr<spdlog::logger> open_log(const job::JobDirectory& directory,
                                         const std::string& command);

// The journal of a job that has been begun; kUsage "job-not-begun" when there is none.
std::unique_ptr<journal::Journal> open_begun(const job::JobDirectory& directory);

}  // namespace driveprep::cli
