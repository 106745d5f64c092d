#include "drive/guard/opener_messages.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace driveprep::guard {
namespace {

constexpr std::size_t kMostMessage = 16 * 1024;  // three pages of 512 bytes, and texts
constexpr std::size_t kMostDescriptors = 2;
constexpr std::uint8_t kNo = 0;
constexpr std::uint8_t kYes = 1;
constexpr std::uint8_t kUntold = 2;

void put_text(ByteWriter& out, std::string_view text) {
  // What is longer was never meant to be read; the start of it is.
  const std::string_view kept = text.substr(0, 4096);
  out.u16(static_cast<std::uint16_t>(kept.size())).bytes(as_bytes(kept));
}

std::string text_from(ByteReader& in) { return std::string(as_text(in.take(in.u16()))); }

void put_page(ByteWriter& out, const std::optional<Bytes>& page) {
  out.u8(page ? 1 : 0);
  if (page) out.u16(static_cast<std::uint16_t>(page->size())).bytes(*page);
}

std::optional<Bytes> page_from(ByteReader& in) {
  if (in.u8() == 0) return std::nullopt;
  const ByteView page = in.take(in.u16());
  return Bytes(page.begin(), page.end());
}

[[noreturn]] void lost(const char* what, int error) {
  throw Error::from_errno(ErrorKind::kInternal, "opener-lost", what, error,
                          "Run the command again; if it happens again, report it.");
}

// Room for the control message with the descriptors, aligned as the kernel wants it.
struct Control {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostDescriptors * sizeof(int))> bytes{};
};

}  // namespace

Bytes OpenerRequest::serialise() const {
  ByteWriter out;
  out.u8(static_cast<std::uint8_t>(kind)).u8(static_cast<std::uint8_t>(access));
  put_text(out, name);
  return out.take();
}

OpenerRequest OpenerRequest::parse(ByteView message) {
  ByteReader in(message);
  OpenerRequest request;
  const std::uint8_t kind = in.u8();
  const std::uint8_t access = in.u8();
  if (kind < 1 || kind > 3 || access > static_cast<std::uint8_t>(DiskAccess::kExclusive)) {
    throw FormatError("no request of this kind");
  }
  request.kind = static_cast<Kind>(kind);
  request.access = static_cast<DiskAccess>(access);
  request.name = text_from(in);
  return request;
}

Bytes OpenerAnswer::serialise() const {
  ByteWriter out;
  out.u8(error ? 1 : 0);
  if (error) {
    out.u8(static_cast<std::uint8_t>(error->kind()));
    for (const std::string_view text :
         {std::string_view(error->code()), std::string_view(error->what()),
          std::string_view(error->remedy())}) {
      put_text(out, text);
    }
    return out.take();
  }
  put_page(out, pages.identify);
  put_page(out, pages.smart);
  put_page(out, pages.thresholds);
  out.u8(pages.predicts_failure ? (*pages.predicts_failure ? kYes : kNo) : kUntold);
  put_text(out, pages.smart_problem);
  out.u64(pages.native_sectors.value_or(0));
  return out.take();
}

OpenerAnswer OpenerAnswer::parse(ByteView message) {
  ByteReader in(message);
  OpenerAnswer answer;
  if (in.u8() != 0) {
    const auto kind = static_cast<ErrorKind>(in.u8());
    const std::string code = text_from(in);
    const std::string what = text_from(in);
    answer.error.emplace(kind, code, what, text_from(in));
    return answer;
  }
  answer.pages.identify = page_from(in);
  answer.pages.smart = page_from(in);
  answer.pages.thresholds = page_from(in);
  const std::uint8_t predicts = in.u8();
  if (predicts != kUntold) answer.pages.predicts_failure = predicts == kYes;
  answer.pages.smart_problem = text_from(in);
  if (const std::uint64_t sectors = in.u64(); sectors > 0) answer.pages.native_sectors = sectors;
  return answer;
}

void send_envelope(int socket, ByteView message, const std::vector<int>& descriptors) {
  require(descriptors.size() <= kMostDescriptors, "too many descriptors for one message");
  iovec part{const_cast<std::byte*>(message.data()), message.size()};
  Control control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    const std::size_t bytes = descriptors.size() * sizeof(int);
    header.msg_control = control.bytes.data();
    header.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(rights), descriptors.data(), bytes);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) lost("send to the process that opens disks", errno);
}

std::optional<Envelope> receive_envelope(int socket) {
  Envelope envelope;
  envelope.message.resize(kMostMessage);
  iovec part{envelope.message.data(), envelope.message.size()};
  Control control;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == ECONNRESET) return std::nullopt;
  if (got < 0) lost("receive from the process that opens disks", errno);
  for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(one) + i * sizeof(int), sizeof(int));
      envelope.descriptors.emplace_back(fd);
    }
  }
  if (got == 0) return std::nullopt;
  envelope.message.resize(static_cast<std::size_t>(got));
  return envelope;
}

}  // namespace driveprep::guard
