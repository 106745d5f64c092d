// A session with one token: logging in, finding keys, using them. For this directory only.
//
// Every call takes the module's lock. Results that tell of the token or the session become an Error
// that says so; those that tell of the data are handed back.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "keywrap/pkcs11/module.h"

namespace driveprep::keywrap::pkcs11 {

using AskPin = std::function<SecretBytes(const std::string& token)>;

class TokenSession {
 public:
  // Throws what Module::load() throws and Error kKey "token-missing", "token-ambiguous".
  explicit TokenSession(std::shared_ptr<Module> module, const Pkcs11Uri& uri);
  TokenSession(const TokenSession&) = delete;
  TokenSession& operator=(const TokenSession&) = delete;
  ~TokenSession();

  const Token& token() const { return token_; }

  // Once; later calls do nothing. `pin` is asked only when the token wants one and reads none by
  // itself. Throws KeyError kCredentialInvalid for a wrong PIN, which is never tried twice, and
  // Error kKey "token-locked".
  void log_in(const AskPin& pin);

  // Objects of a class ("CKO_PRIVATE_KEY") with this label and id, where given.
  std::vector<CK_OBJECT_HANDLE> find(CK_OBJECT_CLASS object_class,
                                     const std::optional<std::string>& label,
                                     const std::optional<Bytes>& id);
  // nullopt when the object does not have it or does not tell it.
  std::optional<Bytes> attribute(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);
  std::optional<bool> flag(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);
  std::optional<CK_ULONG> number(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

  // One operation: the mechanism's start, then the data. `start` tells whether the token takes the
  // mechanism at all; `finish` is meaningful only then. `out` is cut to what came.
  struct Outcome {
    CK_RV start = CKR_OK;
    CK_RV finish = CKR_OK;
    bool done() const { return start == CKR_OK && finish == CKR_OK; }
  };
  Outcome encrypt(CK_MECHANISM mechanism, CK_OBJECT_HANDLE key, const SecretBytes& in, Bytes& out);
  Outcome decrypt(CK_MECHANISM mechanism, CK_OBJECT_HANDLE key, ByteView in, SecretBytes& out);

 private:
  // Throws for results that have nothing to do with data or key.
  void check_token(CK_RV result, const char* attempt) const;
  [[noreturn]] void fail_login(CK_RV result);

  std::shared_ptr<Module> module_;
  Token token_;
  CK_SESSION_HANDLE session_ = CK_INVALID_HANDLE;
  bool logged_in_ = false;
};

}  // namespace driveprep::keywrap::pkcs11
