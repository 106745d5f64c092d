// What the planner has to say: problems, which stop it, and findings, which the operator should
// know. Problems are counted, and the first hundred kept; findings go into the plan's database.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/journal/sqlite.h"
#include "agent/plan/plan_store.h"
#include "base/error.h"

namespace driveprep::plan {

// Of one code that many are kept in the plan; all are counted.
inline constexpr std::uint64_t kMaxFindingsKept = 100'000;

class FindingLog {
 public:
  explicit FindingLog(journal::Database& database);

  void warn(const std::string& code, const std::string& subject, const std::string& detail);
  void problem(const std::string& code, const std::string& subject, const std::string& detail,
               ErrorKind kind = ErrorKind::kUsage);

  // Throws PlanRefused when there was a problem.
  void check() const;
  // Writes the counts of the findings.
  void store_counts();

 private:
  journal::Database& database_;
  journal::Statement insert_;
  std::map<std::string, std::uint64_t> counts_;
  std::vector<Finding> problems_;
  std::uint64_t problem_count_ = 0;
  bool all_source_ = true;
  bool one_code_ = true;
};

}  // namespace driveprep::plan
