// What the journal remembers, as values. None of them ever holds a secret.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/file_time.h"
#include "base/guid.h"

namespace driveprep::journal {

struct JobRecord {
  std::string id;
  std::string session;  // the directory on the drives, and the start of every blob list's Id
  Sha256 plan_digest{};
  Sha256 inputs_digest{};  // of the job files that the plan was made from
  FileTime created;
};

// planned: nothing written.  writing: the data phase runs, or ran when the program ended.
// incomplete: everything possible is on the drive, but sources failed.  verifying: being read back.
// finished: read back and equal.  failed: the drive itself could not be written or did not verify.
enum class DriveState { kPlanned, kWriting, kIncomplete, kVerifying, kFinished, kFailed };

// "planned", "writing", ...: the names that `status --json` prints.
std::string_view to_string(DriveState state);
std::optional<DriveState> drive_state_from(std::string_view name);

// What must be the same when a run continues on a drive.
struct DriveIdentity {
  std::string text;               // "file:<device>:<inode>:<size>", "disk:<serial>:<size>:<sector>"
  std::uint64_t size = 0;         // bytes
  std::uint32_t sector_size = 0;  // bytes
  friend bool operator==(const DriveIdentity&, const DriveIdentity&) = default;
};

// The volume that was made. Offsets count bytes; those of the volume count from its start.
struct VolumeFacts {
  Guid disk;
  Guid partition;
  std::uint64_t partition_offset = 0;
  std::uint64_t partition_length = 0;
  std::string cipher;  // "xts-aes-256", ...
  std::uint32_t cluster_size = 0;
  std::array<std::uint64_t, 3> metadata_offsets{};
  std::uint64_t header_backup_offset = 0;  // where the relocated first sectors lie
  std::uint64_t d_offset = 0;              // the auxiliary region "D" of Windows 8 and later
  Guid volume;                             // the volume identifier in the metadata
  Guid recovery_protector;
  std::uint64_t ntfs_serial = 0;
  std::string envelope_kid;  // the key that wraps the recovery password
  friend bool operator==(const VolumeFacts&, const VolumeFacts&) = default;
};

struct ManifestFacts {
  std::string md5_hex;  // 32 upper-case hexadecimal digits, as announced in the job
  std::uint64_t bytes = 0;
  friend bool operator==(const ManifestFacts&, const ManifestFacts&) = default;
};

struct Verification {
  FileTime when;
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;
  bool cache_bypassed = false;
  std::string result;  // "ok", or the code of the error that ended it
  friend bool operator==(const Verification&, const Verification&) = default;
};

struct Drive {
  std::string id;
  std::string target;  // the path as configured
  std::optional<DriveIdentity> identity;
  DriveState state = DriveState::kPlanned;
  std::string detail;  // for people: why it is in this state
  std::uint64_t planned_files = 0;
  std::uint64_t planned_bytes = 0;
  FileTime created;
  FileTime changed;  // of the state
  std::optional<VolumeFacts> volume;
  std::optional<ManifestFacts> manifest;
  std::optional<Verification> verification;
};

// A file of which a part is safe on the drive.
struct PartialFile {
  std::uint64_t number = 0;
  std::uint64_t valid_length = 0;  // bytes from the file's start
  friend bool operator==(const PartialFile&, const PartialFile&) = default;
};

// The last consistent state of a drive. It exists from the moment commit_checkpoint() returns;
// until it is applied, the redo file with `redo_digest` holds what is still missing on the drive.
struct Checkpoint {
  std::uint64_t number = 0;  // grows by any step
  Sha256 redo_digest{};
  bool applied = false;
  std::uint64_t next_file = 0;     // every file with a lower number is done or has failed
  std::uint64_t spool_length = 0;  // bytes of the hash spool that belong to this checkpoint
  std::uint64_t bytes_done = 0;
  std::uint64_t files_done = 0;
  std::optional<PartialFile> partial;
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

// A source that could not be copied.
struct Failure {
  std::uint64_t file = 0;  // its number in the plan of the drive
  std::string path;        // the source, as bytes of the file system
  std::string code;        // of the Error
  std::string message;
  friend bool operator==(const Failure&, const Failure&) = default;
};

// One line of the audit trail. hash = SHA-256 of the previous event's hash (32 zero bytes before
// the first) followed by the text
//   sequence LF ticks LF kind LF drive LF details
// with both numbers in decimal, so that a line cannot be changed, removed from the middle or put in
// without every later hash changing. That the end was cut off shows by the heads that are kept: see
// ChainCheck.
struct Event {
  std::int64_t sequence = 0;  // 1, 2, 3, ...
  FileTime time;
  std::string kind;     // "key-shown", "keys-revealed", "drive-finished", ...
  std::string drive;    // empty: the whole job
  std::string details;  // one JSON object
  Sha256 hash{};
};

}  // namespace driveprep::journal
