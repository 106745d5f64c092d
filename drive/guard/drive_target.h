// From what a job names as a drive to the only object through which it can be written, be it an
// image file or a disk.
//
//   Candidate (facts) -- vet(consent) --> VettedDrive -- arm() --> ArmedDrive
//
// Reason codes: image_policy.h and disk_policy.h; of opening a disk: disk_opener.h. arm() adds
//   image-changed  busy  between vetting and arming identity or contents of the image changed
//   disk-changed   busy  the same of a disk: another one is at its place, or its contents differ
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "drive/block/file_device.h"
#include "drive/guard/disk_policy.h"
#include "drive/guard/image_facts.h"
#include "drive/guard/machine.h"
#include "drive/guard/verdict.h"

namespace driveprep::guard {

// What is known of a target that may become a drive. Nothing speaks for it yet.
class Candidate {
 public:
  Candidate(ImageFacts image) : facts_(std::move(image)) {}  // NOLINT: facts are a candidate
  // `machine` must outlive the candidate and what is made of it.
  Candidate(DiskCase disk, const Machine& machine) : facts_(std::move(disk)), machine_(&machine) {}

  bool is_disk() const { return std::holds_alternative<DiskCase>(facts_); }
  const ImageFacts& image() const { return std::get<ImageFacts>(facts_); }
  const DiskCase& disk() const { return std::get<DiskCase>(facts_); }
  const Machine& machine() const { return *machine_; }

  const std::string& drive_id() const;
  std::string name() const;  // "/srv/disk0.img", "/dev/sdb"
  // Whether size() and sector() can be asked for.
  bool measured() const;
  std::uint64_t size() const;  // bytes
  SectorSize sector() const;
  // Of a target that nothing but consent speaks against.
  const inventory::Contents& contents() const;
  // What makes it *this* target: "file:<device>:<inode>:<size>", "disk:<serial>:<size>:<sector>".
  std::string identity() const;
  // The same with what is on it, and of a disk how it is connected just now: equal for a target to
  // which nothing has happened. For the plan's digest; "" of an image.
  std::string appearance() const;

  Verdict judge(const Consent& consent) const;

 private:
  std::variant<ImageFacts, DiskCase> facts_;
  const Machine* machine_ = nullptr;  // of a disk
};

// A target that was judged and allowed. Made by vet() only.
class VettedDrive {
 public:
  const Candidate& candidate() const { return candidate_; }
  const Consent& consent() const { return consent_; }
  // What will be destroyed, in words; "empty" when nothing.
  const std::string& destroys() const { return candidate_.contents().description; }
  // Whether an earlier run's work is continued (nothing is to be wiped when the table is there).
  bool continues() const { return consent_.begun.has_value(); }

 private:
  friend VettedDrive vet(Candidate candidate, Consent consent);
  VettedDrive(Candidate candidate, Consent consent)
      : candidate_(std::move(candidate)), consent_(std::move(consent)) {}

  Candidate candidate_;
  Consent consent_;
};

// Throws the verdict's first reason (the message names the others) unless it is allowed.
VettedDrive vet(Candidate candidate, Consent consent);

// The only thing that can be written to. Holds the target, and its lock, until it is destroyed.
class ArmedDrive {
 public:
  block::FileDevice& device() { return *device_; }
  const std::string& identity() const { return identity_; }
  const std::string& drive_id() const { return candidate_.drive_id(); }
  bool is_disk() const { return candidate_.is_disk(); }
  const Candidate& candidate() const { return candidate_; }

  // The same target once more, for reading it back past the page cache. Throws kBusy
  // "disk-changed" when another disk answers.
  std::unique_ptr<block::FileDevice> open_for_reading() const;

  // The kernel reads the table that was written; nothing of an image. Throws kBusy
  // "table-not-read".
  void show_table_to_kernel();

  // What the drive told of its health before the first write; nullopt of an image, and of a disk
  // that tells nothing.
  std::optional<inventory::Health> health_when_armed() const;

  // What the drive tells of its health now; nullopt of an image, and of a disk that tells nothing
  // or cannot be asked.
  std::optional<inventory::Health> health() const;
  // How hot it is by the kernel's own sensor; nullopt of an image, and where there is none.
  std::optional<int> kernel_celsius() const;

 private:
  friend ArmedDrive arm(const VettedDrive& vetted);
  ArmedDrive(std::unique_ptr<block::FileDevice> device, Candidate candidate)
      : device_(std::move(device)),
        candidate_(std::move(candidate)),
        identity_(candidate_.identity()) {}
  static ArmedDrive of_image(const ImageFacts& then, const Consent& consent);
  static ArmedDrive of_disk(const Candidate& then, const Consent& consent);

  std::unique_ptr<block::FileDevice> device_;
  Candidate candidate_;  // as it was found when it was armed
  std::string identity_;
};

// Opens the target for writing and alone (never following a link, with no fallback), takes the
// lock, and looks again: identity, facts and contents must be what was vetted. Throws kBusy
// "image-changed" or "disk-changed", what opening throws, or what the policy now finds.
ArmedDrive arm(const VettedDrive& vetted);

// A target that was written earlier, for reading alone, under a shared lock.
std::unique_ptr<block::FileDevice> open_for_reading(const Candidate& candidate);

}  // namespace driveprep::guard
