// A job directory for one test, and what is expected of an Error.
#pragma once

#include "tests/support/scratch.h"

namespace driveprep::journal {

using test::error_of;

struct JobDirectory : test::ScratchDirectory {
  std::filesystem::path database() const { return path() / "journal.db"; }
};

}  // namespace driveprep::journal
