// How the checks of this folder say what is wrong. Internal.
#pragma once

#include <stdexcept>
#include <string>

namespace driveprep::ntfs::check {

// Ends the check: one thing that is wrong with the file system, and where.
class Inconsistency : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void demand(bool holds, const std::string& otherwise) {
  if (!holds) throw Inconsistency(otherwise);
}

}  // namespace driveprep::ntfs::check
