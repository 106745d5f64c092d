#include "agent/plan/source_scanner.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "agent/job/blob_names.h"
#include "agent/plan/limits.h"
#include "agent/plan/ntfs_naming.h"
#include "agent/plan/store_access.h"

namespace driveprep::plan {
namespace {

constexpr std::uint64_t kProgressEvery = 4096;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

FileTime file_time(const statx_timestamp& time) {
  return FileTime::from_timespec({static_cast<time_t>(time.tv_sec), static_cast<long>(time.tv_nsec)});
}

// File systems without a time of birth: the oldest time that is known.
Times times_of(const struct statx& facts) {
  const FileTime modified = file_time(facts.stx_mtime);
  const bool has_birth = (facts.stx_mask & STATX_BTIME) != 0;
  return {has_birth ? file_time(facts.stx_btime) : modified, modified,
          file_time(facts.stx_atime)};
}

std::pair<std::uint64_t, std::uint64_t> key_of(const struct statx& facts) {
  return {std::uint64_t{facts.stx_dev_major} << 32 | facts.stx_dev_minor, facts.stx_ino};
}

// 0, or the error number.
int facts_of(int parent, const char* name, bool follow, struct statx& facts) {
  const int flags = AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW);
  return ::statx(parent, name, flags, STATX_BASIC_STATS | STATX_BTIME, &facts) == 0 ? 0 : errno;
}

std::string cause(int error_number) { return std::strerror(error_number); }

}  // namespace

SourceScanner::SourceScanner(const job::Job& job, const std::vector<DriveInput>& drives,
                             PlanDraft& draft, const ScanProgress& progress)
    : job_(job),
      draft_(draft),
      log_(draft.log()),
      progress_(progress),
      policy_(job.spec.sources),
      may_read_all_(::geteuid() == 0) {
  protect(job.directory.root());
  protect(job.directory.drives());
  protect(job.directory.requests());
  protect(job.directory.logs());
  for (const DriveInput& drive : drives) protect(drive.target);
}

void SourceScanner::protect(const Path& path) {
  struct statx facts{};
  if (facts_of(AT_FDCWD, path.c_str(), true, facts) == 0) protected_.insert(key_of(facts));
}

bool SourceScanner::is_protected(const struct statx& facts, const Path& path) {
  if (!protected_.contains(key_of(facts))) return false;
  log_.problem("source-holds-target", row_place() + printable(job_.dataset.rows[row_index_].base_path.native()),
               "contains " + printable(path.native()) +
                   ", which belongs to the job directory or is one of its drives");
  return true;
}

std::string SourceScanner::row_place() const {
  return job_.dataset.file.string() + ":" +
         std::to_string(job_.dataset.rows[row_index_].line) + ": BasePath ";
}

void SourceScanner::scan() {
  for (row_index_ = 0; row_index_ < job_.dataset.rows.size(); ++row_index_) scan_row(row_index_);
}

void SourceScanner::scan_row(std::size_t index) {
  const job::DatasetRow& row = job_.dataset.rows[index];
  const std::string subject = row_place() + printable(row.base_path.native());
  if (row.type == job::ItemType::kFile) {
    log_.problem("azure-files-unsupported", subject,
                 "has the ItemType \"file\"; the manifest of Azure Files is not published");
    return;
  }
  struct statx facts{};
  if (const int error = facts_of(AT_FDCWD, row.base_path.c_str(), true, facts); error != 0) {
    log_.problem(error == ENOENT || error == ENOTDIR ? "source-missing" : "source-unreadable",
                 subject, "cannot be used: " + cause(error), ErrorKind::kSource);
    return;
  }
  const bool is_directory = S_ISDIR(facts.stx_mode);
  if (is_directory != row.is_directory || (!is_directory && !S_ISREG(facts.stx_mode))) {
    log_.problem("source-kind", subject,
                 is_directory       ? "is a directory, but does not end in '/'"
                 : row.is_directory ? "ends in '/', but is not a directory"
                                    : "is neither a directory nor a regular file");
    return;
  }
  container_directory_ = draft_.directory(kSessionDirectory, row.container, std::nullopt);
  if (is_directory) {
    scan_directory(row);
  } else {
    scan_single_file(row);
  }
}

std::int64_t SourceScanner::destination(const std::string& prefix,
                                        const std::optional<Times>& times) {
  std::int64_t directory = container_directory_;
  for (std::size_t start = 0; start < prefix.size();) {
    const std::size_t end = prefix.find('/', start);
    const bool last = end + 1 == prefix.size();
    directory = draft_.directory(directory, prefix.substr(start, end - start),
                                 last ? times : std::nullopt);
    start = end + 1;
  }
  return directory;
}

