// What many tests need: a directory that goes away, small files in it, and the code of an Error.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/posix.h"
#include "base/subprocess.h"

namespace driveprep::test {

class ScratchDirectory {
 public:
  // Below `parent`, or below the system's directory for temporary files.
  explicit ScratchDirectory(const std::filesystem::path& parent = {}) {
    const std::filesystem::path base =
        parent.empty() ? std::filesystem::temp_directory_path() : parent;
    std::string name = (base / "driveprep-test-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr, "mkdtemp failed");
    path_ = name;
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  // A new file with `content`.
  std::filesystem::path file(const std::string& name, ByteView content) const {
    const UniqueFd fd =
        posix::open(path_ / name, O_WRONLY | O_CREAT | O_EXCL, ErrorKind::kWrite, 0600);
    posix::write_all(fd.get(), content, name, ErrorKind::kWrite);
    return path_ / name;
  }

  // A sparse file of `size` bytes.
  std::filesystem::path image(const std::string& name, std::uint64_t size) const {
    const UniqueFd fd =
        posix::open(path_ / name, O_RDWR | O_CREAT | O_EXCL, ErrorKind::kWrite, 0600);
    posix::ftruncate(fd.get(), size, name, ErrorKind::kWrite);
    return path_ / name;
  }

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

// The path of a program, or "" when it is not installed.
inline std::string program(const std::string& name) {
  for (const char* directory : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (::access((directory + name).c_str(), X_OK) == 0) return directory + name;
  }
  return "";
}

// Bytes that repeat after a long while and are never zero: a stray write into them shows.
inline Bytes pattern(std::size_t size, std::uint32_t seed = 1) {
  Bytes bytes(size);
  for (std::byte& b : bytes) {
    seed = seed * 1664525 + 1013904223;
    b = static_cast<std::byte>(seed >> 24 | 1);
  }
  return bytes;
}

}  // namespace driveprep::test
