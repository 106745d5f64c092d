// The directory on Linux into which files are extracted, and the directories below it.
//
// Every step is taken from an open directory by one name and never through a symbolic link, so that
// nothing lands outside, whatever lies in the directory already.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "drive/ntfs/types.h"

namespace driveprep::volume {

class OutputTree {
 public:
  // Opens the directory, made with its parents if it is missing; its own path may contain links.
  // kWrite "output-write".
  explicit OutputTree(const std::filesystem::path& directory);

  // The directory with these components, each of them a checked name (linux_name()); those that are
  // missing are made. The descriptor is valid until the next call. kRefused "output-not-directory"
  // when one of them is something else, "output-name" when it cannot have that name, kWrite
  // "output-write".
  int enter(std::span<const std::string> components);

  // Of the directory that was entered last.
  void set_times(const ntfs::FileTimes& times);
  std::string name() const;

  // Everything is on stable storage. kWrite "output-write".
  void sync();

 private:
  struct Level {
    std::string name;
    UniqueFd fd;  // closed where the tree is deep: see kOpenLevels
  };

  void descend(std::size_t level);

  std::vector<Level> levels_;  // the directory itself first
};

// Throws what a failed system call on the output means: kWrite "output-write", which every other
// file would meet, too (the file system is full, read-only or broken); or kRefused "output-name"
// for a name that it cannot have, kRefused "output-file-size" for a file that is too long for it.
[[noreturn]] void output_error(const std::string& attempt, int number);
// Whether an error is of the first kind.
bool is_output_failure(const Error& error);

}  // namespace driveprep::volume
