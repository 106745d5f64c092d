// The directories of a plan: by id, with the paths that lead to them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/journal/sqlite.h"
#include "agent/plan/plan_store.h"

namespace driveprep::plan {

// Where the files of a directory are: put a name behind each.
struct Place {
  std::string blob_prefix;  // "container/prefix/", empty for the session directory
  std::string file_prefix;  // "\session\container\prefix\"
};

class DirectoryTable {
 public:
  // The table must exist.
  explicit DirectoryTable(journal::Database& database);

  // An unknown id is an internal error.
  Directory get(std::int64_t id);
  Place place(std::int64_t id);

  // The current row of a query for "id, parent, name, ntfs, created, modified, accessed".
  static Directory row(const journal::Statement& query);

 private:
  struct Step {
    std::int64_t parent;
    std::string name;
    std::string ntfs_name;
  };
  Step step(std::int64_t id);

  journal::Statement query_;
};

// Names are kept as text, and as UTF-16 only where the name on the drive differs.
std::u16string stored_name(const journal::Statement& row, int name_column, int ntfs_column);
Times stored_times(const journal::Statement& row, int first_column);

}  // namespace driveprep::plan
