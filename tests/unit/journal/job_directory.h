// A job directory for one test, and what is expected of an Error.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "base/error.h"

namespace driveprep::journal {

class JobDirectory {
 public:
  JobDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "journal-test-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr, "mkdtemp failed");
    path_ = name;
  }
  JobDirectory(const JobDirectory&) = delete;
  JobDirectory& operator=(const JobDirectory&) = delete;
  ~JobDirectory() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path database() const { return path_ / "journal.db"; }

 private:
  std::filesystem::path path_;
};

// "kind/code" of the Error that `action` throws, "" when it throws none.
template <typename Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return std::string(to_string(error.kind())) + "/" + error.code();
  }
  return "";
}

}  // namespace driveprep::journal
