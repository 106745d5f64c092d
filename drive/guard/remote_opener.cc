#include "drive/guard/remote_opener.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace driveprep::guard {
namespace {

using Kind = OpenerRequest::Kind;
using Clock = std::chrono::steady_clock;

// False when nothing came for so long.
bool wait_for(int socket, std::chrono::milliseconds patience) {
  const auto end = Clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    pollfd one{socket, POLLIN, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) {
      throw Error::from_errno(ErrorKind::kInternal, "opener-lost", "wait for an answer", errno);
    }
  }
}

std::string doing(Kind kind) {
  switch (kind) {
    case Kind::kOpen: return "to be opened";
    case Kind::kAtaPages: return "for its identity and health";
    case Kind::kReadTableAnew: break;
  }
  return "for its partition table";
}

}  // namespace

OpenedDisk RemoteOpener::open(const std::filesystem::path& node, DiskAccess access) {
  Envelope envelope = ask({Kind::kOpen, access, node.string()}, {}).first;
  OpenedDisk disk;
  require(!envelope.descriptors.empty(), "the opener has sent no descriptor");
  disk.fd = std::move(envelope.descriptors[0]);
  if (envelope.descriptors.size() > 1) disk.direct = std::move(envelope.descriptors[1]);
  return disk;
}

inventory::AtaPages RemoteOpener::ata_pages(int fd, const std::string& name) {
  return ask({Kind::kAtaPages, DiskAccess::kLook, name}, {fd}).second.pages;
}

void RemoteOpener::read_table_anew(int fd, const std::string& name) {
  ask({Kind::kReadTableAnew, DiskAccess::kLook, name}, {fd});
}

// The answer comes over a socket of its own, so that nobody waits for another one's disk.
std::pair<Envelope, OpenerAnswer> RemoteOpener::ask(const OpenerRequest& request,
                                                    const std::vector<int>& descriptors) {
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    throw Error::from_errno(ErrorKind::kInternal, "opener-lost", "make a socket", errno);
  }
  const UniqueFd ours(pair[0]);
  {
    const UniqueFd theirs(pair[1]);
    std::vector<int> sent{theirs.get()};
    sent.insert(sent.end(), descriptors.begin(), descriptors.end());
    send_envelope(socket_.get(), request.serialise(), sent);
  }
  if (!wait_for(ours.get(), patience_)) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience_).count();
    throw Error(ErrorKind::kBusy, "disk-silent",
                request.name + " was asked " + doing(request.kind) + " and has not answered for " +
                    std::to_string(seconds) + " s",
                "Check its cable and power, look at the kernel log (dmesg), then run the same "
                "command again.");
  }
  std::optional<Envelope> envelope = receive_envelope(ours.get());
  if (!envelope) {
    throw Error(ErrorKind::kInternal, "opener-lost", "the process that opens disks has ended",
                "Run the command again; if it happens again, report it.");
  }
  OpenerAnswer answer = OpenerAnswer::parse(envelope->message);
  if (answer.error) throw *answer.error;
  return {std::move(*envelope), std::move(answer)};
}

}  // namespace driveprep::guard
