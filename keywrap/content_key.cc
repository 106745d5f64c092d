#include "keywrap/content_key.h"

#include <algorithm>
#include <exception>
#include <span>

#include "keywrap/content_cipher.h"
#include "keywrap/key_error.h"

namespace driveprep::keywrap {
namespace {

// One text for every way in which a key or a text can be wrong: the difference would help whoever
// tries altered envelopes.
[[noreturn]] void not_opened() {
  throw KeyError(Condition::kEnvelopeNotOpened,
                 "the key envelope does not open: it was altered, or is not under this key");
}

[[noreturn]] void foreign_key(const std::string& kid) {
  std::string why = ", which is not in this key store";
  std::string remedy = "Name the key store that the job was prepared with.";
  if (kid.starts_with("pkcs11:")) {
    why = ", which is on a token that the job does not name";
    remedy = "Name that token in job.json, then run the same command again.";
  } else if (!kid.starts_with("keystore:")) {
    why = ", which is no key of the job's cloud";
    remedy = "Restore the envelope from a copy, or name the cloud that the job was prepared with.";
  }
  throw KeyError(Condition::kEnvelopeKeyForeign, "the key envelope is under the key " + kid + why,
                 {.kid = kid}, std::move(remedy));
}

void warn_of_older(std::string& warning) {
  if (!warning.empty()) warning += "; ";
  warning += "it was wrapped with RSA-OAEP, whose SHA-1 is of the past: have it wrapped again";
}

ContentKey unwrap_one(const Recipient& recipient, const Envelope& envelope, KeyStore& keys) {
  Unwrapped unwrapped = keys.unwrap(recipient.kid, recipient.encrypted_key, recipient.algorithm);
  if (unwrapped.secret.size() != kContentKeyBytes) not_opened();
  auto plaintext = gcm_open(unwrapped.secret, envelope.iv, as_bytes(envelope.protected_header),
                            {envelope.ciphertext, envelope.tag});
  if (!plaintext) not_opened();
  if (recipient.algorithm == WrapAlgorithm::kRsaOaep) warn_of_older(unwrapped.warning);
  return {std::move(unwrapped.secret), std::move(*plaintext), recipient.kid,
          std::move(unwrapped.warning)};
}

ContentKey unwrap_by(std::span<const Recipient> recipients, const Envelope& envelope,
                     KeyStore& keys) {
  std::exception_ptr reason;  // of the first recipient whose key was here
  for (const Recipient& recipient : recipients) {
    if (!keys.owns(recipient.kid)) continue;
    try {
      return unwrap_one(recipient, envelope, keys);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kKey) throw;
      if (!reason) reason = std::current_exception();
    }
  }
  if (!reason) {
    foreign_key(recipients.front().kid);
  }
  try {
    std::rethrow_exception(reason);
  } catch (const KeyError& error) {
    if (error.condition() == Condition::kEnvelopeNotOpened) not_opened();
    throw;
  }
}

}  // namespace

ContentKey unwrap_content_key(const Envelope& envelope, KeyStore& keys) {
  return unwrap_by(envelope.recipients, envelope, keys);
}

ContentKey unwrap_content_key(const Envelope& envelope, KeyStore& keys, std::string_view kid) {
  const auto found = std::ranges::find(envelope.recipients, kid, &Recipient::kid);
  require(found != envelope.recipients.end(), "the key that is to open is none of the envelope's");
  return unwrap_by({found, 1}, envelope, keys);
}

void prove_wrapped(KeyStore& keys, std::string_view kid, ByteView wrapped,
                   const SecretBytes& secret) {
  KeyEvidence evidence{.kid = std::string(kid)};
  try {
    if (keys.unwrap(kid, wrapped).secret == secret) return;
  } catch (const KeyError& error) {
    // There is no envelope yet that could be damaged.
    if (error.condition() != Condition::kEnvelopeNotOpened) throw;
    evidence = error.with(evidence).evidence();
  }
  throw KeyError(Condition::kWrapFailed,
                 "the key " + std::string(kid) + " does not give back what it wrapped",
                 std::move(evidence));
}

Recipient wrap_content_key(const SecretBytes& key, KeyStore& keys, std::string_view kid) {
  Recipient recipient{std::string(kid), keys.wrap(kid, key)};
  prove_wrapped(keys, kid, recipient.encrypted_key, key);
  return recipient;
}

}  // namespace driveprep::keywrap
