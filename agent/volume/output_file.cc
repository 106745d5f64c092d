#include "agent/volume/output_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "agent/volume/output_tree.h"
#include "base/encoding.h"
#include "base/posix.h"
#include "base/system_error.h"
#include "base/units.h"
#include "base/zeros.h"

namespace driveprep::volume {
namespace {

// A hole of less costs more in extents than it saves.
constexpr std::size_t kHole = 64 * kKiB;

std::string temporary_name() {
  std::array<std::byte, 8> random{};
  if (::getrandom(random.data(), random.size(), 0) != std::ssize(random)) {
    output_error("draw a random name", errno);
  }
  return ".driveprep-" + hex_lower(random) + ".part";
}

[[noreturn]] void already_there(const std::string& name) {
  throw Error(ErrorKind::kRefused, "output-exists",
              name + " is there already in the directory to extract to",
              "Extract to an empty directory, or ask for files to be overwritten.");
}

}  // namespace

OutputFile::OutputFile(int directory, std::string name, Existing existing)
    : directory_(directory), name_(std::move(name)), existing_(existing) {
  struct stat status {};
  if (::fstatat(directory_, name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    if (existing_ == Existing::kRefuse || S_ISDIR(status.st_mode)) already_there(name_);
  } else if (errno != ENOENT) {
    output_error("create " + name_, errno);
  }
  temporary_ = temporary_name();
  fd_ = UniqueFd(::openat(directory_, temporary_.c_str(),
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!fd_.valid()) output_error("create " + name_, errno);
  temporary_exists_ = true;
}

OutputFile::~OutputFile() {
  if (temporary_exists_) ::unlinkat(directory_, temporary_.c_str(), 0);
}

void OutputFile::write(std::uint64_t offset, ByteView data) {
  try {
    while (!data.empty()) {
      // Up to the next hole, or over it. Blocks are those of the file, wherever a part begins.
      const auto block = [&](std::size_t from) {
        return data.subspan(from, std::min(data.size() - from, kHole - (offset + from) % kHole));
      };
      std::size_t count = block(0).size();
      const bool hole = all_zero(block(0));
      while (count < data.size() && all_zero(block(count)) == hole) count += block(count).size();
      if (!hole) posix::pwrite_all(fd_.get(), offset, data.first(count), name_, ErrorKind::kWrite);
      offset += count;
      data = data.subspan(count);
    }
  } catch (const SystemError& error) {
    output_error("write " + name_, error.number());
  }
}

void OutputFile::commit(std::uint64_t size, const ntfs::FileTimes& times) {
  if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
    output_error("set the size of " + name_, errno);
  }
  const timespec values[2] = {times.access.to_timespec(), times.modification.to_timespec()};
  if (::futimens(fd_.get(), values) != 0) output_error("set the times of " + name_, errno);
  if (::close(fd_.release()) != 0) output_error("close " + name_, errno);
  rename();
  temporary_exists_ = false;
}

void OutputFile::rename() {
  const unsigned flags = existing_ == Existing::kRefuse ? RENAME_NOREPLACE : 0;
  int result = ::renameat2(directory_, temporary_.c_str(), directory_, name_.c_str(), flags);
  if (result != 0 && errno == EINVAL && flags != 0) {
    // A file system without that flag; a hard link never replaces anything either.
    result = ::linkat(directory_, temporary_.c_str(), directory_, name_.c_str(), 0);
    if (result == 0) ::unlinkat(directory_, temporary_.c_str(), 0);
  }
  if (result == 0) return;
  if (errno == EEXIST || errno == EISDIR) already_there(name_);
  output_error("rename to " + name_, errno);
}

}  // namespace driveprep::volume
