// Keys in Azure Key Vault and Managed HSM, used through the REST API only (key-wrapping reference,
// sections 3 and 4).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "keywrap/cloud.h"
#include "keywrap/http/sender.h"
#include "keywrap/identity/challenge.h"
#include "keywrap/identity/token_cache.h"
#include "keywrap/key_error.h"
#include "keywrap/key_store.h"
#include "keywrap/vault/error_body.h"
#include "keywrap/vault/vault_key_uri.h"

namespace driveprep::keywrap::vault {

inline constexpr std::string_view kApiVersion = "7.4";

// Wraps in the vault, never locally: that proves the permission, leaves a record there, and honours
// the state of the key at that moment. Requests and tokens go to the host of the key that the
// caller names, never to one that an answer names.
//
// Conditions besides those of KeyStore: all of identity::TokenSource, kVaultNotFound,
// kTenantMismatch, kAccessDenied, kWrapDenied, kFirewallDenied, kTokenRefused, kChallengeRejected,
// kAuthorityNotTrusted, kThrottled, kUnavailable, kTimeout, kTlsFailure, kUnexpected.
class VaultKeyStore final : public KeyStore {
 public:
  struct Options {
    Cloud cloud;
    std::string pinned_tenant;  // GUID; empty: the one that the vault names
    // The identity that signs in is user-assigned: decides how a wrong tenant is called.
    bool user_assigned = false;
  };

  // All of them outlive the store.
  VaultKeyStore(Options options, http::Sender& sender, identity::TokenCache& tokens);
  ~VaultKeyStore() override;

  bool owns(std::string_view uri) const override;
  KeyVersion describe(std::string_view uri) override;
  Bytes wrap(std::string_view kid, const SecretBytes& secret) override;

 private:
  Unwrapped do_unwrap(std::string_view kid, ByteView wrapped, WrapAlgorithm algorithm) override;
  struct Exchange;  // one request and what to do with its answer

  VaultKeyUri parse(std::string_view text) const;
  VaultKeyUri parse_versioned(std::string_view kid) const;
  http::Response exchange(const Exchange& exchange);
  http::Response send(const Exchange& exchange, const SecretBytes* token);
  identity::TokenRequest sign_in_request(const Exchange& exchange);
  [[noreturn]] void refuse(const http::Response& response, const Exchange& exchange);
  [[noreturn]] void refuse_missing(const KeyEvidence& evidence, const Exchange& exchange);
  KeyVersion ask(const VaultKeyUri& uri);
  std::optional<KeyVersion> recent(const VaultKeyUri& uri);
  template <typename Rule>
  auto judge(const VaultKeyUri& uri, Rule rule);
  // The result has `length` bytes; 0: any number.
  SecretBytes operate(const VaultKeyUri& uri, Operation operation, WrapAlgorithm algorithm,
                      ByteView value, std::size_t length = 0);

  Options options_;
  http::Sender& sender_;
  identity::TokenCache& tokens_;
  std::mutex mutex_;                                       // guards the members below
  std::map<std::string, identity::TokenRequest> sign_in_;  // by host; validated challenges only
  struct Known {
    KeyVersion version;
    UnixSeconds asked = 0;
  };
  std::map<std::string, Known> known_;  // by kid
};

}  // namespace driveprep::keywrap::vault
