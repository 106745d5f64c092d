#include "keywrap/rewrap.h"

#include <algorithm>

#include "base/encoding.h"
#include "keywrap/content_key.h"
#include "keywrap/key_error.h"

namespace driveprep::keywrap {
namespace {

auto recipient_of(const Envelope& envelope, std::string_view kid) {
  return std::ranges::find(envelope.recipients, kid, &Recipient::kid);
}

}  // namespace

Sha256 sealed_digest(const Envelope& envelope) {
  // None of the parts can hold the separator.
  const std::string text = envelope.protected_header + "." + base64url(envelope.iv) + "." +
                           base64url(envelope.ciphertext) + "." + base64url(envelope.tag);
  return sha256(as_bytes(text));
}

bool has_recipient(const Envelope& envelope, std::string_view kid) {
  return recipient_of(envelope, kid) != envelope.recipients.end();
}

Rewrapped add_recipient(const Envelope& envelope, KeyStore& keys, std::string_view kid) {
  if (envelope.recipients.size() >= kMaxRecipients) {
    throw Error(ErrorKind::kKey, "envelope-recipients",
                "the envelope is under " + std::to_string(envelope.recipients.size()) +
                    " keys already, and takes no more",
                "Wait until the older ones may be dropped (driveprep key status tells when), then "
                "run driveprep key rewrap.");
  }
  ContentKey content = unwrap_content_key(envelope, keys);
  Rewrapped result{envelope, std::move(content.kid), std::move(content.warning)};
  result.envelope.recipients.insert(result.envelope.recipients.begin(),
                                    wrap_content_key(content.key, keys, kid));
  require(sealed_digest(result.envelope) == sealed_digest(envelope),
          "re-wrapping has changed what is sealed");
  return result;
}

Rewrapped prefer_recipient(const Envelope& envelope, KeyStore& keys, std::string_view kid) {
  const auto preferred = recipient_of(envelope, kid);
  require(preferred != envelope.recipients.end(), "the preferred key is none of the envelope's");
  const auto at = preferred - envelope.recipients.begin();
  try {
    ContentKey content = unwrap_content_key(envelope, keys, kid);
    Rewrapped result{envelope, std::move(content.kid), std::move(content.warning), at != 0};
    const auto begin = result.envelope.recipients.begin();
    std::rotate(begin, begin + at, begin + at + 1);
    return result;
  } catch (const KeyError& error) {
    if (error.condition() != Condition::kEnvelopeNotOpened || envelope.recipients.size() == 1) {
      throw;
    }
  }
  Envelope rest = envelope;
  rest.recipients.erase(rest.recipients.begin() + at);
  return add_recipient(rest, keys, kid);
}

Envelope drop_recipient(const Envelope& envelope, KeyStore& keys, std::string_view dropped,
                        std::string_view kept) {
  const auto stays = recipient_of(envelope, kept);
  require(stays != envelope.recipients.end() && dropped != kept,
          "the key that is to stay is none of the envelope's");
  unwrap_content_key(envelope, keys, kept);
  Envelope result = envelope;
  std::erase_if(result.recipients, [&](const Recipient& r) { return r.kid == dropped; });
  return result;
}

}  // namespace driveprep::keywrap
