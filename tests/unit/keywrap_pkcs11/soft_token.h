// A token of SoftHSM in a directory of this process, and what a test does to its keys behind the
// store's back.
#pragma once

#include <p11-kit/pkcs11.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "keywrap/key_error.h"
#include "keywrap/pkcs11/pkcs11_key_store.h"
#include "tests/support/scratch.h"

namespace driveprep::keywrap::pkcs11 {

// Where SoftHSM is; "" when it is not installed: say so with WARN("skipped: needs softhsm2").
std::filesystem::path soft_module();

// "Condition" of a KeyError, else the code of an Error; "" when nothing is thrown.
inline std::string refusal_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const KeyError& error) {
    CHECK_FALSE(error.remedy().empty());
    return std::string(to_string(error.condition()));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kKey);
    CHECK_FALSE(error.remedy().empty());
    return error.code();
  }
  return "";
}

class SoftToken {
 public:
  static constexpr std::string_view kPin = "1234-user";

  // A new token with a label of its own.
  SoftToken();

  const std::string& label() const { return label_; }
  // A file with `content`, mode 0600.
  std::filesystem::path pin_file(std::string_view content) const;
  // Which token, which module, and the PIN in a file.
  Pkcs11Uri uri() const;
  Pkcs11KeyStore::Options options(Clock clock = system_clock_seconds) const;

  // An RSA pair of 2048 bits.
  void make_pair(const std::string& object, const Bytes& id) const;
  void set(CK_OBJECT_CLASS object_class, const Bytes& id, CK_ATTRIBUTE_TYPE type,
           const Bytes& value) const;
  void set_flag(CK_OBJECT_CLASS object_class, const Bytes& id, CK_ATTRIBUTE_TYPE type,
                bool value) const;
  void remove(CK_OBJECT_CLASS object_class, const Bytes& id) const;

  // Runs a program with this token's configuration; its output.
  std::string run(const std::string& name, const std::vector<std::string>& arguments) const;

 private:
  class Session;

  std::string label_;
  test::ScratchDirectory files_;
};

}  // namespace driveprep::keywrap::pkcs11
