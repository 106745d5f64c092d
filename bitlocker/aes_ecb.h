// The bare block cipher over many independent blocks: what the portable sector ciphers are built
// from.
//
// libcrypto's own XTS and CBC take one tweak or IV a call, and setting it costs as much time as
// encrypting 512 bytes. Whole batches of sectors through ECB leave that out, and let the blocks of
// different sectors run through the AES unit together where the mode itself is a chain.
#pragma once

#include <memory>

#include "base/bytes.h"

struct evp_cipher_ctx_st;

namespace driveprep::bitlocker {

// Not safe for concurrent calls; copies are independent.
class AesEcb {
 public:
  enum class Direction { kEncrypt, kDecrypt };

  // `key`: 16 or 32 bytes.
  AesEcb(ByteView key, Direction direction);
  AesEcb(const AesEcb& other);
  AesEcb& operator=(const AesEcb&) = delete;

  // Whole blocks; `in` and `out` are the same memory or disjoint.
  void transform(ByteView in, MutableByteView out);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  std::unique_ptr<evp_cipher_ctx_st, Free> context_;
};

}  // namespace driveprep::bitlocker
