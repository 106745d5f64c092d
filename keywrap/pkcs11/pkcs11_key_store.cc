#include "keywrap/pkcs11/pkcs11_key_store.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/ascii.h"
#include "base/error.h"
#include "keywrap/excerpt.h"
#include "keywrap/key_error.h"
#include "keywrap/pkcs11/oaep.h"
#include "keywrap/pkcs11/token_session.h"
#include "keywrap/private_file.h"
#include "keywrap/shown_uri.h"

namespace driveprep::keywrap::pkcs11 {
namespace {

constexpr std::size_t kMaxPinBytes = 256;
constexpr UnixSeconds kSecondsPerDay = 86'400;

CK_RSA_PKCS_OAEP_PARAMS parameters_of(WrapAlgorithm algorithm) {
  const bool sha1 = algorithm == WrapAlgorithm::kRsaOaep;
  CK_RSA_PKCS_OAEP_PARAMS parameters{};
  parameters.hashAlg = sha1 ? CKM_SHA_1 : CKM_SHA256;
  parameters.mgf = sha1 ? CKG_MGF1_SHA1 : CKG_MGF1_SHA256;
  parameters.source = CKZ_DATA_SPECIFIED;
  return parameters;
}

// What tokens say to a mechanism or parameters that they do not know.
bool is_unknown_mechanism(CK_RV result) {
  return result == CKR_MECHANISM_INVALID || result == CKR_MECHANISM_PARAM_INVALID ||
         result == CKR_ARGUMENTS_BAD || result == CKR_FUNCTION_NOT_SUPPORTED;
}

// Eight digits, or nothing (also as zeros or blanks).
std::optional<UnixSeconds> midnight_of(const std::optional<Bytes>& value, const std::string& kid) {
  const std::string_view text = value ? as_text(*value) : std::string_view();
  if (text.find_first_not_of(std::string_view("\0 ", 2)) == std::string_view::npos) {
    return std::nullopt;
  }
  using namespace std::chrono;
  if (text.size() == 8 && std::ranges::all_of(text, ascii::is_digit)) {
    const auto number = [text](std::size_t at, std::size_t length) {
      return std::stoi(std::string(text.substr(at, length)));
    };
    const year_month_day date{year(number(0, 4)), month(static_cast<unsigned>(number(4, 2))),
                              day(static_cast<unsigned>(number(6, 2)))};
    if (date.ok()) return sys_seconds(sys_days(date)).time_since_epoch().count();
  }
  throw KeyError(Condition::kUnexpected, "the key " + kid + " has a date that is none",
                 {.kid = kid}, "Correct CKA_START_DATE and CKA_END_DATE of the key.");
}

// Without the zero bytes in front.
Bytes number_of(std::optional<Bytes> value) {
  if (!value) return {};
  value->erase(value->begin(),
               std::ranges::find_if(*value, [](std::byte b) { return b != std::byte{0}; }));
  return std::move(*value);
}

unsigned bit_length(ByteView number) {
  if (number.empty()) return 0;
  const auto first = std::to_integer<unsigned>(number.front());
  return static_cast<unsigned>(8 * (number.size() - 1)) +
         static_cast<unsigned>(std::bit_width(first));
}

std::string key_type_of(std::optional<CK_ULONG> type, bool hardware) {
  if (type == CKK_RSA) return hardware ? "RSA-HSM" : "RSA";
  if (type == CKK_EC) return hardware ? "EC-HSM" : "EC";
  return "unknown";
}

void require_operation(const KeyVersion& version, const char* operation, const char* attribute) {
  if (std::ranges::find(*version.operations, operation) != version.operations->end()) return;
  throw KeyError(Condition::kKeyOperationMissing,
                 "the key " + version.kid + " may not be used for " + operation,
                 {.kid = version.kid},
                 std::string("Use a key with ") + attribute + ", or set it for this one.");
}

void require_rsa(const KeyVersion& version) {
  if (version.key_type.starts_with("RSA")) return;
  throw KeyError(Condition::kKeyTypeUnsupported, "the key " + version.kid + " is no RSA key",
                 {.kid = version.kid}, "Use an RSA key pair.");
}

// A token may leave away the zero bytes in front of a decrypted number: a block of OAEP begins with
// one.
SecretBytes as_block(const SecretBytes& number, std::size_t size) {
  if (number.size() > size) not_opened();
  SecretBytes block(size);
  std::ranges::copy(number.span(), block.span().subspan(size - number.size()).begin());
  return block;
}

}  // namespace

struct Pkcs11KeyStore::KeyPair {
  CK_OBJECT_HANDLE secret = CK_INVALID_HANDLE;  // the private key
  std::optional<CK_OBJECT_HANDLE> shown;        // the public key, when the token has it
  std::string label;
  Bytes id;
  Bytes modulus;
  Bytes exponent;
};

Pkcs11KeyStore::Pkcs11KeyStore(Options options)
    : options_(std::move(options)),
      session_(
          std::make_unique<TokenSession>(Module::load(options_.uri.module_path), options_.uri)) {}

Pkcs11KeyStore::~Pkcs11KeyStore() = default;

std::unique_ptr<Pkcs11KeyStore> Pkcs11KeyStore::open(Options options) {
  if (options.uri.module_path.empty()) {
    throw Error(ErrorKind::kKey, "token-module", "the PKCS#11 URI names no module",
                "Append the module of your token to it: ?module-path=/PATH.");
  }
  return std::unique_ptr<Pkcs11KeyStore>(new Pkcs11KeyStore(std::move(options)));
}

bool Pkcs11KeyStore::owns(std::string_view text) const {
  try {
    (void)require_own(text);
    return true;
  } catch (const KeyError&) {
    return false;
  }
}

Pkcs11Uri Pkcs11KeyStore::require_own(std::string_view text) const {
  Pkcs11Uri uri = Pkcs11Uri::parse(text);
  const Token& token = session_->token();
  const auto agrees = [](const std::optional<std::string>& wanted, const std::string& found) {
    return !wanted || *wanted == found;
  };
  const std::string shown = "'" + shown_uri(text) + "'";
  if (uri.has_query()) {
    throw KeyError(Condition::kUriInvalid, shown + " says how to get at a key, not only which", {},
                   "Leave away what follows the '?'.");
  }
  // An identifier is to find its token elsewhere, too: whatever depends on slot and library is no
  // part of it.
  const bool of_token = agrees(uri.token, token.label) && agrees(uri.serial, token.serial) &&
                        agrees(uri.manufacturer, token.manufacturer) &&
                        agrees(uri.model, token.model) && !uri.slot_id && !uri.slot_description &&
                        !uri.slot_manufacturer && !uri.library_description &&
                        !uri.library_manufacturer && !uri.library_version;
  if (!of_token || (!uri.object && !uri.id)) {
    throw KeyError(Condition::kUriInvalid,
                   shown + " is no key of the token '" + excerpt(token.label) + "' (serial " +
                       excerpt(token.serial) + ")",
                   {}, "Give token, serial, object and id of the key.");
  }
  return uri;
}

SecretBytes Pkcs11KeyStore::pin(const std::string& token) const {
  const std::filesystem::path& file = options_.uri.pin_source;
  if (file.empty()) {
    if (options_.ask_pin) return options_.ask_pin(token);
    throw Error(ErrorKind::kKey, "token-pin-missing",
                "the token '" + excerpt(token) + "' wants a PIN, and nobody gives one",
                "Append the file with the PIN to the URI of the token: pin-source=file:/PATH.");
  }
  auto text = read_private_secret(file, kMaxPinBytes);
  if (text && text->text().ends_with('\n')) text->truncate(text->size() - 1);
  if (!text || text->empty()) {
    throw Error(ErrorKind::kKey, "token-pin-missing",
                "the file " + file.string() + " holds no PIN, or does not exist",
                "Put the PIN of the token '" + excerpt(token) + "' into it, with mode 0600.");
  }
  return std::move(*text);
}

Pkcs11KeyStore::KeyPair Pkcs11KeyStore::find(const Pkcs11Uri& uri) {
  session_->log_in([this](const std::string& token) { return pin(token); });
  const std::vector<CK_OBJECT_HANDLE> found = session_->find(CKO_PRIVATE_KEY, uri.object, uri.id);
  if (found.empty()) {
    throw KeyError(Condition::kKeyNotFound, "the token has no key " + uri.to_string(),
                   {.kid = uri.to_string()},
                   "Check object and id; and that the key is a pair with a private half.");
  }
  const auto read = [&](CK_OBJECT_HANDLE handle) {
    KeyPair key;
    key.secret = handle;
    key.label = as_text(session_->attribute(handle, CKA_LABEL).value_or(Bytes()));
    key.id = session_->attribute(handle, CKA_ID).value_or(Bytes());
    return key;
  };
  if (found.size() > 1) {
    std::string list;
    for (const CK_OBJECT_HANDLE handle : found) {
      list += (list.empty() ? "" : ", ") + kid_of(read(handle));
    }
    throw KeyError(Condition::kUriInvalid,
                   uri.to_string() +
                       " means several keys, and a token does not tell which is the "
                       "newest: " +
                       list,
                   {.kid = uri.to_string()}, "Name one of them by its id.");
  }
  KeyPair key = read(found.front());
  if (key.id.empty()) {
    throw KeyError(Condition::kUriInvalid, "the key " + uri.to_string() + " has no CKA_ID",
                   {.kid = uri.to_string()},
                   "Give both halves of the pair one id: envelopes name their key by it.");
  }
  const std::vector<CK_OBJECT_HANDLE> halves = session_->find(CKO_PUBLIC_KEY, std::nullopt, key.id);
  if (halves.size() == 1) key.shown = halves.front();
  // Most tokens keep the public numbers with the private half as well.
  const CK_OBJECT_HANDLE telling = key.shown.value_or(key.secret);
  key.modulus = number_of(session_->attribute(telling, CKA_MODULUS));
  key.exponent = number_of(session_->attribute(telling, CKA_PUBLIC_EXPONENT));
  return key;
}

Pkcs11KeyStore::KeyPair Pkcs11KeyStore::find_version(std::string_view kid) {
  const Pkcs11Uri uri = require_own(kid);
  if (uri.id) return find(uri);
  throw KeyError(Condition::kUriInvalid, uri.to_string() + " names no version of the key",
                 {.kid = uri.to_string()}, "Add the id of the key: id=%...");
}

std::string Pkcs11KeyStore::kid_of(const KeyPair& key) const {
  Pkcs11Uri uri;
  uri.token = session_->token().label;
  uri.serial = session_->token().serial;
  if (!key.label.empty()) uri.object = key.label;
  uri.id = key.id;
  return uri.to_string();
}

KeyVersion Pkcs11KeyStore::description(const KeyPair& key) {
  KeyVersion version;
  version.kid = kid_of(key);
  version.key_type =
      key_type_of(session_->number(key.secret, CKA_KEY_TYPE), session_->token().hardware);
  version.bits = bit_length(key.modulus);
  version.operations.emplace();
  // Without a public half on the token its numbers are used here, which nothing on the token
  // forbids.
  if (!key.shown || session_->flag(*key.shown, CKA_ENCRYPT).value_or(false)) {
    version.operations->push_back("wrapKey");
  }
  if (session_->flag(key.secret, CKA_DECRYPT).value_or(false)) {
    version.operations->push_back("unwrapKey");
  }
  version.enabled = true;
  // Not every token tells the dates of a private key, so those of the public half count, too.
  std::vector<CK_OBJECT_HANDLE> halves = {key.secret};
  if (key.shown) halves.push_back(*key.shown);
  for (const CK_OBJECT_HANDLE half : halves) {
    const auto start = midnight_of(session_->attribute(half, CKA_START_DATE), version.kid);
    const auto end = midnight_of(session_->attribute(half, CKA_END_DATE), version.kid);
    if (start) version.not_before = std::max(*start, version.not_before.value_or(*start));
    if (end) version.expires = std::min(*end + kSecondsPerDay, version.expires.value_or(INT64_MAX));
  }
  version.exportable = session_->flag(key.secret, CKA_EXTRACTABLE).value_or(false);
  return version;
}

KeyVersion Pkcs11KeyStore::describe(std::string_view uri) {
  return description(find(require_own(uri)));
}

Bytes Pkcs11KeyStore::wrap(std::string_view kid, const SecretBytes& secret) {
  const KeyPair key = find_version(kid);
  const KeyVersion version = description(key);
  require_rsa(version);
  require_operation(version, "wrapKey", "CKA_ENCRYPT");
  require_can_wrap(version, options_.clock());
  if (secret.size() > oaep_capacity(key.modulus.size())) {
    throw KeyError(Condition::kWrapFailed,
                   "an RSA key of " + std::to_string(version.bits) + " bits cannot wrap " +
                       std::to_string(secret.size()) + " bytes",
                   {.kid = version.kid});
  }
  if (!key.shown) return oaep_encrypt(key.modulus, key.exponent, secret);

  Bytes wrapped(key.modulus.size());
  CK_RSA_PKCS_OAEP_PARAMS parameters = parameters_of(WrapAlgorithm::kRsaOaep256);
  TokenSession::Outcome outcome = session_->encrypt(
      {CKM_RSA_PKCS_OAEP, &parameters, sizeof parameters}, *key.shown, secret, wrapped);
  if (is_unknown_mechanism(outcome.start)) {
    const SecretBytes block = oaep_pad(secret, key.modulus.size());
    outcome = session_->encrypt({CKM_RSA_X_509, nullptr, 0}, *key.shown, block, wrapped);
  }
  if (outcome.done()) return wrapped;
  const CK_RV result = outcome.start != CKR_OK ? outcome.start : outcome.finish;
  throw KeyError(
      Condition::kWrapFailed,
      "the token does not encrypt with the key " + version.kid + " (" + name_of(result) + ")",
      {.kid = version.kid});
}

Unwrapped Pkcs11KeyStore::do_unwrap(std::string_view kid, ByteView wrapped,
                                    WrapAlgorithm algorithm) {
  const KeyPair key = find_version(kid);
  const KeyVersion version = description(key);
  require_rsa(version);
  require_operation(version, "unwrapKey", "CKA_DECRYPT");
  std::string warning = require_can_unwrap(version, options_.clock());
  if (wrapped.size() != key.modulus.size() || wrapped.empty()) not_opened();

  // Which way is taken depends on the token alone, never on the data.
  SecretBytes secret(key.modulus.size());
  CK_RSA_PKCS_OAEP_PARAMS parameters = parameters_of(algorithm);
  TokenSession::Outcome outcome = session_->decrypt(
      {CKM_RSA_PKCS_OAEP, &parameters, sizeof parameters}, key.secret, wrapped, secret);
  if (is_unknown_mechanism(outcome.start)) {
    outcome = session_->decrypt({CKM_RSA_X_509, nullptr, 0}, key.secret, wrapped, secret);
    if (outcome.done()) secret = oaep_unpad(as_block(secret, key.modulus.size()), algorithm);
  }
  if (outcome.start != CKR_OK) {
    throw KeyError(Condition::kKeyOperationMissing,
                   "the token does not decrypt with the key " + version.kid + " (" +
                       name_of(outcome.start) + ")",
                   {.kid = version.kid}, "Use a key that the token lets decrypt.");
  }
  if (outcome.finish != CKR_OK) not_opened();
  return {std::move(secret), std::move(warning)};
}

}  // namespace driveprep::keywrap::pkcs11
