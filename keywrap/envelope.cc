#include "keywrap/envelope.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <set>

#include "base/encoding.h"
#include "base/error.h"
#include "keywrap/content_cipher.h"
#include "keywrap/content_key.h"
#include "keywrap/excerpt.h"
#include "keywrap/key_error.h"
#include "keywrap/strict_json.h"

namespace driveprep::keywrap {
namespace {

using nlohmann::json;

constexpr int kFormatVersion = 1;
constexpr std::size_t kMaxEnvelopeBytes = 64 * 1024;
constexpr std::size_t kMaxMetadataEnvelopeBytes = 256 * 1024;
constexpr std::size_t kMaxKidBytes = 512;
constexpr std::size_t kMaxNameBytes = 256;
constexpr std::size_t kMostAroundValue = 3072;  // of the payload

[[noreturn]] void corrupt(const std::string& why) {
  throw KeyError(Condition::kEnvelopeCorrupt, "the key envelope cannot be read: " + why);
}

[[noreturn]] void bad_algorithm(const std::string& what, const std::string& name) {
  const bool older = name == to_string(WrapAlgorithm::kRsaOaep);
  throw Error(ErrorKind::kKey, "envelope-algorithm",
              "the key envelope uses the " + what + " " + excerpt(name, 40) +
                  ", which is not accepted" + (older ? " unless you say so" : ""),
              older
                  ? "driveprep key show and key unwrap-secret open what another tool has made with "
                    "--allow-rsa-oaep."
                  : "Use the envelope that driveprep made.");
}

// One text for every way in which a key or a text can be wrong: the difference would help whoever
// tries altered envelopes.
[[noreturn]] void not_opened() {
  throw KeyError(Condition::kEnvelopeNotOpened,
                 "the key envelope does not open: it was altered, or is not under this key");
}

[[noreturn]] void invalid_binding() {
  throw Error(ErrorKind::kKey, "envelope-binding-invalid",
              "a job name or drive id is empty, longer than " + std::to_string(kMaxNameBytes) +
                  " bytes, or not printable UTF-8",
              "Use a job name and drive ids of printable characters.");
}

void require_members(const json& object, const char* what, const std::set<std::string>& allowed) {
  if (!object.is_object()) corrupt(std::string(what) + " is not an object");
  for (const auto& [name, value] : object.items()) {
    if (!allowed.contains(name)) corrupt(std::string(what) + " has a member that is not allowed");
  }
  if (object.size() != allowed.size()) corrupt(std::string(what) + " lacks a member");
}

const std::string& text_member(const json& object, const char* name) {
  const json& member = object.at(name);
  if (!member.is_string()) corrupt("'" + std::string(name) + "' is not a string");
  return member.get_ref<const std::string&>();
}

Bytes binary_member(const json& object, const char* name) {
  auto bytes = from_base64url(text_member(object, name));
  if (!bytes) corrupt("'" + std::string(name) + "' is not base64url");
  return std::move(*bytes);
}

template <std::size_t kSize>
std::array<std::byte, kSize> sized_member(const json& object, const char* name) {
  const Bytes bytes = binary_member(object, name);
  if (bytes.size() != kSize) corrupt("'" + std::string(name) + "' has the wrong length");
  std::array<std::byte, kSize> result{};
  std::copy(bytes.begin(), bytes.end(), result.begin());
  return result;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes &&
         std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

bool is_plain_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= 0x20 && c <= 0x7E && c != '"' && c != '\\'; });
}

std::string protected_header(const Binding& binding) {
  if (!is_name(binding.job) || !is_name(binding.drive)) invalid_binding();
  const json header = {{"typ", "JOSE+JSON"},
                       {"cty", "json"},
                       {"enc", "A256GCM"},
                       {"ie.v", kFormatVersion},
                       {"ie.job", binding.job},
                       {"ie.drive", binding.drive},
                       {"ie.purpose", to_string(binding.purpose)}};
  try {
    return base64url(as_bytes(header.dump()));
  } catch (const json::exception&) {  // not UTF-8
    invalid_binding();
  }
}

Binding parse_protected_header(const std::string& encoded) {
  const auto raw = from_base64url(encoded);
  if (!raw) corrupt("'protected' is not base64url");
  json header;
  try {
    header = parse_strict_json(as_text(*raw), kMaxEnvelopeBytes);
  } catch (const FormatError& error) {
    corrupt(std::string("in the protected header, ") + error.what());
  }
  require_members(header, "the protected header",
                  {"typ", "cty", "enc", "ie.v", "ie.job", "ie.drive", "ie.purpose"});
  if (const std::string& enc = text_member(header, "enc"); enc != "A256GCM") {
    bad_algorithm("content encryption", enc);
  }
  if (text_member(header, "typ") != "JOSE+JSON" || text_member(header, "cty") != "json") {
    corrupt("its type is unknown");
  }
  if (header.at("ie.v") != kFormatVersion) corrupt("its format version is unknown");
  const auto purpose = purpose_from(text_member(header, "ie.purpose"));
  if (!purpose) corrupt("its purpose is unknown");
  Binding binding{text_member(header, "ie.job"), text_member(header, "ie.drive"), *purpose};
  if (!is_name(binding.job) || !is_name(binding.drive)) corrupt("its job or drive is not a name");
  return binding;
}

