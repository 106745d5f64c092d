// Walks the sources of a data set and puts what it finds into a draft.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/job/job_directory.h"
#include "agent/plan/build_plan.h"
#include "agent/plan/plan_draft.h"
#include "base/unique_fd.h"

struct statx;

namespace driveprep::plan {

class SourceScanner {
 public:
  SourceScanner(const job::Job& job, const std::vector<DriveInput>& drives, PlanDraft& draft,
                const ScanProgress& progress);

  // Every row of the data set. What is wrong goes to the draft's log.
  void scan();

 private:
  using Path = std::filesystem::path;
  // A directory being walked: its descriptor, where it is, and where its files go.
  struct Level {
    int fd;
    const Path& path;
    std::string prefix;  // blob name up to here, without the container; empty or "a/b/"
    std::int64_t directory;
    std::int64_t source;
    std::vector<std::string> below;    // subdirectories, entered after the files
    std::vector<ScannedFile> pending;  // files, to be added in their order
  };
  using FileKey = std::pair<std::uint64_t, std::uint64_t>;

  void scan_row();
  void scan_single_file(const job::DatasetRow& row);
  void scan_directory(const job::DatasetRow& row);
  void walk(UniqueFd fd, const Path& path, const std::string& prefix, std::int64_t directory);
  void entry(Level& level, const std::string& name);
  void enter(const Level& level, const std::string& name);
  void file(Level& level, const std::string& name, const std::string& blob_name,
            const struct statx& facts);
  void flush(Level& level);
  bool readable(const Level& level, const std::string& name, bool is_directory);
  bool size_fits(const Level& level, const std::string& name, std::uint64_t size);
  bool blob_name_fits(const std::string& blob_name);
  bool source_path_fits(const Level& level, const std::string& name);
  // The directories of the destination that no source stands for.
  std::int64_t destination(const std::string& prefix, const std::optional<Times>& times);
  // What must not be met in a source: which problem that is, and what to say of it.
  struct Protected {
    std::string code;
    std::string detail;
  };
  void protect(const Path& path, const Protected& why);
  // With everything below it, so that a source inside it, or a second name of a file of it, is met.
  void protect_tree(const Path& path, const Protected& why);
  void protect_targets(const std::vector<DriveInput>& drives);
  void protect_secrets();
  bool is_protected(const struct statx& facts, const Path& directory, const std::string& name = {});
  std::string row_place() const;  // "dataset.csv:7: BasePath /srv/data"

  const job::Job& job_;
  PlanDraft& draft_;
  FindingLog& log_;
  const ScanProgress& progress_;
  const job::SourcePolicy& policy_;
  bool may_read_all_;
  std::map<FileKey, Protected> protected_;
  std::size_t row_index_ = 0;
  std::int64_t container_directory_ = 0;
  std::set<std::string> containers_;  // of the rows so far
  std::vector<FileKey> ancestors_;
};

}  // namespace driveprep::plan
