// May this target be written? The words of the answer, the same for image files and disks.
//
//   facts (gathered without writing) -> judge (a pure function) -> Verdict -> vet -> Vetted... ->
//   arm
//
// A fact that could not be read is kept with the reason why, and refuses. Reason codes are stable.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/guid.h"
#include "drive/inventory/fact.h"

namespace driveprep::guard {

using inventory::Fact;

// One reason against a target.
struct Reason {
  std::string code;  // stable: "image-too-small", "image-busy", ...
  ErrorKind kind = ErrorKind::kRefused;
  std::string message;
  std::string remedy;
};

struct Verdict {
  std::vector<Reason> reasons;  // the worst first; empty: allowed

  bool allowed() const { return reasons.empty(); }
  bool has(const std::string& code) const;
  // Throws the first reason as an Error that tells the others too; returns when allowed.
  void throw_if_refused() const;
};

// What has been agreed to for one target. A value: asking the operator is the caller's business.
struct Consent {
  bool format = false;  // FormatOption is Format
  bool silent = false;  // SilentOrPromptOnFormat is SilentMode
  // The drive id as typed by the operator or given by --confirm for this target.
  std::optional<std::string> confirmed_id;

  // From the journal of this job: the target was armed before, with consent, and its preparation
  // is being continued.
  struct Begun {
    std::string identity;           // as recorded by an earlier run: ImageIdentity::to_string()
    std::optional<Guid> disk_guid;  // once the partition table was written
  };
  std::optional<Begun> begun;

  // A drive that this job had read back once is made anew: what goes with it, in words. Needs the
  // same agreement as an image that holds something, even if this image is empty: the drive's
  // recovery password is replaced. Together with `begun` it would contradict; this one counts.
  std::optional<std::string> replaces = std::nullopt;

  // A disk that was begun is known by the table that was written to it. Until then nothing on it is
  // ours, and what has been put there since nobody has agreed to lose.
  bool continues_disk() const { return begun && begun->disk_guid && !replaces; }
};

}  // namespace driveprep::guard
