#include "agent/plan/finding_log.h"

#include "agent/plan/build_plan.h"
#include "base/human_text.h"

namespace driveprep::plan {
namespace {

std::string remedy_for(const std::string& code) {
  static const std::map<std::string, std::string> kRemedies = {
      {"azure-files-unsupported", "Ship to block or page blobs, or leave the row out."},
      {"blob-name", "Rename these at the source, or leave them out."},
      {"destination-conflict", "Change the destination of one of the rows in dataset.csv."},
      {"file-too-large", "Split the file, or move it to the account another way."},
      {"ntfs-name", "Rename these, or set sources/illegalNames to \"substitute\" in job.json."},
      {"page-blob-length", "Ship it as BlockBlob, or pad it to a multiple of 512 bytes."},
      {"source-holds-secret",
       "Keep the key store and the password file outside the sources: move what is there, and name "
       "the new place as encryption/keyStore or bitlocker/passwordFile in job.json."},
      {"source-holds-target", "Move the job directory and the images out of the sources."},
      {"source-kind", "End BasePath in '/' exactly when it is a directory."},
      {"source-loop", "Remove the link, or set sources/symlinks to \"skip\" in job.json."},
      {"source-missing", "Correct BasePath in dataset.csv, or mount what is missing."},
      {"source-path-long",
       "Make a link to the source, or mount it, nearer to the root, and name that as BasePath."},
      {"source-special", "Remove them, or set sources/specials to \"skip\" in job.json."},
      {"source-symlink",
       "Set sources/symlinks to \"follow\" or \"skip\" in job.json, or remove the links."},
      {"source-unreadable",
       "Run as a user who may read them, give this user the right, or leave out what "
       "cannot be read below a BasePath with \"unreadable\": \"skip\" under sources in job.json."},
  };
  const auto found = kRemedies.find(code);
  return found == kRemedies.end() ? "" : found->second;
}

std::string listed(const std::string& summary, const std::vector<Finding>& problems,
                   std::uint64_t total) {
  if (total == 1) return problems[0].subject + " " + problems[0].detail;
  std::string text = summary + ":";
  for (const Finding& problem : problems) text += "\n  " + problem.subject + " " + problem.detail;
  if (total > problems.size()) {
    text += "\n  and " + human_count(total - problems.size()) + " more";
  }
  return text;
}

}  // namespace

PlanRefused::PlanRefused(ErrorKind kind, std::string code, const std::string& summary,
                         std::vector<Finding> problems, std::uint64_t total, std::string remedy)
    : Error(kind, std::move(code), listed(summary, problems, total), std::move(remedy)),
      problems_(std::move(problems)),
      total_(total) {}

FindingLog::FindingLog(journal::Database& database)
    : database_(database),
      insert_(database.prepare("INSERT INTO finding(code, subject, detail) VALUES(?,?,?)")) {}

void FindingLog::warn(const std::string& code, const std::string& subject,
                      const std::string& detail) {
  if (++counts_[code] > kMaxFindingsKept) return;
  insert_.bind(1, code).bind(2, subject).bind(3, detail).run();
}

void FindingLog::problem(const std::string& code, const std::string& subject,
                         const std::string& detail, ErrorKind kind) {
  ++problem_count_;
  all_source_ = all_source_ && kind == ErrorKind::kSource;
  one_code_ = one_code_ && (problems_.empty() || problems_.front().code == code);
  if (problems_.size() < kMaxProblemsListed) problems_.push_back({code, subject, detail});
}

void FindingLog::check() const {
  if (problem_count_ == 0) return;
  std::string remedies;
  std::map<std::string, bool> told;
  for (const Finding& problem : problems_) {
    const std::string remedy = remedy_for(problem.code);
    if (remedy.empty() || told[problem.code]) continue;
    told[problem.code] = true;
    remedies += (remedies.empty() ? "" : " ") + (one_code_ ? "" : problem.code + ": ") + remedy;
  }
  throw PlanRefused(all_source_ ? ErrorKind::kSource : ErrorKind::kUsage,
                    one_code_ ? problems_.front().code : "plan-refused",
                    human_count(problem_count_) + " things cannot be shipped as they are",
                    problems_, problem_count_, remedies);
}

void FindingLog::store_counts() {
  journal::Statement insert = database_.prepare("INSERT INTO finding_count VALUES(?,?)");
  for (const auto& [code, count] : counts_) {
    insert.bind(1, code).bind(2, static_cast<std::int64_t>(count)).run();
  }
}

}  // namespace driveprep::plan
