#include "agent/keys/key_ring.h"

#include "agent/keys/key_setting.h"
#include "keywrap/http/curl_transport.h"
#include "keywrap/identity/make_token_source.h"
#include "keywrap/identity/token_cache.h"
#include "keywrap/key_error.h"
#include "keywrap/key_uri.h"
#include "keywrap/pkcs11/pkcs11_key_store.h"
#include "keywrap/vault/vault_key_store.h"

namespace driveprep::keys {
namespace {

using keywrap::Condition;
using keywrap::KeyError;

keywrap::http::TestEndpoints endpoints_of(const job::Encryption& encryption, const Notice& notice) {
  keywrap::http::TestEndpoints endpoints;
  if (const auto& test = encryption.test_endpoints) {
    endpoints.connect_to = test->connect_to;
    endpoints.ca_file = test->ca_file.value_or("");
    notice(
        "test endpoints of job.json are in use: other addresses and another certificate "
        "authority than those of the cloud");
  }
  return endpoints;
}

keywrap::http::RetryPolicy policy_of(const job::Encryption& encryption) {
  keywrap::http::RetryPolicy policy;
  policy.deadline = std::chrono::seconds(encryption.retry_seconds);
  return policy;
}

keywrap::http::Surroundings surroundings_with(const Notice& notice) {
  keywrap::http::Surroundings surroundings;
  surroundings.notice = notice;
  return surroundings;
}

keywrap::identity::CredentialSettings credential_of(const job::Encryption& encryption,
                                                    const job::Identity& identity) {
  const job::Credential& credential = encryption.credential;
  keywrap::identity::CredentialSettings settings;
  settings.source = credential.source;
  settings.tenant = credential.tenant_id;
  settings.client_id = credential.client_id;
  settings.secret_file = credential.client_secret_file.value_or("");
  settings.certificate_file = credential.certificate_file.value_or("");
  settings.token_file = credential.token_file.value_or("");
  settings.user_assigned = identity.user_assigned_id;
  settings.cloud = cloud_of(encryption);
  return settings;
}

// What follows the question mark says how to get at a token, not which key is meant.
std::string_view key_alone(std::string_view uri) {
  return is_token_uri(uri) ? uri.substr(0, uri.find('?')) : uri;
}

}  // namespace

// The way to the vault; its parts use each other from the top down.
struct KeyRing::Vault {
  Vault(const job::Encryption& encryption, const job::Identity& identity, const Notice& notice)
      : transport(endpoints_of(encryption, notice)),
        sender(transport, policy_of(encryption), surroundings_with(notice)),
        source(keywrap::identity::make_token_source(credential_of(encryption, identity), sender)),
        tokens(source),
        store({cloud_of(encryption), encryption.credential.tenant_id,
               identity.type == job::Identity::Type::kUserAssigned},
              sender, tokens) {}

  keywrap::http::CurlTransport transport;
  keywrap::http::Sender sender;
  std::shared_ptr<keywrap::identity::TokenSource> source;
  keywrap::identity::TokenCache tokens;
  keywrap::vault::VaultKeyStore store;
};

struct KeyRing::Token {
  keywrap::pkcs11::Pkcs11Uri uri;
  std::unique_ptr<keywrap::pkcs11::Pkcs11KeyStore> store;  // once it was needed
};

KeyRing::KeyRing(const job::Job& job, Operator who)
    : job_(job), operator_(std::move(who)), identity_(job.spec.encryption.identity) {}

KeyRing::~KeyRing() = default;

bool KeyRing::owns(std::string_view uri) const {
  if (keywrap::LocalKeyUri::parse(uri)) return true;
  if (is_token_uri(uri)) {
    try {
      return token_of(uri) != nullptr;
    } catch (const KeyError&) {
      return false;  // no identifier at all
    }
  }
  return keywrap::vault::parse_vault_key_uri(uri, cloud_of(job_.spec.encryption)).uri.has_value();
}

keywrap::LocalKeyStore& KeyRing::local() {
  const std::lock_guard guard(mutex_);
  if (!local_) {
    local_ =
        with_place([](auto options) { return keywrap::LocalKeyStore::open(std::move(options)); });
  }
  return *local_;
}

keywrap::LocalKeyStore& KeyRing::local_or_create() {
  const std::lock_guard guard(mutex_);
  if (!local_) {
    local_ = with_place(
        [](auto options) { return keywrap::LocalKeyStore::open_or_create(std::move(options)); });
  }
  return *local_;
}

// The key store does not know where its path was written.
template <typename Open>
std::unique_ptr<keywrap::LocalKeyStore> KeyRing::with_place(Open open) {
  keywrap::LocalKeyStore::Options options;
  options.directory = job_.spec.encryption.key_store;
  options.unlock = operator_.unlock;
  try {
    return open(std::move(options));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kKey || !error.remedy().empty()) throw;
    throw Error(error.kind(), error.code(), std::string("the key store: ") + error.what(),
                "Check the owner and the permissions of " +
                    job_.spec.encryption.key_store.string() +
                    ", or correct /encryption/keyStore in job.json.");
  }
}

