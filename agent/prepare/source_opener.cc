#include "agent/prepare/source_opener.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string_view>

#include "base/error.h"

namespace driveprep::prepare {
namespace {

constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

// The C library has no wrapper.
int open_without_links(int directory, const char* path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.resolve = RESOLVE_NO_SYMLINKS;
  return static_cast<int>(::syscall(SYS_openat2, directory, path, &how, sizeof how));
}

// Older kernels do not have it, and some sandboxes forbid it.
bool has_openat2() {
  return UniqueFd(open_without_links(AT_FDCWD, "/", O_PATH | O_CLOEXEC)).valid();
}

}  // namespace

SourceOpener::SourceOpener(const job::Dataset& dataset, bool follow_links)
    : dataset_(dataset), follow_links_(follow_links), whole_path_(!follow_links && has_openat2()) {}

int SourceOpener::base_of(std::size_t row) {
  if (base_row_ != row) {
    base_row_.reset();
    base_ =
        UniqueFd(::open(dataset_.rows.at(row).base_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (base_.valid()) base_row_ = row;
  }
  return base_.get();
}

UniqueFd SourceOpener::open(const plan::FileItem& item) {
  const job::DatasetRow& row = dataset_.rows.at(item.dataset_row);
  // A row that names one file is its base path.
  if (follow_links_ || !row.is_directory) return UniqueFd(::open(item.source_path.c_str(), kFlags));

  const std::string& path = item.source_path;
  const std::string& base = row.base_path.native();
  require(path.starts_with(base), "a source lies outside of its base path");
  const std::size_t start = path.find_first_not_of('/', base.size());
  require(start != std::string::npos, "a source is its base path");
  const int directory = base_of(item.dataset_row);
  if (directory < 0) return UniqueFd();
  const char* relative = path.c_str() + start;
  return UniqueFd(whole_path_ ? open_without_links(directory, relative, kFlags)
                              : ::openat(directory, relative, kFlags | O_NOFOLLOW));
}

}  // namespace driveprep::prepare
