// Files that appear whole or not at all: temporary file in the same directory, write, fsync,
// rename, fsync of the directory. Nothing is left behind on failure.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace driveprep {

class AtomicFile {
 public:
  // Creates "<path>.tmp-XXXXXX" with `mode` (not widened by the umask).
  AtomicFile(std::filesystem::path path, mode_t mode, ErrorKind kind = ErrorKind::kWrite);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  int fd() const { return fd_.get(); }
  void write(ByteView data);
  // Durable under its final name when this returns.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  ErrorKind kind_;
  UniqueFd fd_;
  bool committed_ = false;
};

void write_file_atomically(const std::filesystem::path& path, ByteView data, mode_t mode,
                           ErrorKind kind = ErrorKind::kWrite);

}  // namespace driveprep
