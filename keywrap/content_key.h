// The content key of an envelope: wrapped, proven, unwrapped.
#pragma once

#include <string>
#include <vector>

#include "keywrap/envelope.h"

namespace driveprep::keywrap {

struct ContentKey {
  SecretBytes key;
  SecretBytes plaintext;  // of the envelope, which it has opened
  std::string kid;        // the key version that unwrapped it
  std::string warning;    // for the operator, or empty
};

// By the first recipient whose key is here, may be used, and gives what opens the envelope: the
// authentication tag proves it, so that nobody relies on a recipient of another envelope. When
// there is none, KeyError with the reason of the first one that was here; kEnvelopeKeyForeign when
// none was, kEnvelopeNotOpened for what opens nothing.
ContentKey unwrap_content_key(const Envelope& envelope, KeyStore& keys);
// By the recipient `kid`, which must be one of the envelope's, and no other.
ContentKey unwrap_content_key(const Envelope& envelope, KeyStore& keys, std::string_view kid);

// Unwraps what the version `kid` has wrapped a moment ago, and compares: a key that only wraps
// would lose what is under it. KeyError kWrapFailed when it does not come back.
void prove_wrapped(KeyStore& keys, std::string_view kid, ByteView wrapped,
                   const SecretBytes& secret);

// Wraps under the version `kid`, and proves it.
Recipient wrap_content_key(const SecretBytes& key, KeyStore& keys, std::string_view kid);

}  // namespace driveprep::keywrap
