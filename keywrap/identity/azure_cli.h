// Whoever has signed in with the Azure CLI (az login) lends their token.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "keywrap/identity/token_source.h"

namespace driveprep::keywrap::identity {

// The value of an environment variable; "" when it is not set.
using Environment = std::function<std::string(const std::string& name)>;
Environment process_environment();

// `name` in the directories of PATH; those that are not absolute are passed over. nullopt when it
// is in none.
std::optional<std::filesystem::path> find_program(const std::string& name, std::string_view path);

// Runs "az account get-access-token" without a shell. The program gets an environment of its own
// (HOME, AZURE_CONFIG_DIR, PATH, TZ, proxies and certificate authorities of the user); what it
// prints is in locked memory only.
class AzureCliSource final : public TokenSource {
 public:
  explicit AzureCliSource(Environment environment,
                          std::chrono::milliseconds timeout = std::chrono::seconds(60));

  // kCredentialInvalid when the CLI is not there, nobody has signed in, or claims are wanted.
  Token fetch(const TokenRequest& request) override;
  std::string describe() const override;

 private:
  Environment environment_;
  std::chrono::milliseconds timeout_;
};

// What the CLI prints. Newer versions have expires_on (seconds); older ones only expiresOn, a local
// time without zone. Throws FormatError, without quoting it.
Token read_cli_token(std::string_view output);

// "2024-10-27 02:30:00.000000" in the zone of this process (TZ). When summer time ends, an hour
// comes twice: the earlier one is meant, as a token that is renewed too early does no harm. nullopt
// for another form.
std::optional<UnixSeconds> local_time(std::string_view text);

}  // namespace driveprep::keywrap::identity
