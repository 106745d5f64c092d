// The vault double (tests/support/vault_double) as a child of a C++ test.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/unique_fd.h"
#include "keywrap/http/curl_transport.h"
#include "tests/support/scratch.h"

namespace driveprep::test {

class VaultDouble {
 public:
  // False where there is no Python with the cryptography package.
  static bool available();

  VaultDouble();
  VaultDouble(const VaultDouble&) = delete;
  VaultDouble& operator=(const VaultDouble&) = delete;
  ~VaultDouble();

  // One operation of its control interface (control.py).
  nlohmann::json call(const std::string& operation, const nlohmann::json& arguments);

  // What leads requests for the host to the double.
  keywrap::http::TestEndpoints endpoints(const std::string& vault) const;
  const std::filesystem::path& directory() const { return scratch_.path(); }

 private:
  ScratchDirectory scratch_;
  pid_t child_ = -1;
  UniqueFd input_;  // the double ends when it is closed
  nlohmann::json ports_;
  keywrap::http::CurlTransport control_;
};

}  // namespace driveprep::test
