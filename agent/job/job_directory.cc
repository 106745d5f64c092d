#include "agent/job/job_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "agent/job/samples.h"
#include "base/atomic_file.h"
#include "base/directories.h"
#include "base/error.h"
#include "base/posix.h"
#include "base/system_error.h"

namespace driveprep::job {
namespace {

namespace fs = std::filesystem;

constexpr const char* kInitRemedy = "Make one with \"driveprep init\", or correct the path.";

// "/a/job/" and "/a/job" are one directory.
fs::path tidy(const fs::path& path) {
  fs::path result = fs::absolute(path).lexically_normal();
  return result.has_filename() || !result.has_relative_path() ? result : result.parent_path();
}

[[noreturn]] void write_failed(const std::string& attempt, int cause) {
  throw job_directory_error(attempt, cause);
}

// A file that vanishes when its scope ends.
class Probe {
 public:
  explicit Probe(const fs::path& directory) : path_((directory / ".driveprep-XXXXXX").string()) {
    fd_ = UniqueFd(::mkostemp(path_.data(), O_CLOEXEC));
    if (!fd_.valid()) write_failed("create a file in " + directory.string(), errno);
  }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  ~Probe() { ::unlink(path_.c_str()); }

  void fill(std::uint64_t bytes) {
    const Bytes block(64 * 1024);
    for (std::uint64_t done = 0; done < bytes;) {
      const ssize_t put = ::write(fd_.get(), block.data(), block.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) write_failed("write to " + path_, errno);
      done += static_cast<std::uint64_t>(put);
    }
    if (::fsync(fd_.get()) != 0) write_failed("flush " + path_, errno);
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

void require_present(const fs::path& file) {
  if (fs::exists(fs::status(file))) return;
  throw Error(ErrorKind::kUsage, "job-file-missing", "there is no " + file.string(),
              "Run \"driveprep init\" on the job directory: it writes what is missing.");
}

}  // namespace

JobDirectory::JobDirectory(const Path& root) : root_(tidy(root)) {}

void JobDirectory::check_readable() const {
  struct stat facts {};
  if (::stat(root_.c_str(), &facts) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      throw Error(ErrorKind::kUsage, "job-directory-missing",
                  "there is no job directory " + root_.string(), kInitRemedy);
    }
    throw Error::from_errno(ErrorKind::kUsage, "job-directory-unreadable",
                            "look at the job directory " + root_.string(), errno,
                            "Make it readable for this user.");
  }
  if (!S_ISDIR(facts.st_mode)) {
    throw Error(ErrorKind::kUsage, "job-directory-missing", root_.string() + " is not a directory",
                kInitRemedy);
  }
  if (::access(root_.c_str(), R_OK | X_OK) != 0) {
    throw Error::from_errno(ErrorKind::kUsage, "job-directory-unreadable",
                            "read the job directory " + root_.string(), errno,
                            "Make it readable for this user.");
  }
}

void JobDirectory::check_writable(std::uint64_t bytes) const {
  check_readable();
  Probe(root_).fill(bytes);
}

Job load_job(const fs::path& root) {
  JobDirectory directory(root);
  directory.check_readable();
  for (const fs::path& file :
       {directory.job_file(), directory.dataset_file(), directory.driveset_file()}) {
    require_present(file);
  }
  JobSpec spec = load_job_spec(directory.job_file());
  Dataset dataset = load_dataset(directory.dataset_file());
  Driveset driveset = load_driveset(directory.driveset_file());
  return {std::move(directory), std::move(spec), std::move(dataset), std::move(driveset)};
}

Job load_job_for_keys(const fs::path& root) {
  JobDirectory directory(root);
  directory.check_readable();
  require_present(directory.job_file());
  JobSpec spec = load_job_spec(directory.job_file());
  return {std::move(directory), std::move(spec), {}, {}};
}

std::vector<fs::path> init_job_directory(const fs::path& root) {
  const JobDirectory directory(root);
  std::error_code cause;
  fs::create_directories(directory.root(), cause);
  if (cause && !fs::is_directory(directory.root())) {
    write_failed("make the directory " + directory.root().string(), cause.value());
  }
  directory.check_writable(64 * 1024);
  const bool new_dataset = !fs::exists(directory.dataset_file());
  std::vector<fs::path> written;
  for (const Sample& sample : samples()) {
    const fs::path file = directory.root() / sample.path;
    // The sample data belong to the sample data set, not to one the user has written.
    const bool data = file.parent_path() != directory.root();
    if (fs::exists(fs::symlink_status(file)) || (data && !new_dataset)) continue;
    in_job_directory([&] {
      create_directories_durably(file.parent_path(), ErrorKind::kWrite);
      write_file_atomically(file, as_bytes(sample.content), 0644);
    });
    written.push_back(file);
  }
  return written;
}

}  // namespace driveprep::job
