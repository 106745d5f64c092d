// Signs in with a client secret out of a file.
#pragma once

#include "keywrap/identity/client_credentials.h"

namespace driveprep::keywrap::identity {

// The file is read for every request, and its content kept no longer than that: a secret that was
// renewed is used at once.
class ClientSecretSource final : public TokenSource {
 public:
  ClientSecretSource(ClientIdentity client, std::filesystem::path file, Cloud cloud,
                     http::Sender& sender);

  Token fetch(const TokenRequest& request) override;
  std::string describe() const override;

 private:
  ClientIdentity client_;
  std::filesystem::path file_;
  Cloud cloud_;
  http::Sender& sender_;
};

}  // namespace driveprep::keywrap::identity
