// A file that is extracted: written under a temporary name, sparse where it is zero, and only when
// it is whole and has its times, renamed.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/unique_fd.h"
#include "drive/ntfs/types.h"

namespace driveprep::volume {

enum class Existing { kRefuse, kReplace };

class OutputFile {
 public:
  // Creates ".driveprep-XXXXXXXXXXXXXXXX.part" in the open directory, which must stay open. `name`
  // is a checked name (linux_name()). kRefused "output-exists" when something has that name, a
  // directory even if files are to be replaced; what output_error() throws.
  OutputFile(int directory, std::string name, Existing existing);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  // Without commit() nothing is left.
  ~OutputFile();

  // Blocks of zeros become holes.
  void write(std::uint64_t offset, ByteView data);
  // Never an existing file that was not to be replaced, even if it came just now.
  void commit(std::uint64_t size, const ntfs::FileTimes& times);

 private:
  void rename();

  int directory_;
  std::string name_;
  Existing existing_;
  std::string temporary_;
  UniqueFd fd_;
  bool temporary_exists_ = false;
};

}  // namespace driveprep::volume
