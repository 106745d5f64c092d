// Reads a drive back as its receiver will: partition table, BitLocker with the delivered recovery
// password, NTFS as a whole, the manifest on it, and every block the manifest names. Nothing the
// writer knew is used, and the page cache is bypassed where the file system allows it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/prepare/memory_share.h"
#include "agent/prepare/piece_checker.h"
#include "agent/report/drive_progress.h"
#include "base/guid.h"
#include "bitlocker/recovery_password.h"
#include "drive/block/file_device.h"

namespace driveprep::prepare {

// Throws unless a partition table on `disk`, sound or not, carries this GUID: kJournalMismatch
// "image-not-the-one-begun", which says nothing about the drive that was looked for. A read error
// stays what it is.
void require_disk(const block::FileDevice& disk, const Guid& expected);

struct VerifyRequest {
  const block::FileDevice& disk;  // opened for reading, by itself
  bitlocker::RecoveryPassword recovery_password;
  std::string drive_id;
  Guid volume;                       // the BitLocker volume that was made
  std::string manifest_md5;          // as announced; empty: not compared
  std::uint64_t expected_bytes = 0;  // for the progress
  std::uint64_t expected_files = 0;
  // Before the volume header is written: where the metadata copies are.
  std::optional<std::array<std::uint64_t, 3>> metadata_offsets;
  report::DriveProgress* progress = nullptr;
  const std::atomic<bool>* stop = nullptr;
  std::size_t buffers = MemoryShare{}.buffers;  // of 4 MiB
};

struct VerifyReport {
  std::uint64_t files = 0;
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;        // compared
  std::uint64_t empty_bytes = 0;  // of page blobs, in ranges that the manifest leaves out
  bool cache_bypassed = false;
  bool stopped = false;
  std::uint64_t mismatch_count = 0;
  std::uint64_t unreadable_count = 0;  // of them: blocks that could not be read
  std::vector<Mismatch> mismatches;    // the first hundred, by blob and offset
  // What is wrong with the file system itself: the blocks are not read then.
  std::optional<std::string> inconsistency;

  // Something was found that is not as it was written.
  bool differs() const { return inconsistency || mismatch_count > unreadable_count; }
  bool has_findings() const { return inconsistency || mismatch_count > 0; }
  bool ok() const { return !stopped && !has_findings(); }
};

// A drive that cannot be opened, or whose structures are wrong, throws (kinds kKey, kRefused,
// kVerification; kJournalMismatch "drive-other-volume" when it is not `volume`); blocks that differ
// are in the report.
VerifyReport verify_drive(VerifyRequest request);

// What a report with findings amounts to, kind kVerification: "file-system-inconsistent",
// "blocks-differ", or when nothing was read that differs "blocks-unreadable", which a cable can
// cause and which is no judgement.
Error verification_error(const std::string& drive_id, const VerifyReport& report);

}  // namespace driveprep::prepare
