// A plan while it is made: what the scan has found, in tables.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/journal/sqlite.h"
#include "agent/plan/capacity.h"
#include "agent/plan/finding_log.h"
#include "agent/plan/packer.h"
#include "agent/plan/plan_store.h"

namespace driveprep::plan {

// Files of at least this size are placed one by one, smaller ones together with their directory.
inline constexpr std::uint64_t kLargeFile = 16ULL << 20;

struct ScannedFile {
  std::int64_t directory = 0;
  std::int64_t source = 0;
  std::size_t dataset_row = 0;
  std::string name;                        // last component of the blob's name
  std::optional<std::string> source_name;  // when another one
  std::uint64_t size = 0;
  Times times;
  std::uint64_t blob_path_bytes = 0;       // of the whole blob path
};

class PlanDraft {
 public:
  // `file`: created; empty for a private temporary one. `geometry` decides what things cost.
  PlanDraft(const std::filesystem::path& file, std::string session, const Geometry& geometry,
            bool substitute_names);

  journal::Database& database() { return *database_; }
  FindingLog& log() { return log_; }
  DirectoryCosts& directory_costs() { return costs_; }
  const std::string& session() const { return session_; }

  // The directory `name` in `parent`, made when new. `times`, when given, stay with it unless it has
  // some already.
  std::int64_t directory(std::int64_t parent, const std::string& name,
                         const std::optional<Times>& times);
  std::int64_t add_source(const std::filesystem::path& directory);
  void add_file(const ScannedFile& file);

  std::uint64_t files() const { return files_; }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t file_cost() const { return file_cost_; }
  // Cost of the small files of a directory.
  std::uint64_t small_cost(std::int64_t directory) const { return small_cost_[directory - 1]; }

  // Ends the transaction, gives up the tables of the scan and hands over the connection.
  std::unique_ptr<journal::Database> finish();

 private:
  // The name on the drive; reports when it is not the blob's own. nullopt: the same.
  std::optional<std::u16string> judge_name(const std::string& name, std::u16string& stored,
                                           std::int64_t directory);

  std::unique_ptr<journal::Database> database_;
  FindingLog log_;
  std::string session_;
  Geometry geometry_;
  bool substitute_names_;
  std::unique_ptr<journal::Transaction> transaction_;
  journal::Statement find_directory_;
  journal::Statement insert_directory_;
  journal::Statement set_times_;
  journal::Statement insert_source_;
  journal::Statement insert_file_;
  DirectoryCosts costs_;
  std::vector<std::uint64_t> small_cost_;
  std::int64_t next_directory_ = 1;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t file_cost_ = 0;
};

}  // namespace driveprep::plan