Recipient parse_recipient(const json& object, Accept accept) {
  require_members(object, "a recipient", {"header", "encrypted_key"});
  const json& header = object.at("header");
  require_members(header, "a recipient's header", {"alg", "kid"});
  const auto algorithm = wrap_algorithm_from(text_member(header, "alg"));
  if (!algorithm || (algorithm == WrapAlgorithm::kRsaOaep && accept != Accept::kAlsoRsaOaep)) {
    bad_algorithm("key wrapping", text_member(header, "alg"));
  }
  Recipient recipient{text_member(header, "kid"), binary_member(object, "encrypted_key"),
                      *algorithm};
  if (recipient.kid.empty() || recipient.kid.size() > kMaxKidBytes ||
      !is_plain_ascii(recipient.kid)) {
    corrupt("the identifier of a key is not one");
  }
  return recipient;
}

}  // namespace

Envelope Envelope::parse(std::string_view text, Accept accept) {
  json document;
  try {
    document = parse_strict_json(text, kMaxMetadataEnvelopeBytes);
  } catch (const FormatError& error) {
    corrupt(error.what());
  }
  require_members(document, "the envelope", {"protected", "recipients", "iv", "ciphertext", "tag"});
  const json& recipients = document.at("recipients");
  if (!recipients.is_array() || recipients.empty() || recipients.size() > kMaxRecipients) {
    corrupt("it does not have 1 to " + std::to_string(kMaxRecipients) + " recipients");
  }
  Envelope envelope;
  envelope.protected_header = text_member(document, "protected");
  envelope.binding = parse_protected_header(envelope.protected_header);
  if (envelope.binding.purpose != Purpose::kVolumeMetadata && text.size() > kMaxEnvelopeBytes) {
    corrupt("it is too long");
  }
  for (const json& recipient : recipients) {
    envelope.recipients.push_back(parse_recipient(recipient, accept));
  }
  envelope.iv = sized_member<12>(document, "iv");
  envelope.ciphertext = binary_member(document, "ciphertext");
  if (envelope.ciphertext.size() > longest_value(envelope.binding.purpose) + kMostAroundValue) {
    corrupt("its ciphertext is too long");
  }
  envelope.tag = sized_member<16>(document, "tag");
  return envelope;
}

std::string Envelope::to_json() const {
  json list = json::array();
  for (const Recipient& recipient : recipients) {
    list.push_back({{"header", {{"alg", to_string(recipient.algorithm)}, {"kid", recipient.kid}}},
                    {"encrypted_key", base64url(recipient.encrypted_key)}});
  }
  const json document = {{"protected", protected_header},
                         {"recipients", std::move(list)},
                         {"iv", base64url(iv)},
                         {"ciphertext", base64url(ciphertext)},
                         {"tag", base64url(tag)}};
  return document.dump() + "\n";
}

std::string seal(const Binding& binding, const Payload& payload, KeyStore& keys,
                 std::string_view kid) {
  check_value(payload.value, binding.purpose);
  const SecretBytes content_key = SecretBytes::random(kContentKeyBytes);

  Envelope envelope;
  envelope.binding = binding;
  envelope.protected_header = protected_header(binding);
  const SecretBytes nonce = SecretBytes::random(envelope.iv.size());
  std::copy(nonce.span().begin(), nonce.span().end(), envelope.iv.begin());
  Sealed sealed = gcm_seal(content_key, envelope.iv, as_bytes(envelope.protected_header),
                           payload_json(payload, binding.purpose));
  envelope.ciphertext = std::move(sealed.ciphertext);
  envelope.tag = sealed.tag;
  envelope.recipients.push_back(wrap_content_key(content_key, keys, kid));
  return envelope.to_json();
}

Opened open(std::string_view text, const Binding& expected, KeyStore& keys, Accept accept) {
  const Envelope envelope = Envelope::parse(text, accept);
  if (envelope.binding != expected) {
    throw KeyError(Condition::kBindingMismatch,
                   "the key envelope is for drive '" + envelope.binding.drive + "' of job '" +
                       envelope.binding.job + "' (" +
                       std::string(to_string(envelope.binding.purpose)) + "), not for drive '" +
                       expected.drive + "' of job '" + expected.job + "' (" +
                       std::string(to_string(expected.purpose)) + ")");
  }
  const ContentKey content_key = unwrap_content_key(envelope, keys);
  auto payload = parse_payload(content_key.plaintext, expected.purpose);
  if (!payload) not_opened();
  Opened opened{std::move(*payload), content_key.kid, {}};
  if (!content_key.warning.empty()) opened.warnings.push_back(content_key.warning);
  return opened;
}

}  // namespace driveprep::keywrap
