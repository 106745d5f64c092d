#include "agent/prepare/source_failure.h"

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace driveprep::prepare {
namespace {

bool same_time(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

SourceFailure source_changed(const plan::FileItem& item, const std::string& how) {
  return {"source-changed", item.source_path + " " + how};
}

SourceFailure source_unreadable(const plan::FileItem& item, int error) {
  return {"source-unreadable", item.source_path + ": " + std::strerror(error)};
}

SourceFailure source_not_opened(const plan::FileItem& item, const SourceOpener& opener, int error) {
  if (error == ELOOP && opener.refuses_links()) {
    return source_changed(item, "is now a symbolic link or lies behind one, which is not followed");
  }
  SourceFailure failure = source_unreadable(item, error);
  if (error == ENOENT) failure.code = "source-missing";
  return failure;
}

std::optional<SourceFailure> compare_with_plan(const plan::FileItem& item,
                                               const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return source_changed(item, "is no longer a regular file");
  if (static_cast<std::uint64_t>(status.st_size) != item.size) {
    return source_changed(item, "had " + std::to_string(item.size) +
                                    " bytes when it was planned and has " +
                                    std::to_string(status.st_size) + " now");
  }
  if (FileTime::from_timespec(status.st_mtim) != item.times.modified) {
    return source_changed(item, "was modified after it was planned");
  }
  return std::nullopt;
}

std::optional<SourceFailure> compare_after_reading(const plan::FileItem& item,
                                                   const struct stat& before, int fd) {
  struct stat after {};
  if (::fstat(fd, &after) != 0) return source_unreadable(item, errno);
  if (after.st_size != before.st_size) {
    return source_changed(item, "changed its size from " + std::to_string(before.st_size) + " to " +
                                    std::to_string(after.st_size) + " bytes while it was read");
  }
  if (!same_time(after.st_mtim, before.st_mtim) || !same_time(after.st_ctim, before.st_ctim)) {
    return source_changed(item, "was modified while it was read");
  }
  return std::nullopt;
}

}  // namespace driveprep::prepare
