// All key stores that a job may have envelopes under, as one: the identifier of a key tells which
// store it belongs to.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/job/job_directory.h"
#include "keywrap/key_error.h"
#include "keywrap/key_store.h"
#include "keywrap/local_key_store.h"

namespace driveprep::keys {

// What the operator is told while keys are used: a wait for a busy vault, test endpoints in use.
using Notice = std::function<void(const std::string&)>;

// What the keys of a job need of the operator.
struct Operator {
  Notice notice = [](const std::string&) {};
  keywrap::UnlockSources unlock = {};  // of the local key store
  // The PIN of the token with this label, when its URI names no file with it.
  std::function<SecretBytes(const std::string& token)> ask_pin = {};
};

// Each store is opened when it is needed first. KeyErrors come with the codes of the job's service.
class KeyRing final : public keywrap::KeyStore {
 public:
  KeyRing(const job::Job& job, Operator who);
  ~KeyRing() override;

  bool owns(std::string_view uri) const override;
  keywrap::KeyVersion describe(std::string_view uri) override;
  Bytes wrap(std::string_view kid, const SecretBytes& secret) override;

  // The local store of the job. Errors name the place in job.json that chose it.
  keywrap::LocalKeyStore& local();
  keywrap::LocalKeyStore& local_or_create();

  // Makes the token of this URI known: where its module is, and where its PIN comes from. Envelopes
  // name the token only.
  void add_token(const std::string& uri);

  // As whom vaults are asked from now on, where this machine signs in by an identity of its own.
  void use_identity(const job::Identity& identity);
  // To the operator.
  void notice(const std::string& text) const { operator_.notice(text); }

  // How the last use of a customer's key ended.
  struct LastUse {
    std::optional<keywrap::KeyError> refusal;  // why it failed
  };
  // Of the key that `uri` names, in whichever version; nullopt when it was not used.
  std::optional<LastUse> last_use(std::string_view uri);

  // How this machine signs in to the vault, for people: "the client secret of ...".
  std::string credential_text();

 private:
  keywrap::Unwrapped do_unwrap(std::string_view kid, ByteView wrapped,
                               keywrap::WrapAlgorithm algorithm) override;
  struct Vault;

  struct Token;

  template <typename Work>
  auto use(std::string_view uri, Work work);
  Vault& vault();
  // The same text for all versions of a key.
  std::string without_version(std::string_view uri) const;
  // nullptr for a token that was not made known.
  Token* token_of(std::string_view uri) const;
  keywrap::KeyStore& open_token(std::string_view uri);
  template <typename Open>
  std::unique_ptr<keywrap::LocalKeyStore> with_place(Open open);
  keywrap::KeyStore& store_of(std::string_view uri);

  const job::Job& job_;
  Operator operator_;
  std::unique_ptr<keywrap::LocalKeyStore> local_;
  std::unique_ptr<Vault> vault_;
  job::Identity identity_;
  std::vector<std::unique_ptr<Token>> tokens_;
  std::map<std::string, LastUse> last_uses_;  // by key
  std::mutex mutex_;                          // guards the opening of stores, and last_uses_
};

}  // namespace driveprep::keys
