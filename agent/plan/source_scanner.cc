#include "agent/plan/source_scanner.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>

#include "agent/job/blob_names.h"
#include "agent/manifest/manifest_format.h"
#include "agent/plan/limits.h"
#include "agent/plan/ntfs_naming.h"
#include "agent/plan/store_access.h"
#include "base/human_text.h"
#include "base/utf16.h"
#include "keywrap/local_key_store.h"

namespace driveprep::plan {
namespace {

constexpr std::uint64_t kProgressEvery = 4096;
// Files of one directory that are sorted in memory; more of them are sorted in the database.
constexpr std::size_t kMaxPending = 100'000;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

FileTime file_time(const statx_timestamp& time) {
  return FileTime::from_timespec(
      {static_cast<time_t>(time.tv_sec), static_cast<long>(time.tv_nsec)});
}

// File systems without a time of birth: the oldest time that is known.
Times times_of(const struct statx& facts) {
  const FileTime modified = file_time(facts.stx_mtime);
  const bool has_birth = (facts.stx_mask & STATX_BTIME) != 0;
  return {has_birth ? file_time(facts.stx_btime) : modified, modified, file_time(facts.stx_atime)};
}

std::pair<std::uint64_t, std::uint64_t> key_of(const struct statx& facts) {
  return {std::uint64_t{facts.stx_dev_major} << 32 | facts.stx_dev_minor, facts.stx_ino};
}

// 0, or the error number.
int facts_of(int parent, const char* name, bool follow, struct statx& facts) {
  const int flags = AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW);
  return ::statx(parent, name, flags, STATX_BASIC_STATS | STATX_BTIME, &facts) == 0 ? 0 : errno;
}

// A store may keep the secret that opens its keys elsewhere. What is wrong with a store is told by
// those who use it.
std::optional<std::filesystem::path> unlock_file_of(const std::filesystem::path& store) {
  try {
    return keywrap::LocalKeyStore::open({store, {}, keywrap::system_clock_seconds})->unlock_file();
  } catch (const Error&) {
    return std::nullopt;
  }
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
  protect_targets(drives);
  protect_secrets();
}

void SourceScanner::protect(const Path& path, const Protected& why) {
  struct statx facts {};
  if (facts_of(AT_FDCWD, path.c_str(), true, facts) == 0) protected_.emplace(key_of(facts), why);
}

void SourceScanner::protect_tree(const Path& path, const Protected& why) {
  protect(path, why);
  std::error_code unreadable;  // then this user cannot ship what is in it either
  for (auto below = std::filesystem::recursive_directory_iterator(path, unreadable);
       !unreadable && below != std::filesystem::recursive_directory_iterator();
       below.increment(unreadable)) {
    protect(below->path(), why);
  }
}

void SourceScanner::protect_targets(const std::vector<DriveInput>& drives) {
  const Protected why{"source-holds-target",
                      "which belongs to the job directory or is one of its drives"};
  protect(job_.directory.root(), why);
  for (const Path& outputs :
       {job_.directory.drives(), job_.directory.requests(), job_.directory.logs()}) {
    protect_tree(outputs, why);
  }
  for (const DriveInput& drive : drives) protect(drive.target, why);
}

void SourceScanner::protect_secrets() {
  constexpr const char* kCode = "source-holds-secret";
  const auto& password = job_.spec.bitlocker.password_file;
  if (password) protect(*password, {kCode, "which holds the BitLocker password of this job"});
  const Path& store = job_.spec.encryption.key_store;
  if (store.empty()) return;
  const std::string shown = printable(store.native());
  protect_tree(store, {kCode, "which is or belongs to the key store of this job, " + shown});
  if (const auto unlock = unlock_file_of(store)) {
    protect(*unlock, {kCode, "which opens the keys of the key store of this job, " + shown});
  }
  // A store that does not exist yet will be made below the nearest directory that does.
  struct statx facts {};
  Path place = store;
  while (facts_of(AT_FDCWD, place.c_str(), true, facts) != 0 && place.has_relative_path()) {
    place = place.parent_path();
    protect(place, {kCode, "below which the key store of this job will be made, " + shown});
  }
}

bool SourceScanner::is_protected(const struct statx& facts, const Path& directory,
                                 const std::string& name) {
  const auto found = protected_.find(key_of(facts));
  if (found == protected_.end()) return false;
  const Path path = name.empty() ? directory : directory / name;
  log_.problem(found->second.code, row_place(),
               "contains " + printable(path.native()) + ", " + found->second.detail);
  return true;
}

std::string SourceScanner::row_place() const {
  const job::DatasetRow& row = job_.dataset.rows[row_index_];
  return job_.dataset.file.string() + ":" + std::to_string(row.line) + ": BasePath " +
         printable(row.base_path.native());
}

void SourceScanner::scan() {
  for (row_index_ = 0; row_index_ < job_.dataset.rows.size(); ++row_index_) scan_row();
}

void SourceScanner::scan_row() {
  const job::DatasetRow& row = job_.dataset.rows[row_index_];
  if (row.type == job::ItemType::kFile) {
    log_.problem("azure-files-unsupported", row_place(),
                 "has the ItemType \"file\"; the manifest of Azure Files is not published");
    return;
  }
  struct statx facts {};
  if (const int error = facts_of(AT_FDCWD, row.base_path.c_str(), true, facts); error != 0) {
    log_.problem(error == ENOENT || error == ENOTDIR ? "source-missing" : "source-unreadable",
                 row_place(), "cannot be used: " + cause(error), ErrorKind::kSource);
    return;
  }
  const bool is_directory = S_ISDIR(facts.stx_mode);
  if (is_directory != row.is_directory || (!is_directory && !S_ISREG(facts.stx_mode))) {
    log_.problem("source-kind", row_place(),
                 is_directory       ? "is a directory, but does not end in '/'"
                 : row.is_directory ? "ends in '/', but is not a directory"
                                    : "is neither a directory nor a regular file");
    return;
  }
  // Rows can only meet inside one container: names of containers have no upper case.
  if (!containers_.insert(row.container).second) draft_.expect_collisions();
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
    directory =
        draft_.directory(directory, prefix.substr(start, end - start), last ? times : std::nullopt);
    start = end + 1;
  }
  return directory;
}

