#include "keywrap/identity/azure_cli.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/ascii.h"
#include "base/subprocess.h"
#include "keywrap/excerpt.h"
#include "keywrap/identity/sign_in_error.h"
#include "keywrap/identity/token_response.h"

namespace driveprep::keywrap::identity {
namespace {

constexpr const char* kProgram = "az";
constexpr std::size_t kMaxOutput = 64 * 1024;
// TZ, because expiresOn is told in the zone that the program knows.
constexpr const char* kInherited[] = {"HOME",         "AZURE_CONFIG_DIR", "PATH",
                                      "TZ",           "HTTPS_PROXY",      "https_proxy",
                                      "NO_PROXY",     "no_proxy",         "REQUESTS_CA_BUNDLE",
                                      "SSL_CERT_FILE"};

std::vector<std::string> child_environment(const Environment& environment) {
  std::vector<std::string> variables = {"LC_ALL=C.UTF-8", "AZURE_CORE_NO_COLOR=true",
                                        "AZURE_CORE_COLLECT_TELEMETRY=false"};
  for (const std::string name : kInherited) {
    if (const std::string value = environment(name); !value.empty()) {
      variables.push_back(name + "=" + value);
    }
  }
  return variables;
}

[[noreturn]] void refused(const std::string& why, const std::string& remedy) {
  throw KeyError(Condition::kCredentialInvalid, why, {}, remedy);
}

[[noreturn]] void failed(const SecretSubprocessResult& result, const Asked& asked) {
  const SignInFailure failure = read_failure_text(result.errors);
  const std::string text =
      asked.where + " gave no token: " +
      (failure.description.empty() ? "it ended with status " + std::to_string(result.exit_status)
                                   : failure.description);
  const auto known = condition_of(failure, asked.user_assigned);
  // "Please run 'az login' to setup account.", also behind most numbers.
  if (!known && result.errors.find("az login") != std::string::npos) {
    refused(text, "Run az login as the user who runs driveprep, then run the same command again.");
  }
  throw KeyError(known.value_or(Condition::kUnexpected), text, evidence_of(0, failure));
}

// Whether `time` is what `wanted` reads on the clock on the wall.
bool reads(time_t time, const std::tm& wanted) {
  std::tm local{};
  ::localtime_r(&time, &local);
  return local.tm_year == wanted.tm_year && local.tm_mon == wanted.tm_mon &&
         local.tm_mday == wanted.tm_mday && local.tm_hour == wanted.tm_hour &&
         local.tm_min == wanted.tm_min && local.tm_sec == wanted.tm_sec;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return std::string(value == nullptr ? "" : value);
  };
}

std::optional<std::filesystem::path> find_program(const std::string& name, std::string_view path) {
  while (!path.empty()) {
    const std::string directory(path.substr(0, path.find(':')));
    path.remove_prefix(std::min(directory.size() + 1, path.size()));
    if (!directory.starts_with('/')) continue;
    const std::filesystem::path candidate = std::filesystem::path(directory) / name;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(candidate, ignored) &&
        ::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return std::nullopt;
}

std::optional<UnixSeconds> local_time(std::string_view text) {
  const std::string copy(text);
  std::tm wanted{};
  const char* end = ::strptime(copy.c_str(), "%Y-%m-%d %H:%M:%S", &wanted);
  if (end == nullptr) end = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &wanted);
  if (end == nullptr) return std::nullopt;
  // Fractions of a second are cut off.
  if (*end == '.') ++end;
  if (!std::all_of(end, copy.c_str() + copy.size(), ascii::is_digit)) return std::nullopt;
  std::tm parts = wanted;
  parts.tm_isdst = -1;
  const time_t time = ::mktime(&parts);
  if (time < 0) return std::nullopt;
  // Nothing says which of the two mktime takes. Zones go back by half an hour to two hours.
  for (const time_t back : {7200, 3600, 1800}) {
    if (reads(time - back, wanted)) return time - back;
  }
  return time;
}

Token read_cli_token(std::string_view output) {
  const JsonView json = JsonView::parse(output, kMaxOutput);
  Token token;
  token.value = token_text(json.find("accessToken"));
  auto expires = seconds_of(json.find("expires_on"));
  const JsonView* local = json.find("expiresOn");
  if (!expires && local != nullptr) expires = local_time(local->text().value_or(""));
  if (!expires) throw FormatError("it does not tell when the token expires");
  token.expires = *expires;
  return token;
}

AzureCliSource::AzureCliSource(Environment environment, std::chrono::milliseconds timeout)
    : environment_(std::move(environment)), timeout_(timeout) {}

Token AzureCliSource::fetch(const TokenRequest& request) {
  const Asked asked{describe(), "the Azure CLI"};
  if (!request.claims.empty()) {
    refused("the vault wants a sign-in with more claims, which the Azure CLI can only do itself",
            "Run az logout and az login, then run the same command again.");
  }
  const auto program = find_program(kProgram, environment_("PATH"));
  if (!program) {
    refused("the Azure CLI (az) is in no directory of PATH",
            "Install the Azure CLI and run az login, or name another source of credentials in "
            "job.json (encryption.credential.source).");
  }
  std::vector<std::string> arguments = {"account", "get-access-token", "--output",
                                        "json",    "--resource",       request.resource};
  if (!request.tenant.empty()) {
    arguments.insert(arguments.end(), {"--tenant", request.tenant});
  }
  const SecretSubprocessResult result =
      run_subprocess_for_secret(*program, arguments, child_environment(environment_), timeout_);
  if (result.timed_out) {
    throw KeyError(Condition::kTimeout, "the Azure CLI gave no token within " +
                                            std::to_string(timeout_.count() / 1000) + " s");
  }
  if (result.exit_status != 0) failed(result, asked);
  try {
    return read_cli_token(result.output.text());
  } catch (const FormatError& error) {
    throw KeyError(Condition::kUnexpected,
                   "what the Azure CLI printed cannot be used: " + std::string(error.what()));
  }
}

std::string AzureCliSource::describe() const { return "the sign-in of the Azure CLI"; }

}  // namespace driveprep::keywrap::identity
