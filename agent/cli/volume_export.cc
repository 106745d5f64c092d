#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/cli/output.h"
#include "agent/cli/stop_signals.h"
#include "agent/cli/volume_session.h"
#include "agent/report/progress_display.h"
#include "agent/volume/export.h"
#include "base/human_text.h"
#include "base/posix.h"
#include "bitlocker/encrypted_device.h"

namespace driveprep::cli {
namespace {

// Where the bytes go: standard output, something that is there (a pipe, /dev/null), or a new file,
// which is removed again unless it was finished.
class Output {
 public:
  explicit Output(const std::string& path) : path_(path) {
    if (path_ == "-") {
      fd_ = UniqueFd(::dup(STDOUT_FILENO));
      path_ = "standard output";
      return;
    }
    fd_ = UniqueFd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    made_ = fd_.valid();
    if (fd_.valid()) return;
    struct stat status {};
    const bool there = errno == EEXIST && ::stat(path_.c_str(), &status) == 0;
    if (there && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode))) {
      throw Error(ErrorKind::kUsage, "output-exists", path_ + " is there already",
                  "Name a file that does not exist yet.");
    }
    if (there) fd_ = UniqueFd(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd_.valid()) {
      throw Error::from_errno(ErrorKind::kWrite, "output-failed", "create " + path_, errno,
                              "Name a file in a directory that this user can write to.");
    }
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() {
    if (made_ && !kept_) ::unlink(path_.c_str());
  }

  int fd() const { return fd_.get(); }
  const std::string& name() const { return path_; }
  bool is_new_file() const { return made_; }
  void keep() {
    if (made_) posix::fsync(fd_.get(), path_, ErrorKind::kWrite);
    kept_ = true;
  }

 private:
  std::string path_;
  UniqueFd fd_;
  bool made_ = false;
  bool kept_ = false;
};

}  // namespace

int run_volume_export(const VolumeExportOptions& options) {
  const bool to_stdout = options.output == "-";
  if (to_stdout && options.json) {
    throw Error(ErrorKind::kUsage, "output-needed",
                "standard output cannot take both the volume and the JSON result",
                "Name a file: --output FILE.");
  }
  const ExaminedVolume volume(options, volume::Access::kRead);
  const bitlocker::OpenedVolume opened = open_examined(volume, options);
  const bitlocker::DecryptedDevice plain(volume.device(), opened.layout, opened.cipher);
  Output output(options.output);

  const CleanStop clean_stop;
  report::DriveProgress progress("volume");
  progress.begin(report::Phase::kExporting, plain.size());
  std::uint64_t shown = 0;
  bool whole = false;
  {
    const report::ProgressDisplay display(
        {&progress},
        options.json ? report::ProgressStyle::kJson : report::progress_style_for_stderr(),
        &stop_requested());
    whole = volume::export_volume(
        plain, output.fd(), output.name(),
        {.sparse = output.is_new_file(), .on_progress = [&](std::uint64_t written) {
           progress.add_bytes(written - shown);
           shown = written;
           return !stop_requested();
         }});
  }
  if (!whole) {
    note("driveprep: stopped; nothing is left of the output");
    return stop_exit_status();
  }
  output.keep();
  if (options.json) {
    nlohmann::ordered_json document = volume_head(volume);
    document.update({{"volume_guid", opened.volume_id.lower()},
                     {"output", output.name()},
                     {"bytes", plain.size()}});
    print_json(document);
  } else {
    note("Exported " + human_bytes(plain.size()) + " of " + printable(volume.device().name()) +
         " to " + printable(output.name()) + ".");
  }
  return 0;
}

}  // namespace driveprep::cli
