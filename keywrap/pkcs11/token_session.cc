#include "keywrap/pkcs11/token_session.h"

#include <array>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "keywrap/excerpt.h"
#include "keywrap/key_error.h"

namespace driveprep::keywrap::pkcs11 {
namespace {

constexpr CK_ULONG kMostKeys = 64;  // with one label; more are as ambiguous

std::string shown(const Token& token) {
  return "the token '" + excerpt(token.label) + "' (serial " + excerpt(token.serial) + ")";
}

Token only_token(Module& module, const Pkcs11Uri& uri) {
  std::vector<Token> tokens = module.tokens(uri);
  if (tokens.size() == 1) return std::move(tokens.front());
  if (tokens.empty()) {
    throw Error(
        ErrorKind::kKey, "token-missing",
        "the module " + module.file().string() + " has no token as the PKCS#11 URI names it",
        "Put the token in, or correct token, serial, model or manufacturer in the URI.");
  }
  std::string list;
  for (const Token& token : tokens) list += (list.empty() ? "" : ", ") + shown(token);
  throw Error(ErrorKind::kKey, "token-ambiguous", "the PKCS#11 URI means several tokens: " + list,
              "Name one of them by its serial: pkcs11:serial=....");
}

bool tells_of_token(CK_RV result) {
  constexpr std::array kResults = {CKR_CRYPTOKI_NOT_INITIALIZED,
                                   CKR_DEVICE_ERROR,
                                   CKR_DEVICE_MEMORY,
                                   CKR_DEVICE_REMOVED,
                                   CKR_HOST_MEMORY,
                                   CKR_SESSION_CLOSED,
                                   CKR_SESSION_COUNT,
                                   CKR_TOKEN_NOT_PRESENT,
                                   CKR_SESSION_HANDLE_INVALID,
                                   CKR_TOKEN_NOT_RECOGNIZED,
                                   CKR_USER_NOT_LOGGED_IN};
  return std::find(kResults.begin(), kResults.end(), result) != kResults.end();
}

CK_ATTRIBUTE attribute_of(CK_ATTRIBUTE_TYPE type, MutableByteView value) {
  return {type, value.data(), value.size()};
}

}  // namespace

TokenSession::TokenSession(std::shared_ptr<Module> module, const Pkcs11Uri& uri)
    : module_(std::move(module)), token_(only_token(*module_, uri)) {
  const std::lock_guard guard(module_->mutex());
  check_token(module_->functions().C_OpenSession(token_.slot, CKF_SERIAL_SESSION, nullptr, nullptr,
                                                 &session_),
              "open a session");
}

TokenSession::~TokenSession() {
  const std::lock_guard guard(module_->mutex());
  // With the last session of this process at the token its login ends, too.
  module_->functions().C_CloseSession(session_);
}

void TokenSession::check_token(CK_RV result, const char* attempt) const {
  if (result == CKR_OK) return;
  throw KeyError(Condition::kUnavailable,
                 shown(token_) + " failed: " + attempt + " (" + name_of(result) + ")", {},
                 "Look whether the token is still there, then run the same command again.");
}

void TokenSession::fail_login(CK_RV result) {
  const std::string who = shown(token_);
  switch (result) {
    case CKR_PIN_LOCKED:
      throw Error(ErrorKind::kKey, "token-locked", who + " is locked: too many wrong PINs",
                  "Unlock it with the tool of its maker and the SO PIN.");
    case CKR_USER_PIN_NOT_INITIALIZED:
      throw KeyError(Condition::kCredentialInvalid, who + " has no user PIN yet", {},
                     "Set its user PIN with the tool of its maker.");
    case CKR_PIN_EXPIRED:
      throw KeyError(Condition::kCredentialInvalid, "the PIN of " + who + " has expired", {},
                     "Change it with the tool of its maker.");
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
      module_->refuse_login(token_.serial);
      throw KeyError(Condition::kCredentialInvalid,
                     who + " refused the PIN (" + name_of(result) + ")", {},
                     "Correct the PIN before you run the command again: after a few wrong ones the "
                     "token locks itself.");
    default: check_token(result, "log in"); internal_error("a login without a result");
  }
}

void TokenSession::log_in(const AskPin& pin) {
  const std::lock_guard guard(module_->mutex());
  if (logged_in_) return;
  const CK_FLAGS flags = module_->token_flags(token_.slot);
  if ((flags & CKF_LOGIN_REQUIRED) == 0) {
    logged_in_ = true;
    return;
  }
  // Another store of this process may have logged in already.
  CK_SESSION_INFO info{};
  check_token(module_->functions().C_GetSessionInfo(session_, &info), "tell its state");
  if (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS) {
    logged_in_ = true;
    return;
  }
  if (module_->login_was_refused(token_.serial)) fail_login(CKR_PIN_INCORRECT);
  if ((flags & CKF_USER_PIN_LOCKED) != 0) fail_login(CKR_PIN_LOCKED);
  if ((flags & CKF_USER_PIN_FINAL_TRY) != 0) {
    throw Error(ErrorKind::kKey, "token-locked",
                shown(token_) + " locks itself at the next wrong PIN, so none was tried",
                "Log in once with the tool of its maker, then run the command again.");
  }
  CK_RV result = CKR_OK;
  if ((flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0) {  // it has keys of its own to type on
    result = module_->functions().C_Login(session_, CKU_USER, nullptr, 0);
  } else {
    SecretBytes text = pin(token_.label);
    result = module_->functions().C_Login(session_, CKU_USER, uchars(text.span()), text.size());
  }
  if (result != CKR_OK && result != CKR_USER_ALREADY_LOGGED_IN) fail_login(result);
  logged_in_ = true;
}

std::vector<CK_OBJECT_HANDLE> TokenSession::find(CK_OBJECT_CLASS object_class,
                                                 const std::optional<std::string>& label,
                                                 const std::optional<Bytes>& id) {
  std::string label_copy = label.value_or("");
  Bytes id_copy = id.value_or(Bytes());
  std::vector<CK_ATTRIBUTE> wanted = {{CKA_CLASS, &object_class, sizeof object_class}};
  if (label) wanted.push_back({CKA_LABEL, label_copy.data(), label_copy.size()});
  if (id) wanted.push_back(attribute_of(CKA_ID, id_copy));

  const std::lock_guard guard(module_->mutex());
  CK_FUNCTION_LIST& call = module_->functions();
  check_token(call.C_FindObjectsInit(session_, wanted.data(), wanted.size()), "look for a key");
  std::vector<CK_OBJECT_HANDLE> found(kMostKeys);
  CK_ULONG count = 0;
  const CK_RV result = call.C_FindObjects(session_, found.data(), kMostKeys, &count);
  call.C_FindObjectsFinal(session_);
  check_token(result, "look for a key");
  found.resize(count);
  return found;
}

std::optional<Bytes> TokenSession::attribute(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  const std::lock_guard guard(module_->mutex());
  CK_FUNCTION_LIST& call = module_->functions();
  CK_ATTRIBUTE wanted{type, nullptr, 0};
  CK_RV result = call.C_GetAttributeValue(session_, object, &wanted, 1);
  if (tells_of_token(result)) check_token(result, "tell an attribute of a key");
  if (result != CKR_OK || wanted.ulValueLen == CK_UNAVAILABLE_INFORMATION) return std::nullopt;
  constexpr CK_ULONG kLargest = 64 * 1024;
  if (wanted.ulValueLen > kLargest) return std::nullopt;
  Bytes value(wanted.ulValueLen);
  if (value.empty()) return value;
  wanted = attribute_of(type, value);
  result = call.C_GetAttributeValue(session_, object, &wanted, 1);
  if (tells_of_token(result)) check_token(result, "tell an attribute of a key");
  if (result != CKR_OK || wanted.ulValueLen > value.size()) return std::nullopt;
  value.resize(wanted.ulValueLen);
  return value;
}

std::optional<bool> TokenSession::flag(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  const auto value = attribute(object, type);
  if (!value || value->size() != sizeof(CK_BBOOL)) return std::nullopt;
  return value->front() != std::byte{CK_FALSE};
}

std::optional<CK_ULONG> TokenSession::number(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  const auto value = attribute(object, type);
  CK_ULONG number = 0;
  if (!value || value->size() != sizeof number) return std::nullopt;
  std::memcpy(&number, value->data(), sizeof number);
  return number;
}

TokenSession::Outcome TokenSession::encrypt(CK_MECHANISM mechanism, CK_OBJECT_HANDLE key,
                                            const SecretBytes& in, Bytes& out) {
  const std::lock_guard guard(module_->mutex());
  CK_FUNCTION_LIST& call = module_->functions();
  Outcome outcome{.start = call.C_EncryptInit(session_, &mechanism, key)};
  if (tells_of_token(outcome.start)) check_token(outcome.start, "begin to encrypt");
  if (outcome.start != CKR_OK) return outcome;
  SecretBytes copy = in.clone();  // the interface takes no const
  CK_ULONG size = out.size();
  outcome.finish = call.C_Encrypt(session_, uchars(copy.span()), copy.size(),
                                  uchars(MutableByteView(out)), &size);
  if (tells_of_token(outcome.finish)) check_token(outcome.finish, "encrypt");
  if (outcome.finish == CKR_OK && size <= out.size()) out.resize(size);
  return outcome;
}

TokenSession::Outcome TokenSession::decrypt(CK_MECHANISM mechanism, CK_OBJECT_HANDLE key,
                                            ByteView in, SecretBytes& out) {
  const std::lock_guard guard(module_->mutex());
  CK_FUNCTION_LIST& call = module_->functions();
  Outcome outcome{.start = call.C_DecryptInit(session_, &mechanism, key)};
  if (tells_of_token(outcome.start)) check_token(outcome.start, "begin to decrypt");
  if (outcome.start != CKR_OK) return outcome;
  Bytes copy(in.begin(), in.end());
  CK_ULONG size = out.size();
  outcome.finish = call.C_Decrypt(session_, uchars(MutableByteView(copy)), copy.size(),
                                  uchars(out.span()), &size);
  if (tells_of_token(outcome.finish)) check_token(outcome.finish, "decrypt");
  if (outcome.finish == CKR_OK && size <= out.size()) out.truncate(size);
  return outcome;
}

}  // namespace driveprep::keywrap::pkcs11
