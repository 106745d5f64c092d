// Where the content of a volume or file goes.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace driveprep::cli {

// Standard output, something that is there (a pipe, /dev/null), or a new file, which is removed
// again unless it was finished.
class ContentOutput {
 public:
  // "-": standard output. Throws kUsage "output-exists", kWrite "output-failed".
  explicit ContentOutput(const std::string& path);
  ContentOutput(const ContentOutput&) = delete;
  ContentOutput& operator=(const ContentOutput&) = delete;
  ~ContentOutput();

  int fd() const { return fd_.get(); }
  const std::string& name() const { return path_; }
  bool is_new_file() const { return made_; }
  // All is written: a new file is on stable storage and stays.
  void keep();

 private:
  std::string path_;
  UniqueFd fd_;
  bool made_ = false;
  bool kept_ = false;
};

}  // namespace driveprep::cli