void SourceScanner::scan_single_file(const job::DatasetRow& row) {
  struct statx facts{};
  if (facts_of(AT_FDCWD, row.base_path.c_str(), true, facts) != 0 ||
      is_protected(facts, row.base_path) ||
      !readable(AT_FDCWD, row.base_path.native(), row.base_path, false)) {
    return;
  }
  const std::size_t slash = row.name.rfind('/');
  const std::size_t prefix = slash == std::string::npos ? 0 : slash + 1;
  const std::int64_t directory = destination(row.name.substr(0, prefix), std::nullopt);
  const std::int64_t source = draft_.add_source(row.base_path.parent_path());
  file(directory, source, row.base_path.filename().native(), row.name, row.base_path, facts);
}

void SourceScanner::scan_directory(const job::DatasetRow& row) {
  UniqueFd fd(::open(row.base_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    log_.problem("source-unreadable", row_place() + printable(row.base_path.native()),
                 "cannot be opened: " + cause(errno), ErrorKind::kSource);
    return;
  }
  struct statx facts{};
  facts_of(AT_FDCWD, row.base_path.c_str(), true, facts);
  const std::int64_t directory = destination(row.name, times_of(facts));
  walk(std::move(fd), row.base_path, row.name, directory);
}

void SourceScanner::walk(UniqueFd fd, const Path& path, const std::string& prefix,
                         std::int64_t directory) {
  struct statx facts{};
  if (const int error = facts_of(fd.get(), ".", false, facts); error != 0) {
    log_.problem("source-unreadable", printable(path.native()), cause(error), ErrorKind::kSource);
    return;
  }
  if (is_protected(facts, path)) return;
  if (std::find(ancestors_.begin(), ancestors_.end(), key_of(facts)) != ancestors_.end()) {
    log_.problem("source-loop", printable(path.native()), "leads back to a directory above it");
    return;
  }
  const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(fd.get()));
  require(stream != nullptr, "a directory that is open cannot be read as one");
  const Level level{fd.release(), path, prefix, directory};
  const std::int64_t source = draft_.add_source(path);
  ancestors_.push_back(key_of(facts));
  std::vector<std::string> below;
  for (;;) {
    errno = 0;
    const dirent* found = ::readdir(stream.get());
    if (found == nullptr) break;
    const std::string name = found->d_name;
    if (name != "." && name != "..") entry(level, source, name, below);
  }
  if (errno != 0) {
    log_.problem("source-unreadable", printable(path.native()), "cannot be listed: " + cause(errno),
                 ErrorKind::kSource);
  }
  // Sorted, so that directories get the same numbers in every scan.
  std::sort(below.begin(), below.end());
  for (const std::string& name : below) enter(level, name);
  ancestors_.pop_back();
}

void SourceScanner::entry(const Level& level, std::int64_t source, const std::string& name,
                          std::vector<std::string>& below) {
  struct statx facts{};
  int error = facts_of(level.fd, name.c_str(), false, facts);
  const Path path = level.path / name;
  if (error == 0 && S_ISLNK(facts.stx_mode)) {
    switch (policy_.symlinks) {
      case job::SourcePolicy::Symlinks::kRefuse:
        log_.problem("source-symlink", printable(path.native()), "is a symbolic link");
        return;
      case job::SourcePolicy::Symlinks::kSkip:
        log_.warn("skipped-symlink", printable(path.native()), "is a symbolic link; left out");
        return;
      case job::SourcePolicy::Symlinks::kFollow:
        error = facts_of(level.fd, name.c_str(), true, facts);
        break;
    }
  }
  if (error != 0) {
    log_.problem("source-unreadable", printable(path.native()), "cannot be read: " + cause(error),
                 ErrorKind::kSource);
    return;
  }
  if (S_ISDIR(facts.stx_mode)) {
    below.push_back(name);
    return;
  }
  if (!S_ISREG(facts.stx_mode)) {
    const std::string kind = S_ISFIFO(facts.stx_mode)   ? "a FIFO"
                             : S_ISSOCK(facts.stx_mode) ? "a socket"
                                                        : "a device";
    if (policy_.specials == job::SourcePolicy::Specials::kRefuse) {
      log_.problem("source-special", printable(path.native()), "is " + kind);
    } else {
      log_.warn("skipped-special", printable(path.native()), "is " + kind + "; left out");
    }
    return;
  }
  if (is_protected(facts, path) || !readable(level.fd, name, path, false)) return;
  file(level.directory, source, name, level.prefix + name, path, facts);
}