void SourceScanner::scan_single_file(const job::DatasetRow& row) {
  const Path parent = row.base_path.parent_path();
  const std::string name = row.base_path.filename().native();
  const UniqueFd fd(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct statx facts {};
  const int error = fd.valid() ? facts_of(fd.get(), name.c_str(), true, facts) : errno;
  if (error != 0) {
    log_.problem("source-unreadable", row_place(), "cannot be used: " + cause(error),
                 ErrorKind::kSource);
    return;
  }
  const std::size_t slash = row.name.rfind('/');
  const std::string prefix = slash == std::string::npos ? "" : row.name.substr(0, slash + 1);
  Level level{
      fd.get(), parent, prefix, destination(prefix, std::nullopt), draft_.add_source(parent),
      {},       {}};
  if (is_protected(facts, parent, name) || !readable(level, name, false)) return;
  file(level, name, row.name, facts);
  flush(level);
}

void SourceScanner::scan_directory(const job::DatasetRow& row) {
  UniqueFd fd(::open(row.base_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct statx facts {};
  const int error = fd.valid() ? facts_of(fd.get(), ".", false, facts) : errno;
  if (error != 0) {
    log_.problem("source-unreadable", row_place(), "cannot be opened: " + cause(error),
                 ErrorKind::kSource);
    return;
  }
  const std::int64_t directory = destination(row.name, times_of(facts));
  walk(std::move(fd), row.base_path, row.name, directory);
}

void SourceScanner::walk(UniqueFd fd, const Path& path, const std::string& prefix,
                         std::int64_t directory) {
  struct statx facts {};
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
  Level level{fd.release(), path, prefix, directory, draft_.add_source(path), {}, {}};
  ancestors_.push_back(key_of(facts));
  for (;;) {
    errno = 0;
    const dirent* found = ::readdir(stream.get());
    if (found == nullptr) break;
    const std::string name = found->d_name;
    if (name != "." && name != "..") entry(level, name);
  }
  if (errno != 0) {
    log_.problem("source-unreadable", printable(path.native()), "cannot be listed: " + cause(errno),
                 ErrorKind::kSource);
  }
  flush(level);
  // Sorted, so that directories get the same numbers in every scan.
  std::sort(level.below.begin(), level.below.end());
  for (const std::string& name : level.below) {
    if (!utf16_from_utf8(name)) continue;  // refused when entered
    draft_.note_directory(directory, name);
  }
  for (const std::string& name : level.below) enter(level, name);
  ancestors_.pop_back();
}

void SourceScanner::entry(Level& level, const std::string& name) {
  struct statx facts {};
  int error = facts_of(level.fd, name.c_str(), false, facts);
  const auto shown = [&] { return printable((level.path / name).native()); };
  if (error == 0 && S_ISLNK(facts.stx_mode)) {
    switch (policy_.symlinks) {
      case job::SourcePolicy::Symlinks::kRefuse:
        log_.problem("source-symlink", shown(), "is a symbolic link");
        return;
      case job::SourcePolicy::Symlinks::kSkip:
        log_.warn("skipped-symlink", shown(), "is a symbolic link; left out");
        return;
      case job::SourcePolicy::Symlinks::kFollow:
        error = facts_of(level.fd, name.c_str(), true, facts);
        break;
    }
  }
  if (error != 0) {
    log_.problem("source-unreadable", shown(), "cannot be read: " + cause(error),
                 ErrorKind::kSource);
    return;
  }
  if (S_ISDIR(facts.stx_mode)) {
    level.below.push_back(name);
    return;
  }
  if (!S_ISREG(facts.stx_mode)) {
    const std::string kind = S_ISFIFO(facts.stx_mode)   ? "a FIFO"
                             : S_ISSOCK(facts.stx_mode) ? "a socket"
                                                        : "a device";
    if (policy_.specials == job::SourcePolicy::Specials::kRefuse) {
      log_.problem("source-special", shown(), "is " + kind);
    } else {
      log_.warn("skipped-special", shown(), "is " + kind + "; left out");
    }
    return;
  }
  if (is_protected(facts, level.path, name) || !readable(level, name, false)) return;
  file(level, name, level.prefix + name, facts);
}

void SourceScanner::enter(const Level& level, const std::string& name) {
  const Path path = level.path / name;
  if (job_.dataset.rows[row_index_].container == "$root") {
    log_.warn("root-subdirectory", printable(path.native()),
              "is left out: names in $root have no '/', so sub-directories do not go there");
    return;
  }
  if (!blob_name_fits(level.prefix + name) || !readable(level, name, true)) return;
  const bool follow = policy_.symlinks == job::SourcePolicy::Symlinks::kFollow;
  UniqueFd fd(::openat(level.fd, name.c_str(),
                       O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW)));
  struct statx facts {};
  const int error = fd.valid() ? facts_of(fd.get(), ".", false, facts) : errno;
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

bool SourceScanner::readable(const Level& level, const std::string& name, bool is_directory) {
  if (may_read_all_) return true;
  const int mode = is_directory ? R_OK | X_OK : R_OK;
  if (::faccessat(level.fd, name.c_str(), mode, AT_EACCESS) == 0) return true;
  using Unreadable = job::SourcePolicy::Unreadable;
  const std::string what = "cannot be read: " + cause(errno);
  const std::string shown = printable((level.path / name).native());
  if (policy_.unreadable == Unreadable::kSkip) {
    log_.warn("skipped-unreadable", shown, what + "; left out");
    return false;
  }
  // What a directory holds is unknown, so it cannot be planned and reported later.
  if (policy_.unreadable == Unreadable::kRefuse || is_directory) {
    log_.problem("source-unreadable", shown, what, ErrorKind::kSource);
    return false;
  }
  log_.warn("unreadable", shown, what + "; its drive will end incomplete");
  return true;
}

// The copy opens a file from the base path down, where the limit of a blob's name keeps the path
// short; but by its whole path when links are to be followed.
bool SourceScanner::source_path_fits(const Level& level, const std::string& name) {
  const std::string path = (level.path / name).native();
  if (policy_.symlinks != job::SourcePolicy::Symlinks::kFollow || path.size() < PATH_MAX)
    return true;
  log_.problem("source-path-long", printable(path),
               "has a path of " + std::to_string(path.size()) +
                   " bytes, and no file can be opened "
                   "by one of more than " +
                   std::to_string(PATH_MAX - 1));
  return false;
}

bool SourceScanner::size_fits(const Level& level, const std::string& name, std::uint64_t size) {
  const job::ItemType type = job_.dataset.rows[row_index_].type;
  const std::string_view type_name = job::to_string(type);
  const auto shown = [&] { return printable((level.path / name).native()); };
  for (const SizeLimit& limit : kSizeLimits) {
    if (limit.type != type) continue;
    if (size > limit.refused_above) {
      log_.problem("file-too-large", shown(),
                   "has " + counted(size, "byte") + ", a " + std::string(type_name) + " at most " +
                       std::to_string(limit.refused_above));
      return false;
    }
    if (size % limit.multiple_of != 0) {
      log_.problem("page-blob-length", shown(),
                   "has " + counted(size, "byte") + ", which is not a multiple of " +
                       std::to_string(limit.multiple_of) + " as a " + std::string(type_name) +
                       " needs");
      return false;
    }
    if (size > limit.warned_above) {
      log_.warn("large-file", shown(),
                "is larger than the newer Data Box service takes as a " + std::string(type_name));
    }
  }
  if (type == job::ItemType::kBlockBlob) {
    const std::uint64_t block = manifest::block_length_for(size).value();
    if (block > manifest::kPieceLength) {
      log_.warn("block-size", shown(),
                "needs blocks of " + std::to_string(block / kMiB) +
                    " MiB, because a blob has at most 50 000; the service's rule for that is not "
                    "published");
    }
  }
  return true;
}

void SourceScanner::file(Level& level, const std::string& name, const std::string& blob_name,
                         const struct statx& facts) {
  const job::DatasetRow& row = job_.dataset.rows[row_index_];
  if (!blob_name_fits(blob_name) || !source_path_fits(level, name) ||
      !size_fits(level, name, facts.stx_size)) {
    return;
  }
  if (job::has_segment_ending_in_dot(blob_name)) {
    log_.warn("blob-name-dot", row.container + "/" + printable(blob_name),
              "has a path segment that ends in a dot, which some clients drop");
  }
  ScannedFile scanned;
  scanned.directory = level.directory;
  scanned.source = level.source;
  scanned.dataset_row = row_index_;
  scanned.name = blob_name.substr(level.prefix.size());
  if (scanned.name != name) scanned.source_name = name;
  scanned.size = facts.stx_size;
  scanned.times = times_of(facts);
  scanned.blob_path_bytes = row.container.size() + 1 + blob_name.size();
  const std::size_t above = draft_.session().size() + row.container.size() + 3;
  // UTF-16 never has more units than UTF-8 has bytes: most names need no conversion.
  if (above + blob_name.size() > kLongPathUnits) {
    const std::size_t units = above + utf16_from_utf8(blob_name).value().size();
    if (units > kLongPathUnits) {
      log_.warn("long-path", row.container + "/" + printable(blob_name),
                "has a path of " + std::to_string(units) +
                    " characters on the drive; Windows "
                    "programs without long-path support cannot open it");
    }
  }
  level.pending.push_back(std::move(scanned));
  if (level.pending.size() >= kMaxPending) flush(level);
}

void SourceScanner::flush(Level& level) {
  std::sort(level.pending.begin(), level.pending.end(), written_before);
  for (const ScannedFile& scanned : level.pending) {
    draft_.add_file(scanned);
    if (progress_ && draft_.files() % kProgressEvery == 0) {
      progress_(draft_.files(), draft_.bytes());
    }
  }
  level.pending.clear();
}

}  // namespace driveprep::plan
