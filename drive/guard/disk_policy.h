// May this disk be written? From facts to reasons, and nothing else: a pure function.
//
// Reason codes, with the kind of the Error; "accept" marks those that the operator can accept for
// one drive by name. There is no way to accept all.
//   disk-fact-unreadable     refused  something that must be known could not be read
//   disk-not-whole           refused  a partition
//   disk-not-a-drive         refused  optical, floppy, RAM disk, mapping, array, ...
//   disk-hidden              refused
//   disk-system              refused  the running system or swap is on it
//   disk-locked              busy     another run works with it
//   disk-holds-source        refused  what shall be copied is on it
//   disk-holds-job           refused  the job directory, the key store or the program is on it
//   disk-mounted             busy     something of it is mounted
//   disk-held                busy     a mapping or an array is made of it
//   disk-member       accept refused  a part of LVM, RAID, ZFS, a cache, a pool, ...
//   disk-read-only           refused
//   disk-password-locked     refused  by an ATA password: it reads and writes nothing
//   disk-zoned               refused  host-managed zones
//   disk-host-aware   accept refused  host-aware zones
//   disk-no-medium           refused  size 0
//   disk-removable    accept refused  the medium can be changed under the name
//   disk-too-small           refused
//   disk-too-large    accept refused  over 16.1 TB
//   disk-sector-size         refused  neither 512 nor 4096 bytes
//   disk-4kn          accept refused  4096-byte sectors, for an import job
//   disk-misaligned          refused
//   disk-geometry-altered    refused  the bridge shows another size than the disk has
//   disk-failing             health   SMART says so, and something is to be kept on it
//   disk-bad-sectors  accept health   reallocated, pending or uncorrectable sectors
//   disk-serial-contradictory refused reliable sources differ
//   disk-serial-duplicate    refused  another attached disk says the same
//   disk-serial-weak  accept refused  only the bridge tells one, or nobody does
//   disk-not-in-job          refused  its serial number is not the one that the job names
//   disk-already-prepared accept refused  finished for another job
//   disk-not-empty           refused  it holds something and FormatOption is not Format
//   disk-not-confirmed       not-confirmed
//   disk-wrong-confirmation  not-confirmed  another drive was confirmed
//   disk-not-the-one-begun   journal-mismatch  the journal continues another disk
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "drive/guard/verdict.h"
#include "drive/inventory/disk_facts.h"

namespace driveprep::guard {

inline constexpr std::uint64_t kSmallestDisk = 64 * kMiB;
// Drives of "16 TB" have 0.9 GB more than that.
inline constexpr std::uint64_t kLargestDisk = 16'100'000'000'000;

// The reasons that can be accepted, each by its own name.
inline constexpr std::array<std::string_view, 8> kAcceptable = {
    "disk-member", "disk-host-aware",  "disk-removable",   "disk-too-large",
    "disk-4kn",    "disk-bad-sectors", "disk-serial-weak", "disk-already-prepared"};
bool is_acceptable(std::string_view code);

// Something of this run that must not be overwritten: "job directory", and where it is.
struct Belonging {
  std::string what;
  std::filesystem::path path;
};

// What is wanted of the disk.
struct DiskRequest {
  std::string written;             // how the job names it, for messages: "serial:WD-1"
  std::string serial;              // how the disk is found; or "", then by its
  std::filesystem::path path;      // device node, or a link to it
  std::string drive_id;            // what the job calls the drive; of a disk its serial number
  bool import_job = true;          // the service takes 512-byte sectors only
  bool wiping = false;             // nothing is kept on it: it may be small, slow and failing
  std::set<std::string> accepted;  // reason codes
  std::vector<Belonging> sources;  // what is read
  std::vector<Belonging> belongings;
};

struct DiskCase {
  DiskRequest request;
  inventory::DiskFacts disk;
  Fact<inventory::Contents> contents;
  Fact<std::string> disk_guid;  // of a valid GPT on it, lower case; "" when there is none
  // Other attached disks with the same serial number, by their kernel names.
  Fact<std::vector<std::string>> same_serial;
  // What of this run lies on it: "source /data", and "job directory /jobs/a".
  Fact<std::vector<std::string>> sources;
  Fact<std::vector<std::string>> belongings;
  Fact<std::string> finished_for;  // the job that this drive was finished for, "" for none
};

// What makes the disk *this* disk: "disk:<serial>:<bytes>:<logical sector>", with the drive id for
// a serial number where the disk tells none that could be believed.
std::string identity_text(const DiskCase& disk);

// All reasons against the disk. `consent.confirmed_id`: the drive id.
Verdict judge(const DiskCase& disk, const Consent& consent);

// What lies behind the end that it shows (HPA): nobody reads or writes it. nullopt: it does not
// tell.
std::optional<std::uint64_t> hidden_bytes(const inventory::DiskFacts& disk);

// What the operator should know of a disk that is allowed.
std::vector<std::string> warnings_of(const DiskCase& disk);

}  // namespace driveprep::guard
