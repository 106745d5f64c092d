#include "agent/volume/output_tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/directories.h"
#include "base/posix.h"
#include "base/system_error.h"

namespace driveprep::volume {
namespace {

// Levels of a path that are kept open; the others are found again by their names. Any process may
// have 1024 descriptors, and NTFS has paths of 16 000 components.
constexpr std::size_t kOpenLevels = 64;

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

}  // namespace

void output_error(const std::string& attempt, int number) {
  switch (number) {
    case ENAMETOOLONG:
    case EINVAL:
    case EILSEQ:
      throw SystemError(ErrorKind::kRefused, "output-name", attempt, number,
                        "Take this file out by itself with `volume cat`, under another name.");
    case EFBIG:
      throw SystemError(ErrorKind::kRefused, "output-file-size", attempt, number,
                        "Extract to a file system that holds files of this size.");
    default:
      throw SystemError(ErrorKind::kWrite, "output-write", attempt, number,
                        "Check the directory, its permissions and the free space, then extract "
                        "again.");
  }
}

bool is_output_failure(const Error& error) { return error.code() == "output-write"; }

OutputTree::OutputTree(const std::filesystem::path& directory) {
  try {
    create_directories_durably(directory, ErrorKind::kWrite);
  } catch (const SystemError& error) {
    output_error("make the directory " + directory.string(), error.number());
  }
  UniqueFd fd(::open(directory.c_str(), kOpenDirectory));
  if (!fd.valid()) output_error("open the directory " + directory.string(), errno);
  levels_.push_back({directory.string(), std::move(fd)});
}

int OutputTree::enter(std::span<const std::string> components) {
  std::size_t common = 0;
  while (common < components.size() && common + 1 < levels_.size() &&
         levels_[common + 1].name == components[common]) {
    ++common;
  }
  levels_.resize(common + 1);
  for (const std::string& component : components.subspan(common)) {
    levels_.push_back({component, UniqueFd()});
  }
  // The last level that is open, and from there down.
  std::size_t open = levels_.size() - 1;
  while (!levels_[open].fd.valid()) --open;
  try {
    for (std::size_t level = open + 1; level < levels_.size(); ++level) descend(level);
  } catch (const Error&) {
    levels_.resize(1);
    throw;
  }
  return levels_.back().fd.get();
}

void OutputTree::descend(std::size_t level) {
  const int parent = levels_[level - 1].fd.get();
  const std::string& component = levels_[level].name;
  const auto attempt = [&](const char* verb) {
    return verb + (" the directory " + component + " below " + levels_.front().name);
  };
  if (::mkdirat(parent, component.c_str(), 0777) != 0 && errno != EEXIST) {
    output_error(attempt("make"), errno);
  }
  UniqueFd fd(::openat(parent, component.c_str(), kOpenDirectory | O_NOFOLLOW));
  if (!fd.valid()) {
    if (errno != ELOOP && errno != ENOTDIR) output_error(attempt("open"), errno);
    throw Error(ErrorKind::kRefused, "output-not-directory",
                component + " below " + levels_.front().name +
                    " is there already and no directory, but a file or a link",
                "Remove it, or extract to an empty directory.");
  }
  levels_[level].fd = std::move(fd);
  // Never the top, from which all others can be found again.
  if (level > kOpenLevels) levels_[level - kOpenLevels].fd = UniqueFd();
}

void OutputTree::set_times(const ntfs::FileTimes& times) {
  const timespec values[2] = {times.access.to_timespec(), times.modification.to_timespec()};
  if (::futimens(levels_.back().fd.get(), values) != 0) {
    output_error("set the times of " + name(), errno);
  }
}

std::string OutputTree::name() const { return levels_.back().name; }

void OutputTree::sync() {
  if (::syncfs(levels_.front().fd.get()) != 0) {
    output_error("flush what was extracted to " + levels_.front().name, errno);
  }
}

}  // namespace driveprep::volume
