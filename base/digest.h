// Message digests through OpenSSL: SHA-256 and single-stream MD5. For many MD5 blocks at once see
// md5_lanes.h.
#pragma once

#include <array>
#include <memory>

#include "base/bytes.h"

namespace driveprep {

using Sha256 = std::array<std::byte, 32>;
using Md5 = std::array<std::byte, 16>;

Sha256 sha256(ByteView data);
Md5 md5(ByteView data);

// Incremental digest.
class Digest {
 public:
  enum class Algorithm { kMd5, kSha256 };
  explicit Digest(Algorithm algorithm);
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  void update(ByteView data);
  // 16 or 32 bytes; the object is used up.
  Bytes finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driveprep
