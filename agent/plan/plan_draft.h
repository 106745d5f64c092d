// A plan while it is made: what the scan has found, in tables.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "agent/journal/sqlite.h"
#include "agent/plan/capacity.h"
#include "agent/plan/finding_log.h"
#include "agent/plan/packer.h"
#include "agent/plan/plan_store.h"

namespace driveprep::plan {

// Files of at least this size are placed one by one, smaller ones together with their directory.
inline constexpr std::uint64_t kLargeFile = 16ULL << 20;

// Files from this size on are written after the smaller ones of their directory.
inline constexpr std::uint64_t kWrittenLast = 1ULL << 20;

struct ScannedFile {
  std::int64_t directory = 0;
  std::int64_t source = 0;
  std::size_t dataset_row = 0;
  std::string name;                        // last component of the blob's name
  std::optional<std::string> source_name;  // when another one
  std::uint64_t size = 0;
  Times times;
  std::uint64_t blob_path_bytes = 0;  // of the whole blob path
};

// The order of writing within a directory.
inline bool written_before(const ScannedFile& a, const ScannedFile& b) {
  const bool a_last = a.size >= kWrittenLast;
  const bool b_last = b.size >= kWrittenLast;
  return a_last != b_last ? b_last : a.name < b.name;
}

class PlanDraft {
 public:
  // `file`: created; empty for a private temporary one. `geometry` decides what things cost.
  PlanDraft(const std::filesystem::path& file, std::string session, const Geometry& geometry,
            bool substitute_names);

  journal::Database& database() { return *database_; }
  FindingLog& log() { return log_; }
  DirectoryCosts& directory_costs() { return costs_; }
  const std::string& session() const { return session_; }

  // The directory `name` in `parent`, made when new. `times`, when given, stay with it unless it
  // has some already.
  std::int64_t directory(std::int64_t parent, const std::string& name,
                         const std::optional<Times>& times);
  std::int64_t add_source(const std::filesystem::path& directory);
  void add_file(const ScannedFile& file);
  // Makes a subdirectory's name known while the files of its parent are added.
  void note_directory(std::int64_t parent, const std::string& name);

  // Files came in the order of writing: they need no sorting.
  bool in_order() const { return in_order_; }
  // false: no two names of a directory are the same to Windows, and no two files have one
  // destination. true: that has to be looked into.
  bool names_may_collide() const { return names_may_collide_; }
  // For what cannot be seen while the files are added: two sources in one place.
  void expect_collisions() { names_may_collide_ = true; }

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

  void follow_names(std::int64_t directory, std::int64_t fold);

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
  bool in_order_ = true;
  bool names_may_collide_ = false;
  ScannedFile last_file_;
  // Folded names of the directory that files are being added to.
  std::unordered_set<std::int64_t> names_here_;
  std::int64_t names_directory_ = 0;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t file_cost_ = 0;
};

}  // namespace driveprep::plan
