// Files and directories that only their owner may touch.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/bytes.h"
#include "base/secret_bytes.h"
#include "base/unique_fd.h"

namespace driveprep::keywrap {

// All throw Error kKey. "key-store-unsafe": a symbolic link, another owner than the effective user,
// any permission for group or others, or not a regular file (a directory).

// Makes it (0700) with its parents when it is missing; checks it in any case.
void make_private_directory(const std::filesystem::path& directory);
// False when it is missing.
bool check_private_directory(const std::filesystem::path& directory);

// nullopt when the file is missing. More than `limit` bytes are refused ("key-store-corrupt").
std::optional<Bytes> read_private_file(const std::filesystem::path& file, std::size_t limit);
std::optional<SecretBytes> read_private_secret(const std::filesystem::path& file,
                                               std::size_t limit);
// A file that the service manager made for this process: it may also belong to root, and its group
// may read it, which is how the access list of such a file shows in its mode.
std::optional<SecretBytes> read_credential(const std::filesystem::path& file, std::size_t limit);
// Appears whole, mode 0600.
void write_private_file(const std::filesystem::path& file, ByteView content);

// Held as long as the object lives; waits for whoever has it.
class FileLock {
 public:
  explicit FileLock(const std::filesystem::path& file);

 private:
  UniqueFd fd_;
};

}  // namespace driveprep::keywrap
