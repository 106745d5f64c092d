// The commands, one file each. A command takes its options as values, prints results on standard
// output and returns the exit status; what goes wrong it throws as an Error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/cli/disk_choice.h"

namespace driveprep::cli {

struct CommonOptions {
  std::string job;    // the job directory
  bool json = false;  // results as one JSON document
};

struct PlanOptions : CommonOptions {
  bool all = false;                 // list every file
  std::vector<std::string> accept;  // "REASON:ID"
};

struct PrepareOptions : CommonOptions {
  std::vector<std::string> confirm;  // drive ids whose contents may be destroyed
  std::string plan_digest;           // only if the plan has this digest
  std::vector<std::string> accept;   // "REASON:ID"
};

struct VerifyOptions : CommonOptions {
  std::vector<std::string> drives;  // empty: all that have been written
};

struct DrivesOptions {
  bool json = false;
  bool all = false;                    // also what can never be a drive of a job
  std::optional<std::string> explain;  // only this one, with everything that is known
};

struct WipeOptions : DiskOptions {
  std::string method;  // "overwrite", "discard", "metadata"; empty: what suits the disk
  std::string record;  // where the record goes; empty: a name of its own, here
};

struct RequestOptions : CommonOptions {
  bool reveal_keys = false;
};

int run_drives(const DrivesOptions& options);
int run_wipe(const WipeOptions& options);
int run_init(const CommonOptions& options);
int run_plan(const PlanOptions& options);
int run_prepare(const PrepareOptions& options);
int run_verify(const VerifyOptions& options);
int run_status(const CommonOptions& options);
int run_request(const RequestOptions& options);

}  // namespace driveprep::cli
