#include "drive/guard/opener_service.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <thread>
#include <utility>

#include "base/posix.h"
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

// Behind the first one, over which the answer goes.
int asked_of(const Envelope& envelope) {
  if (envelope.descriptors.size() != 2) throw FormatError("a request without its descriptor");
  return envelope.descriptors[1].get();
}

OpenerAnswer answer_to(const Envelope& envelope, DiskOpener& opener, OpenedDisk& opened) {
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
        require_whole_disk(asked_of(envelope), request.name);
        answer.pages = opener.ata_pages(asked_of(envelope), request.name);
        break;
      case Kind::kReadTableAnew:
        require_whole_disk(asked_of(envelope), request.name);
        opener.read_table_anew(asked_of(envelope), request.name);
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

void serve(const Envelope& envelope, DiskOpener& opener) {
  OpenedDisk opened;
  const OpenerAnswer answer = answer_to(envelope, opener, opened);
  std::vector<int> descriptors;
  for (const int fd : {opened.fd.get(), opened.direct.get()}) {
    if (fd >= 0) descriptors.push_back(fd);
  }
  try {
    send_envelope(envelope.descriptors.front().get(), answer.serialise(), descriptors);
  } catch (const Error&) {  // nobody waits for the answer any more
  }
}

}  // namespace

void serve_opener(int socket, const std::shared_ptr<DiskOpener>& opener) {
  while (std::optional<Envelope> request = receive_envelope(socket)) {
    if (request->descriptors.empty()) throw FormatError("a request without a way back");
    std::thread([opener, envelope = std::move(*request)] { serve(envelope, *opener); }).detach();
  }
}

}  // namespace driveprep::guard
