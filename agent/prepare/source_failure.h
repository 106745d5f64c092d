// Why a source file cannot go on the drive: the failure of that file and of nothing else.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "agent/plan/plan_store.h"
#include "agent/prepare/source_opener.h"

namespace driveprep::prepare {

struct SourceFailure {
  std::string code;     // "source-missing", "source-unreadable", "source-changed"
  std::string message;  // names the file and the cause
};

// `how` goes on after the file's path: "was modified while it was read".
SourceFailure source_changed(const plan::FileItem& item, const std::string& how);
// `error`: errno.
SourceFailure source_unreadable(const plan::FileItem& item, int error);
// `opener` could not open it, and errno was `error`.
SourceFailure source_not_opened(const plan::FileItem& item, const SourceOpener& opener, int error);

// What differs between the file as it was planned and as it is, if anything.
std::optional<SourceFailure> compare_with_plan(const plan::FileItem& item,
                                               const struct stat& status);
// What differs between the file that was opened and the one that has been read, if anything.
std::optional<SourceFailure> compare_after_reading(const plan::FileItem& item,
                                                   const struct stat& before, int fd);

}  // namespace driveprep::prepare
