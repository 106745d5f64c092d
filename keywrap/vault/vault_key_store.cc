#include "keywrap/vault/vault_key_store.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/file_time.h"
#include "base/guid.h"
#include "keywrap/identity/challenge.h"
#include "keywrap/json_view.h"
#include "keywrap/key_error.h"
#include "keywrap/secret_json.h"
#include "keywrap/shown_uri.h"
#include "keywrap/vault/key_bundle.h"

namespace driveprep::keywrap::vault {
namespace {

using http::TransportError;

constexpr std::size_t kMaxAnswerBytes = 64 * 1024;
// For so long a description is good enough to judge a wrap by; the vault judges, too.
constexpr UnixSeconds kRecent = 60;

bool is_success(int status) { return status >= 200 && status < 300; }

std::string path_of(const VaultKeyUri& uri) {
  return "/keys/" + uri.name + (uri.has_version() ? "/" + uri.version : "");
}

std::string header_or_empty(const http::Response& response, std::string_view name) {
  return std::string(response.header(name).value_or(""));
}

// "403 Forbidden/ForbiddenByRbac: Caller is not authorized ..."
std::string told(int status, const ErrorBody& body) {
  std::string text = std::to_string(status);
  if (!body.code.empty()) text += " " + body.code;
  for (const std::string& inner : body.inner_codes) text += "/" + inner;
  if (!body.message.empty()) text += ": " + body.message;
  return text;
}

// `value` is in base64url.
SecretBytes operation_body(const SecretBytes& value, WrapAlgorithm algorithm) {
  SecretJsonWriter writer;
  writer.begin_object().member("alg", to_string(algorithm));
  writer.member("value", value.text());
  return writer.end_object().finish();
}

[[noreturn]] void odd_answer(const VaultKeyUri& uri, Operation operation,
                             const http::Response& response, const char* why) {
  throw KeyError(Condition::kUnexpected,
                 uri.host + " gave an answer to " + std::string(to_string(operation)) +
                     " that cannot be used: " + why,
                 {.http_status = response.status,
                  .request_id = header_or_empty(response, "x-ms-request-id"),
                  .kid = uri.to_string()});
}

// Who signs in does not know the key for which that is done, nor which answer asked for it.
template <typename Work>
auto with_evidence(const KeyEvidence& evidence, Work work) {
  try {
    return work();
  } catch (const KeyError& error) {
    throw error.with(evidence);
  }
}

}  // namespace

struct VaultKeyStore::Exchange {
  Operation operation;
  VaultKeyUri uri;
  http::Method method;
  std::string path;
  const SecretBytes* body = nullptr;
  const SecretBytes* value = nullptr;  // what in the body must not be told
};

VaultKeyStore::VaultKeyStore(Options options, http::Sender& sender, identity::TokenCache& tokens)
    : options_(std::move(options)), sender_(sender), tokens_(tokens) {}

VaultKeyStore::~VaultKeyStore() = default;

VaultKeyUri VaultKeyStore::parse(std::string_view text) const {
  const ParsedKeyUri parsed = parse_vault_key_uri(text, options_.cloud);
  if (parsed.uri) return *parsed.uri;
  throw KeyError(parsed.fault->condition,
                 "'" + shown_uri(text) + "' cannot be a key: " + parsed.fault->why);
}

VaultKeyUri VaultKeyStore::parse_versioned(std::string_view kid) const {
  VaultKeyUri uri = parse(kid);
  if (uri.has_version()) return uri;
  throw KeyError(Condition::kUriInvalid, uri.to_string() + " names no version of the key");
}

bool VaultKeyStore::owns(std::string_view uri) const {
  return parse_vault_key_uri(uri, options_.cloud).uri.has_value();
}

http::Response VaultKeyStore::send(const Exchange& exchange, const SecretBytes* token) {
  http::Request request;
  request.method = exchange.method;
  request.url =
      exchange.uri.vault_uri() + exchange.path + "?api-version=" + std::string(kApiVersion);
  request.headers = {{"Accept", "application/json"},
                     {"Content-Type", "application/json"},
                     {"x-ms-client-request-id", Guid::random().lower()}};
  if (token != nullptr) {
    request.secret_header = http::SecretHeader{"Authorization", "Bearer", token};
    request.body = exchange.body;
    if (exchange.value != nullptr) request.secret_parts = {exchange.value->text()};
  }
  try {
    return sender_.send(request);
  } catch (const TransportError& error) {
    Condition condition = http::condition_of(error);
    // Without a network no name is known: that says nothing about the vault.
    if (error.kind() == TransportError::Kind::kNameUnknown &&
        sender_.transport().resolves(options_.cloud.sign_in_hosts.front())) {
      condition = Condition::kVaultNotFound;
    }
    throw KeyError(condition, error.what(), {.kid = exchange.uri.to_string()});
  }
}

// Asks without a token, and without what the request would carry, who signs tokens for the vault.
identity::TokenRequest VaultKeyStore::sign_in_request(const Exchange& exchange) {
  {
    const std::lock_guard guard(mutex_);
    if (const auto known = sign_in_.find(exchange.uri.host); known != sign_in_.end()) {
      return known->second;
    }
  }
  const http::Response response = send(exchange, nullptr);
  if (is_success(response.status)) {
    throw KeyError(Condition::kChallengeRejected,
                   exchange.uri.host + " answers without asking who is there: no vault does that",
                   {.http_status = response.status,
                    .request_id = header_or_empty(response, "x-ms-request-id"),
                    .kid = exchange.uri.to_string()});
  }
  if (response.status != 401) refuse(response, exchange);
  const identity::TokenRequest request = with_evidence(
      {.http_status = response.status,
       .request_id = header_or_empty(response, "x-ms-request-id"),
       .kid = exchange.uri.to_string()},
      [&] {
        return identity::validate(identity::challenges_of(response), exchange.uri.host,
                                  options_.cloud, exchange.uri.kind, options_.pinned_tenant);
      });
  const std::lock_guard guard(mutex_);
  return sign_in_[exchange.uri.host] = request;
}

http::Response VaultKeyStore::exchange(const Exchange& exchange) {
  identity::TokenRequest request = sign_in_request(exchange);
  const KeyEvidence asked{.kid = exchange.uri.to_string()};
  std::shared_ptr<const identity::Token> token =
      with_evidence(asked, [&] { return tokens_.get(request); });
  http::Response response = send(exchange, &token->value);
  if (response.status == 401) {
    // The token may have been withdrawn, or more claims are wanted: a new one, once, from the
    // sign-in host that was judged before.
    tokens_.invalidate(request, token);
    token = with_evidence(asked, [&] {
      request.claims = identity::claims_of(identity::challenges_of(response));
      return tokens_.get(request);
    });
    response = send(exchange, &token->value);
  }
  if (!is_success(response.status)) refuse(response, exchange);
  return response;
}

void VaultKeyStore::refuse(const http::Response& response, const Exchange& exchange) {
  const ErrorBody body = parse_error_body(response.body.text());
  Condition condition = condition_of_answer(response.status, body, exchange.operation);
  if (condition == Condition::kTenantMismatch && options_.user_assigned) {
    condition = Condition::kCrossTenantIdentity;
  }
  const KeyEvidence evidence{
      response.status, body.code, body.inner_codes.empty() ? "" : body.inner_codes.back(),
      header_or_empty(response, "x-ms-request-id"), exchange.uri.to_string()};
  if (condition == Condition::kKeyNotFound) refuse_missing(evidence, exchange);
  if (response.status == 403 && condition == Condition::kUnexpected &&
      exchange.operation != Operation::kGet) {
    // What the vault does not say, the attributes of the key may.
    const KeyVersion version = ask(exchange.uri);
    if (exchange.operation == Operation::kWrap) require_can_wrap(version, sender_.now());
    require_can_unwrap(version, sender_.now());
  }
  std::string message = exchange.uri.host + " refuses " +
                        std::string(to_string(exchange.operation)) + " of the key " +
                        exchange.uri.name + ": " + told(response.status, body);
  if (condition == Condition::kFirewallDenied) {
    if (const auto seen = response.header("x-ms-keyvault-network-info")) {
      message += " (it saw " + std::string(seen->substr(0, 100)) + ")";
    }
  }
  throw KeyError(condition, std::move(message), evidence);
}

// Deleted for good, or kept for recovery? That may be asked by nobody but who may read deleted
// keys, so no answer is no error.
void VaultKeyStore::refuse_missing(const KeyEvidence& evidence, const Exchange& exchange) {
  Exchange deleted{Operation::kGet, exchange.uri, http::Method::kGet,
                   "/deletedkeys/" + exchange.uri.name};
  std::string purge;
  bool kept = false;
  try {
    const auto token = tokens_.get(sign_in_request(deleted));
    const http::Response response = send(deleted, &token->value);
    kept = response.status == 200;
    if (kept) {
      const JsonView document = JsonView::parse(response.body.text(), kMaxAnswerBytes);
      const JsonView* date = document.find("scheduledPurgeDate");
      const auto seconds = date == nullptr ? std::nullopt : date->integer();
      if (seconds && *seconds >= 0 && *seconds <= kLastSecond) {
        purge = FileTime::from_timespec({*seconds, 0}).iso8601();
      }
    }
  } catch (const KeyError&) {
  } catch (const FormatError&) {
  }
  if (kept) {
    throw KeyError(Condition::kKeySoftDeleted,
                   "the key " + evidence.kid + " was deleted; it can be recovered" +
                       (purge.empty() ? "" : " until " + purge),
                   evidence);
  }
  throw KeyError(Condition::kKeyNotFound, "there is no key " + evidence.kid, evidence);
}

KeyVersion VaultKeyStore::ask(const VaultKeyUri& uri) {
  const http::Response response =
      exchange({Operation::kGet, uri, http::Method::kGet, path_of(uri)});
  try {
    KeyVersion version = parse_key_bundle(response.body.text(), uri, options_.cloud);
    version.region = header_or_empty(response, "x-ms-keyvault-region");
    version.request_id = header_or_empty(response, "x-ms-request-id");
    const std::lock_guard guard(mutex_);
    known_[version.kid] = {version, sender_.now()};
    return version;
  } catch (const FormatError& error) {
    odd_answer(uri, Operation::kGet, response, error.what());
  }
}

// The description of a moment ago, if there is one.
std::optional<KeyVersion> VaultKeyStore::recent(const VaultKeyUri& uri) {
  const std::lock_guard guard(mutex_);
  const auto known = known_.find(uri.to_string());
  // A clock that goes backwards makes nothing younger.
  if (known == known_.end() || sender_.now() < known->second.asked ||
      sender_.now() - known->second.asked >= kRecent) {
    return std::nullopt;
  }
  return known->second.version;
}

// Judges the key by a recent description. Nothing is refused for what may have changed since.
template <typename Rule>
auto VaultKeyStore::judge(const VaultKeyUri& uri, Rule rule) {
  if (const auto known = recent(uri)) {
    try {
      return rule(*known);
    } catch (const KeyError&) {
    }
  }
  return rule(ask(uri));
}

KeyVersion VaultKeyStore::describe(std::string_view uri) { return ask(parse(uri)); }

// wrapKey or unwrapKey: both send a value and get one.
SecretBytes VaultKeyStore::operate(const VaultKeyUri& uri, Operation operation,
                                   WrapAlgorithm algorithm, ByteView value, std::size_t length) {
  const SecretBytes encoded_value = secret_base64url(value);
  const SecretBytes body = operation_body(encoded_value, algorithm);
  const http::Response response =
      exchange({operation, uri, http::Method::kPost,
                path_of(uri) + (operation == Operation::kWrap ? "/wrapkey" : "/unwrapkey"), &body,
                &encoded_value});
  try {
    const JsonView answer = JsonView::parse(response.body.text(), kMaxAnswerBytes);
    const JsonView* kid = answer.find("kid");
    const JsonView* result = answer.find("value");
    const auto text = kid == nullptr ? std::nullopt : kid->text();
    if (!text) throw FormatError("it has no 'kid'");
    require_same_key(*text, uri, options_.cloud);
    const auto encoded = result == nullptr ? std::nullopt : result->secret();
    auto bytes = encoded ? secret_from_base64url(encoded->text()) : std::nullopt;
    if (!bytes) throw FormatError("it has no 'value' in base64url");
    if (length != 0 && bytes->size() != length) {
      throw FormatError("its value is not as long as the key");
    }
    return std::move(*bytes);
  } catch (const FormatError& error) {
    odd_answer(uri, operation, response, error.what());
  }
}

Bytes VaultKeyStore::wrap(std::string_view kid, const SecretBytes& secret) {
  const VaultKeyUri uri = parse_versioned(kid);
  const unsigned bits = judge(uri, [&](const KeyVersion& version) {
    require_can_wrap(version, sender_.now());
    return version.bits;
  });
  const SecretBytes wrapped =
      operate(uri, Operation::kWrap, WrapAlgorithm::kRsaOaep256, secret.span(), (bits + 7) / 8);
  return Bytes(wrapped.span().begin(), wrapped.span().end());
}

Unwrapped VaultKeyStore::do_unwrap(std::string_view kid, ByteView wrapped,
                                   WrapAlgorithm algorithm) {
  const VaultKeyUri uri = parse_versioned(kid);
  std::string warning;
  try {
    warning = judge(
        uri, [&](const KeyVersion& version) { return require_can_unwrap(version, sender_.now()); });
  } catch (const KeyError& error) {
    // Who may not look at a key may still be allowed to use it.
    if (error.condition() != Condition::kAccessDenied) throw;
  }
  return {operate(uri, Operation::kUnwrap, algorithm, wrapped), std::move(warning)};
}

}  // namespace driveprep::keywrap::vault
