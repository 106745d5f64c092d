// One small function a system call: retries EINTR, loops over short transfers, and throws an Error
// that names the operation, the file and the cause: a SystemError.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace driveprep::posix {

using Path = std::filesystem::path;

// open(2) with O_CLOEXEC always added. `kind` is the kind of the Error when it fails.
UniqueFd open(const Path& path, int flags, ErrorKind kind, mode_t mode = 0600);
// nullopt when the file does not exist; other failures throw.
std::optional<UniqueFd> open_if_exists(const Path& path, int flags, ErrorKind kind);

struct stat fstat(int fd, const std::string& name, ErrorKind kind);

// Exactly `out.size()` bytes; an early end of file is an error ("file-too-short").
void pread_exact(int fd, std::uint64_t offset, MutableByteView out, const std::string& name,
                 ErrorKind kind);
// As many bytes as there are, up to `out.size()`; fewer only at the end of the file.
std::size_t pread_up_to(int fd, std::uint64_t offset, MutableByteView out, const std::string& name,
                        ErrorKind kind);
// As many bytes as come, up to `out.size()`, from a file, pipe or socket; fewer only at its end.
// Waits for those of a descriptor that does not block.
std::size_t read_up_to(int fd, MutableByteView out, const std::string& name, ErrorKind kind);
void pwrite_all(int fd, std::uint64_t offset, ByteView data, const std::string& name,
                ErrorKind kind);
void write_all(int fd, ByteView data, const std::string& name, ErrorKind kind);

// A failure is final: the kernel reports a lost write once, so it is never retried.
void fsync(int fd, const std::string& name, ErrorKind kind);
void fdatasync(int fd, const std::string& name, ErrorKind kind);
void ftruncate(int fd, std::uint64_t size, const std::string& name, ErrorKind kind);
// Makes a rename or creation in `directory` durable.
void fsync_directory(const Path& directory, ErrorKind kind);

// The whole file; refuses one of more than `limit` bytes ("file-too-large").
std::string read_file(const Path& path, std::uint64_t limit, ErrorKind kind);
// The same of an open file, whatever was read of it before.
std::string read_from_start(int fd, const std::string& name, std::uint64_t limit, ErrorKind kind);

}  // namespace driveprep::posix
