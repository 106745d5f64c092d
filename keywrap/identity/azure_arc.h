// Managed identity of a machine that is connected by Azure Arc. Its agent wants to see that the
// caller may read a file below a directory of its own.
#pragma once

#include "keywrap/identity/local_endpoint.h"

namespace driveprep::keywrap::identity {

inline constexpr const char* kArcEndpoint = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
inline constexpr const char* kArcTokenDirectory = "/var/opt/azcmagent/tokens";

class AzureArcSource final : public TokenSource {
 public:
  // `endpoint`: of IDENTITY_ENDPOINT; empty: the usual one. Another `token_directory` is for tests.
  AzureArcSource(std::string endpoint, http::Sender& sender,
                 std::filesystem::path token_directory = kArcTokenDirectory);

  Token fetch(const TokenRequest& request) override;
  std::string describe() const override;

 private:
  std::string endpoint_;
  http::Sender& sender_;
  std::filesystem::path token_directory_;
};

// Reads the file that the agent names. Only what lies directly in `directory`, ends in ".key", is a
// regular file and no link, and has 1 to 4096 bytes of visible ASCII is read; nothing else is
// opened at all. Otherwise KeyError kChallengeRejected.
SecretBytes read_arc_key(const std::string& path, const std::filesystem::path& directory);

}  // namespace driveprep::keywrap::identity
