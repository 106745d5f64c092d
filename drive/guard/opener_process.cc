#include "drive/guard/opener_process.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <mutex>

#include "base/posix.h"
#include "base/privileges.h"
#include "drive/guard/opener_messages.h"

namespace driveprep::guard {
namespace {

using Kind = OpenerRequest::Kind;

// "/dev/sdb", "/dev/cciss/c0d0": the kernel's own names, by no other way.
void require_device_name(const std::filesystem::path& node) {
  const std::filesystem::path parent = node.parent_path();
  const bool plain = node == node.lexically_normal() && node.has_filename() &&
                     (parent == "/dev" || parent.parent_path() == "/dev") &&
                     !std::filesystem::is_symlink(parent);
  if (plain) return;
  throw Error(ErrorKind::kRefused, "disk-not-a-drive", node.string() + " is no disk in /dev");
}

void require_whole_disk(int fd, const std::string& name) {
  const struct stat status = posix::fstat(fd, name, ErrorKind::kBusy);
  const std::string disk = "/sys/dev/block/" + std::to_string(major(status.st_rdev)) + ":" +
                           std::to_string(minor(status.st_rdev));
  if (S_ISBLK(status.st_mode) && std::filesystem::exists(disk) &&
      !std::filesystem::exists(disk + "/partition")) {
    return;
  }
  throw Error(ErrorKind::kRefused, "disk-not-whole", name + " is no whole disk",
              "Name the whole disk.");
}

int only_descriptor(const Envelope& envelope) {
  if (envelope.descriptors.size() != 1) throw FormatError("a request without its descriptor");
  return envelope.descriptors.front().get();
}

OpenerAnswer answer_to(const Envelope& envelope, OwnOpener& opener, OpenedDisk& opened) {
  OpenerAnswer answer;
  try {
    const OpenerRequest request = OpenerRequest::parse(envelope.message);
    switch (request.kind) {
      case Kind::kOpen:
        require_device_name(request.name);
        opened = opener.open(request.name, request.access);
        require_whole_disk(opened.fd.get(), request.name);
        break;
      case Kind::kAtaPages:
        require_whole_disk(only_descriptor(envelope), request.name);
        answer.pages = opener.ata_pages(only_descriptor(envelope), request.name);
        break;
      case Kind::kReadTableAnew:
        require_whole_disk(only_descriptor(envelope), request.name);
        opener.read_table_anew(only_descriptor(envelope), request.name);
        break;
    }
  } catch (const Error& error) {
    answer.error = error;
  } catch (const std::exception& error) {
    answer.error.emplace(ErrorKind::kInternal, "opener-lost", error.what());
  }
  if (answer.error) opened = OpenedDisk();
  return answer;
}

void serve(int socket) {
  OwnOpener opener;
  while (const std::optional<Envelope> request = receive_envelope(socket)) {
    OpenedDisk opened;
    const OpenerAnswer answer = answer_to(*request, opener, opened);
    std::vector<int> descriptors;
    for (const int fd : {opened.fd.get(), opened.direct.get()}) {
      if (fd >= 0) descriptors.push_back(fd);
    }
    send_envelope(socket, answer.serialise(), descriptors);
  }
}

// The child. What stops the worker stops by the end of the socket: Ctrl-C goes to both.
[[noreturn]] void run_opener(int socket) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(number, SIG_IGN);
  try {
    keep_disk_rights_only();
    serve(socket);
  } catch (const std::exception&) {
    ::_exit(1);
  }
  ::_exit(0);
}

class RemoteOpener final : public DiskOpener {
 public:
  RemoteOpener(UniqueFd socket, pid_t child) : socket_(std::move(socket)), child_(child) {}
  ~RemoteOpener() override {
    socket_ = UniqueFd();
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  OpenedDisk open(const std::filesystem::path& node, DiskAccess access) override {
    Envelope envelope = ask({Kind::kOpen, access, node.string()}, {}).first;
    OpenedDisk disk;
    require(!envelope.descriptors.empty(), "the opener has sent no descriptor");
    disk.fd = std::move(envelope.descriptors[0]);
    if (envelope.descriptors.size() > 1) disk.direct = std::move(envelope.descriptors[1]);
    return disk;
  }

  inventory::AtaPages ata_pages(int fd, const std::string& name) override {
    return ask({Kind::kAtaPages, DiskAccess::kLook, name}, {fd}).second.pages;
  }

  void read_table_anew(int fd, const std::string& name) override {
    ask({Kind::kReadTableAnew, DiskAccess::kLook, name}, {fd});
  }

 private:
  std::pair<Envelope, OpenerAnswer> ask(const OpenerRequest& request,
                                        const std::vector<int>& descriptors) {
    std::scoped_lock lock(mutex_);
    send_envelope(socket_.get(), request.serialise(), descriptors);
    std::optional<Envelope> envelope = receive_envelope(socket_.get());
    if (!envelope) {
      throw Error(ErrorKind::kInternal, "opener-lost", "the process that opens disks has ended",
                  "Run the command again; if it happens again, report it.");
    }
    OpenerAnswer answer = OpenerAnswer::parse(envelope->message);
    if (answer.error) throw *answer.error;
    return {std::move(*envelope), std::move(answer)};
  }

  std::mutex mutex_;
  UniqueFd socket_;
  pid_t child_;
};

}  // namespace

std::unique_ptr<DiskOpener> start_opener_process() {
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    throw Error::from_errno(ErrorKind::kInternal, "opener-lost", "make a socket", errno);
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  const pid_t child = ::fork();
  if (child < 0) {
    throw Error::from_errno(ErrorKind::kInternal, "opener-lost", "start a process", errno);
  }
  if (child == 0) {
    ours = UniqueFd();
    run_opener(theirs.get());
  }
  return std::make_unique<RemoteOpener>(std::move(ours), child);
}

}  // namespace driveprep::guard
