#include "base/directories.h"

#include <sys/stat.h>

#include <cerrno>
#include <vector>

#include "base/posix.h"
#include "base/system_error.h"

namespace driveprep {

void create_directories_durably(const std::filesystem::path& directory, ErrorKind kind) {
  std::vector<std::filesystem::path> missing;
  struct stat status {};
  for (std::filesystem::path at = std::filesystem::absolute(directory);
       ::stat(at.c_str(), &status) != 0; at = at.parent_path()) {
    missing.push_back(at);
  }
  for (; !missing.empty(); missing.pop_back()) {
    const std::filesystem::path& made = missing.back();
    if (::mkdir(made.c_str(), 0777) != 0 && errno != EEXIST) {
      throw SystemError(kind, "create-failed", "create the directory " + made.string(), errno,
                        "Check the path, its permissions and the free space.");
    }
    posix::fsync_directory(made.parent_path(), kind);
  }
}

}  // namespace driveprep