void SourceScanner::enter(const Level& level, const std::string& name) {
  const Path path = level.path / name;
  const job::DatasetRow& row = job_.dataset.rows[row_index_];
  if (row.container == "$root") {
    log_.warn("root-subdirectory", printable(path.native()),
              "is left out: names in $root have no '/', so sub-directories do not go there");
    return;
  }
  if (!blob_name_fits(level.prefix + name) || !readable(level.fd, name, path, true)) return;
  const bool follow = policy_.symlinks == job::SourcePolicy::Symlinks::kFollow;
  UniqueFd fd(::openat(level.fd, name.c_str(),
                       O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW)));
  struct statx facts{};
  const int error = !fd.valid() ? errno : facts_of(fd.get(), ".", false, facts);
  if (error != 0) {
    log_.problem("source-unreadable", printable(path.native()), "cannot be opened: " + cause(error),
                 ErrorKind::kSource);
    return;
  }
  const std::int64_t directory = draft_.directory(level.directory, name, times_of(facts));
  walk(std::move(fd), path, level.prefix + name + "/", directory);
}

bool SourceScanner::blob_name_fits(const std::string& blob_name) {
  const std::string& container = job_.dataset.rows[row_index_].container;
  const auto reason = job::check_blob_name(container, blob_name);
  if (reason) {
    log_.problem("blob-name", container + "/" + printable(blob_name),
                 "is no name for a blob: it " + *reason);
  }
  return !reason;
}

bool SourceScanner::readable(int parent, const std::string& name, const Path& path,
                             bool is_directory) {
  if (may_read_all_) return true;
  const int mode = is_directory ? R_OK | X_OK : R_OK;
  if (::faccessat(parent, name.c_str(), mode, AT_EACCESS) == 0) return true;
  using Unreadable = job::SourcePolicy::Unreadable;
  const std::string what = "cannot be read: " + cause(errno);
  if (policy_.unreadable == Unreadable::kSkip) {
    log_.warn("skipped-unreadable", printable(path.native()), what + "; left out");
    return false;
  }
  // What a directory holds is unknown, so it cannot be planned and reported later.
  if (policy_.unreadable == Unreadable::kRefuse || is_directory) {
    log_.problem("source-unreadable", printable(path.native()), what, ErrorKind::kSource);
    return false;
  }
  log_.warn("unreadable", printable(path.native()), what + "; its drive will end incomplete");
  return true;
}

bool SourceScanner::size_fits(const Path& path, std::uint64_t size) {
  const job::ItemType type = job_.dataset.rows[row_index_].type;
  const std::string type_name(job::to_string(type));
  for (const SizeLimit& limit : kSizeLimits) {
    if (limit.type != type) continue;
    if (size > limit.refused_above) {
      log_.problem("file-too-large", printable(path.native()),
                   "has " + std::to_string(size) + " bytes, a " + type_name + " at most " +
                       std::to_string(limit.refused_above));
      return false;
    }
    if (size % limit.multiple_of != 0) {
      log_.problem("page-blob-length", printable(path.native()),
                   "has " + std::to_string(size) + " bytes, which is not a multiple of " +
                       std::to_string(limit.multiple_of) + " as a " + type_name + " needs");
      return false;
    }
    if (size > limit.warned_above) {
      log_.warn("large-file", printable(path.native()),
                "is larger than the newer Data Box service takes as a " + type_name);
    }
  }
  return true;
}

void SourceScanner::file(std::int64_t directory, std::int64_t source, const std::string& name,
                         const std::string& blob_name, const Path& path,
                         const struct statx& facts) {
  const job::DatasetRow& row = job_.dataset.rows[row_index_];
  if (!blob_name_fits(blob_name) || !size_fits(path, facts.stx_size)) return;
  if (row.type == job::ItemType::kBlockBlob && block_length(facts.stx_size) > 4 * kMiB) {
    log_.warn("block-size", printable(path.native()),
              "needs blocks of " + std::to_string(block_length(facts.stx_size) / kMiB) +
                  " MiB, because a blob has at most 50 000; the service's rule for that is not "
                  "published");
  }
  if (job::has_segment_ending_in_dot(blob_name)) {
    log_.warn("blob-name-dot", row.container + "/" + printable(blob_name),
              "has a path segment that ends in a dot, which some clients drop");
  }
  ScannedFile scanned;
  scanned.directory = directory;
  scanned.source = source;
  scanned.dataset_row = row_index_;
  scanned.name = blob_name.substr(blob_name.rfind('/') + 1);
  if (scanned.name != name) scanned.source_name = name;
  scanned.size = facts.stx_size;
  scanned.times = times_of(facts);
  scanned.blob_path_bytes = row.container.size() + 1 + blob_name.size();
  const std::size_t path_length = scanned.blob_path_bytes + draft_.session().size() + 2;
  if (path_length > kLongPathUnits) {
    log_.warn("long-path", printable(blob_name),
              "has a path of " + std::to_string(path_length) +
                  " bytes on the drive; Windows programs without long-path support cannot open it");
  }
  draft_.add_file(scanned);
  if (progress_ && draft_.files() % kProgressEvery == 0) progress_(draft_.files(), draft_.bytes());
}

}  // namespace driveprep::plan
