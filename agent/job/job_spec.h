// job.json: what the job is called, where it goes, who gets the drives back, and how they are
// encrypted. Members are described in docs/job-directory.md and samples/job.schema.json.
//
// Parsing is strict: an unknown or repeated member, a wrong type or a bad value is an Error of kind
// kUsage that names the file and the JSON pointer. Comments (// and /* */) are allowed.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/job/encryption_spec.h"
#include "agent/job/shipping.h"

namespace driveprep::job {

enum class Cipher { kXtsAes256, kXtsAes128, kAesCbc128, kAesCbc256 };
std::string_view to_string(Cipher cipher);

struct BitLocker {
  Cipher cipher = Cipher::kXtsAes256;
  bool external_key = false;                           // also make an external key (BEK) protector
  std::optional<std::filesystem::path> password_file;  // also a password protector; absolute
  std::string description;                             // shown by Windows; empty: a default
};

// What to do with things that cannot travel as they are.
struct SourcePolicy {
  // A name that NTFS cannot hold, or two names that differ only in case.
  enum class IllegalNames { kSubstitute, kRefuse };
  enum class Symlinks { kRefuse, kSkip, kFollow };
  // FIFOs, sockets, devices.
  enum class Specials { kRefuse, kSkip };
  // Files this user may not read. kReport plans them; copying then reports them by name and the
  // drive ends incomplete.
  enum class Unreadable { kReport, kRefuse, kSkip };

  IllegalNames illegal_names = IllegalNames::kSubstitute;
  Symlinks symlinks = Symlinks::kRefuse;
  Specials specials = Specials::kRefuse;
  Unreadable unreadable = Unreadable::kReport;
};

struct JobSpec {
  std::string name;
  // Files lie below a directory of this name on every drive: 3-30 of letters, digits, '_', '-',
  // '#'.
  std::string session;
  std::string location;
  std::string storage_account_id;
  std::string storage_account_location;  // may be empty
  ReturnAddress return_address;
  std::optional<ReturnShipping> return_shipping;
  Contact contact;
  std::map<std::string, std::string> tags;
  std::string diagnostics_path = "waimportexport";
  std::string log_level = "Error";  // "Error" or "Verbose"
  bool backup_drive_manifest = false;
  Encryption encryption;
  BitLocker bitlocker;
  SourcePolicy sources;
};

// JSON pointers of every member that the parser knows and met a place for ("/bitlocker/cipher").
using MemberSet = std::set<std::string>;

// `text` is the content of `file`; relative paths in it start at the directory of `file`.
// `known`, when given, receives the members the parser looked for: the schema test compares it.
JobSpec parse_job_spec(std::string_view text, const std::filesystem::path& file,
                       MemberSet* known = nullptr);
JobSpec load_job_spec(const std::filesystem::path& file);

// nullopt when `session` may name a session; else the reason ("has 2 characters; 3 to 30 are ...").
std::optional<std::string> check_session_id(std::string_view session);

}  // namespace driveprep::job
