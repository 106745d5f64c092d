// Changes of the keys over an envelope. What is sealed stays as it is, byte for byte: only the
// recipients change (key-wrapping reference, R23 and 6.3).
#pragma once

#include <string_view>

#include "base/digest.h"
#include "keywrap/envelope.h"

namespace driveprep::keywrap {

// Over protected header, initialisation vector, ciphertext and tag, as they stand in the JSON:
// equal before and after shows that nothing was encrypted anew.
Sha256 sealed_digest(const Envelope& envelope);

bool has_recipient(const Envelope& envelope, std::string_view kid);

struct Rewrapped {
  Envelope envelope;
  std::string opened_by;  // the key version that unwrapped the content key
  std::string warning;    // for the operator, or empty
  bool changed = true;    // false: the version was in front already, and opens
};

// Puts the version `kid` in front of the recipients that are there. The content key is wrapped
// under it, unwrapped again and compared before anything is returned. KeyErrors as open() and
// seal(); "envelope-recipients" when there are too many already.
Rewrapped add_recipient(const Envelope& envelope, KeyStore& keys, std::string_view kid);

// Puts the recipient `kid`, which is there already, in front of the others, after it has opened the
// envelope. One that does not, as after a mistake with copies, is made anew from those behind it;
// kEnvelopeNotOpened when they do not open it either.
Rewrapped prefer_recipient(const Envelope& envelope, KeyStore& keys, std::string_view kid);

// Takes `dropped` away, after `kept` has opened the envelope. `kept` must be a recipient.
Envelope drop_recipient(const Envelope& envelope, KeyStore& keys, std::string_view dropped,
                        std::string_view kept);

}  // namespace driveprep::keywrap