KeyRing::Vault& KeyRing::vault() {
  const std::lock_guard guard(mutex_);
  if (!vault_) vault_ = std::make_unique<Vault>(job_.spec.encryption, identity_, operator_.notice);
  return *vault_;
}

void KeyRing::use_identity(const job::Identity& identity) {
  const std::lock_guard guard(mutex_);
  if (identity == identity_) return;
  identity_ = identity;
  vault_.reset();
}

void KeyRing::add_token(const std::string& uri) {
  auto token = std::make_unique<Token>();
  token->uri = keywrap::pkcs11::Pkcs11Uri::parse(uri);
  tokens_.push_back(std::move(token));
}

KeyRing::Token* KeyRing::token_of(std::string_view text) const {
  const auto uri = keywrap::pkcs11::Pkcs11Uri::parse(text);
  for (const auto& token : tokens_) {
    const auto& known = token->uri;
    const auto agree = [](const auto& one, const auto& other) {
      return !one || !other || one == other;
    };
    if (agree(known.token, uri.token) && agree(known.serial, uri.serial) &&
        agree(known.manufacturer, uri.manufacturer) && agree(known.model, uri.model)) {
      return token.get();
    }
  }
  return nullptr;
}

keywrap::KeyStore& KeyRing::open_token(std::string_view uri) {
  Token* token = token_of(uri);
  if (token == nullptr) {
    throw KeyError(Condition::kEnvelopeKeyForeign,
                   "no module is known for the token of " + std::string(uri), {},
                   "Name the token in job.json: keyUrl with module-path.");
  }
  const std::lock_guard guard(mutex_);
  if (!token->store) {
    token->store =
        keywrap::pkcs11::Pkcs11KeyStore::open({.uri = token->uri, .ask_pin = operator_.ask_pin});
  }
  return *token->store;
}

keywrap::KeyStore& KeyRing::store_of(std::string_view uri) {
  const auto local_uri = keywrap::LocalKeyUri::parse(uri);
  if (!local_uri) return is_token_uri(uri) ? open_token(uri) : vault().store;
  keywrap::LocalKeyStore& store = local();
  if (store.owns(uri)) return store;
  throw Error(ErrorKind::kKey, "key-store-other",
              job_.spec.encryption.key_store.string() + " is the key store " + store.id() +
                  ", but the key " + std::string(uri) + " is wanted",
              "Name the key store that the job was begun with, or restore it from its backup.");
}

// Errors about keys in the words of the job's service. How the last use of a customer's key ended
// is kept for whoever asks.
template <typename Work>
auto KeyRing::use(std::string_view uri, Work work) {
  const bool customers = !keywrap::LocalKeyUri::parse(uri);
  const auto keep = [&](std::optional<KeyError> refusal) {
    if (!customers) return;
    const std::lock_guard guard(mutex_);
    last_uses_[without_version(uri)] = {std::move(refusal)};
  };
  try {
    auto result = work(store_of(uri));
    keep(std::nullopt);
    return result;
  } catch (const KeyError& error) {
    const KeyError told = error.in(job_.spec.encryption.profile);
    keep(told);
    throw told;
  }
}

keywrap::KeyVersion KeyRing::describe(std::string_view uri) {
  return use(uri, [&](keywrap::KeyStore& store) { return store.describe(key_alone(uri)); });
}

Bytes KeyRing::wrap(std::string_view kid, const SecretBytes& secret) {
  return use(kid, [&](keywrap::KeyStore& store) { return store.wrap(kid, secret); });
}

keywrap::Unwrapped KeyRing::do_unwrap(std::string_view kid, ByteView wrapped,
                                      keywrap::WrapAlgorithm algorithm) {
  return use(kid, [&](keywrap::KeyStore& store) { return store.unwrap(kid, wrapped, algorithm); });
}

std::string KeyRing::without_version(std::string_view uri) const {
  const auto parsed = keywrap::vault::parse_vault_key_uri(uri, cloud_of(job_.spec.encryption)).uri;
  return parsed ? parsed->with_version("").to_string() : std::string(key_alone(uri));
}

std::optional<KeyRing::LastUse> KeyRing::last_use(std::string_view uri) {
  const std::lock_guard guard(mutex_);
  const auto found = last_uses_.find(without_version(uri));
  if (found == last_uses_.end()) return std::nullopt;
  return found->second;
}

std::string KeyRing::credential_text() { return vault().tokens.source().describe(); }

}  // namespace driveprep::keys
