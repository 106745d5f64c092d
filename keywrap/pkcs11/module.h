// A PKCS#11 module: a shared library that speaks for tokens. For this directory only.
#pragma once

#include <p11-kit/pkcs11.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/secret_bytes.h"
#include "keywrap/pkcs11/pkcs11_uri.h"

namespace driveprep::keywrap::pkcs11 {

// "CKR_PIN_INCORRECT", or the number of one that is not known here.
std::string name_of(CK_RV result);

// A token that is there, with the texts of its description as they are shown: without filling
// blanks.
struct Token {
  CK_SLOT_ID slot = 0;
  std::string label;
  std::string manufacturer;
  std::string serial;
  std::string model;
  CK_FLAGS flags = 0;
  bool hardware = false;
};

class Module {
 public:
  // Loads and initialises it; every store of this process shares one, which stays: a module that is
  // finalised and begun again is a module in a state that few of them are tested in. Throws Error
  // kKey "token-module": it is missing, others can write to it, or it is no PKCS#11 module.
  static std::shared_ptr<Module> load(const std::filesystem::path& file);
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  CK_FUNCTION_LIST& functions() { return *functions_; }
  const std::filesystem::path& file() const { return file_; }
  // Taken around every call: sessions of one token share their login, and not every module can
  // lock for itself.
  std::mutex& mutex() { return mutex_; }

  // Those that `uri` may mean, by its attributes of slot, token and library. Initialised ones only.
  std::vector<Token> tokens(const Pkcs11Uri& uri);
  // As a fresh look at the token tells them.
  CK_FLAGS token_flags(CK_SLOT_ID slot);

  // A PIN that was refused is not sent to the token again by this process: after a few tries the
  // token would lock itself.
  void refuse_login(const std::string& serial);
  bool login_was_refused(const std::string& serial) const;

 private:
  explicit Module(const std::filesystem::path& file);

  std::filesystem::path file_;
  CK_FUNCTION_LIST* functions_ = nullptr;
  std::mutex mutex_;
};

}  // namespace driveprep::keywrap::pkcs11
