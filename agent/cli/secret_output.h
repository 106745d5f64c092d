// Keys on their way out: straight from locked memory to a descriptor, no stream buffer keeps a
// copy.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/secret_bytes.h"
#include "base/unique_fd.h"

namespace driveprep::cli {

// To standard output, in step with what print() has written.
void print_secret(std::string_view before, std::string_view secret, std::string_view after);

// A new file for a key, mode 0600. It is removed again unless it is kept.
class SecretFile {
 public:
  // Throws kUsage "output-exists"; kWrite for what the file system refuses.
  SecretFile(std::filesystem::path path, ByteView content);
  SecretFile(const SecretFile&) = delete;
  SecretFile& operator=(const SecretFile&) = delete;
  ~SecretFile();

  // It stays, and is on stable storage already.
  void keep() { kept_ = true; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool kept_ = false;
};

}  // namespace driveprep::cli
