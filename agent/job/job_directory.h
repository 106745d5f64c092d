// A job is a directory. This is the only place that knows what lies where in it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/job/dataset.h"
#include "agent/job/driveset.h"
#include "agent/job/job_spec.h"

namespace driveprep::job {

class JobDirectory {
 public:
  using Path = std::filesystem::path;

  // `root` is made absolute; nothing is looked at.
  explicit JobDirectory(const Path& root);

  const Path& root() const { return root_; }
  Path job_file() const { return root_ / "job.json"; }
  Path dataset_file() const { return root_ / "dataset.csv"; }
  Path driveset_file() const { return root_ / "driveset.csv"; }
  Path journal_file() const { return root_ / "journal.db"; }
  Path plan_file() const { return root_ / "plan.db"; }
  Path drives() const { return root_ / "drives"; }
  Path drive(const std::string& id) const { return drives() / id; }
  Path manifest_copy(const std::string& id) const { return drive(id) / "DriveManifest.xml"; }
  Path drive_info(const std::string& id) const { return drive(id) / "DriveInfo.xml"; }
  Path envelope(const std::string& id) const { return drive(id) / "key.jwe.json"; }
  // Secrets of the customer's, wrapped: NAME.jwe.json.
  Path secrets() const { return root_ / "secrets"; }
  Path secret(const std::string& name) const { return secrets() / (name + ".jwe.json"); }
  Path requests() const { return root_ / "requests"; }
  Path logs() const { return root_ / "logs"; }

  // The directory is there and can be read: else "job-directory-missing",
  // "job-directory-unreadable".
  void check_readable() const;
  // A file of `bytes` can be created in it and made durable (it is removed again): else
  // "job-directory-read-only", "job-directory-full".
  void check_writable(std::uint64_t bytes = 1 << 20) const;

 private:
  Path root_;
};

struct Job {
  JobDirectory directory;
  JobSpec spec;
  Dataset dataset;
  Driveset driveset;
};

// Reads and checks everything in the directory; writes nothing.
Job load_job(const std::filesystem::path& root);

// For commands that need its keys only: job.json is read, dataset and driveset stay empty, and
// their files may be missing or wrong.
Job load_job_for_keys(const std::filesystem::path& root);

// Makes the directory if needed and writes the commented samples into it. Existing files are left
// as they are. Returns the files written.
std::vector<std::filesystem::path> init_job_directory(const std::filesystem::path& root);

}  // namespace driveprep::job
