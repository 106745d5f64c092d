// JOB/audit-head.json (0600): how far the chain of events had come, kept outside the journal. It is
// written after each append, so the chain may be longer than it tells, but never shorter: an end
// that was cut off, and an older journal that was put back, show.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"

namespace driveprep::journal {

// A place in the chain: the hash of event number `events`; 32 zero bytes before the first.
struct ChainHead {
  std::int64_t events = 0;
  Sha256 hash{};
  friend bool operator==(const ChainHead&, const ChainHead&) = default;
};

struct KeptHead {
  ChainHead head;
  // What has happened once and for all, by name; none is ever taken away.
  std::vector<std::string> marks;
};

// nullopt when there is none. Throws FormatError when the file is no such thing.
std::optional<KeptHead> load_kept_head(const std::filesystem::path& job_directory);
// Durable when it returns. kWrite "job-directory-full", "job-directory-read-only", ...
void save_kept_head(const std::filesystem::path& job_directory, const KeptHead& kept);

}  // namespace driveprep::journal
