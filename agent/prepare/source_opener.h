// Opens the sources of a data set as the plan saw them.
//
// Unless the job follows symbolic links, none is followed below the base path of a row: one that
// took the place of a file or directory after the plan would ship something that nobody agreed to.
// The base path itself is the operator's, links included. Where the kernel cannot be told so
// (openat2, Linux 5.6), only the last part of the path is guarded.
#pragma once

#include <cstddef>
#include <optional>

#include "agent/job/dataset.h"
#include "agent/plan/plan_store.h"
#include "base/unique_fd.h"

namespace driveprep::prepare {

class SourceOpener {
 public:
  // `dataset` must outlive this.
  SourceOpener(const job::Dataset& dataset, bool follow_links);

  // For reading, not blocking; invalid with errno set when that fails: ELOOP when it would have
  // taken a link that must not be followed. One system call, but for the first file of a row.
  UniqueFd open(const plan::FileItem& item);
  // Whether ELOOP from open() means such a link.
  bool refuses_links() const { return !follow_links_; }

 private:
  // -1 with errno set when the base path cannot be opened.
  int base_of(std::size_t row);

  const job::Dataset& dataset_;
  bool follow_links_;
  bool whole_path_;  // the kernel has openat2
  std::optional<std::size_t> base_row_;
  UniqueFd base_;
};

}  // namespace driveprep::prepare
