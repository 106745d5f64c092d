// What is said between the worker and the opener process: one message a request, one an answer,
// over sockets of kind SOCK_SEQPACKET. Descriptors travel beside them (SCM_RIGHTS): with a request
// the socket for its answer and then what is asked about; with an answer what was opened.
//
// Both ends are one program, started at once: the format may change with every version.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/unique_fd.h"
#include "drive/guard/disk_opener.h"

namespace driveprep::guard {

struct OpenerRequest {
  enum class Kind : std::uint8_t { kOpen = 1, kAtaPages = 2, kReadTableAnew = 3 };
  Kind kind = Kind::kOpen;
  DiskAccess access = DiskAccess::kLook;  // kOpen
  std::string name;                       // kOpen: the node; else what the disk is called

  Bytes serialise() const;
  static OpenerRequest parse(ByteView message);  // throws FormatError
};

struct OpenerAnswer {
  std::optional<Error> error;
  inventory::AtaPages pages;  // kAtaPages

  Bytes serialise() const;
  static OpenerAnswer parse(ByteView message);  // throws FormatError
};

struct Envelope {
  Bytes message;
  std::vector<UniqueFd> descriptors;  // at most two
};

// Throw kInternal "opener-lost" when the other end is gone.
void send_envelope(int socket, ByteView message, const std::vector<int>& descriptors);
// nullopt when the other end has closed.
std::optional<Envelope> receive_envelope(int socket);

}  // namespace driveprep::guard
