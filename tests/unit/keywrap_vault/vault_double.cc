#include "tests/unit/keywrap_vault/vault_double.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "base/bytes.h"

namespace driveprep::test {
namespace {

constexpr const char* kPython = "/usr/bin/python3";  // the one that Debian's packages are for

}  // namespace

bool VaultDouble::available() {
  return std::system((std::string(kPython) + " -c 'import cryptography' 2>/dev/null").c_str()) == 0;
}

VaultDouble::VaultDouble() {
  std::array<int, 2> input{};
  std::array<int, 2> output{};
  require(::pipe2(input.data(), O_CLOEXEC) == 0 && ::pipe2(output.data(), O_CLOEXEC) == 0,
          "no pipes for the vault double");
  child_ = ::fork();
  require(child_ >= 0, "no process for the vault double");
  if (child_ == 0) {
    ::dup2(input[0], STDIN_FILENO);
    ::dup2(output[1], STDOUT_FILENO);
    ::execl(kPython, kPython, "-B", VAULT_DOUBLE, "--directory", scratch_.path().c_str(), nullptr);
    ::_exit(127);
  }
  input_ = UniqueFd(input[1]);
  ::close(input[0]);
  ::close(output[1]);
  const UniqueFd reader(output[0]);
  std::string line;
  for (char c = 0; ::read(reader.get(), &c, 1) == 1 && c != '\n';) line += c;
  ports_ = nlohmann::json::parse(line);
}

VaultDouble::~VaultDouble() {
  input_ = UniqueFd();
  ::waitpid(child_, nullptr, 0);
}

nlohmann::json VaultDouble::call(const std::string& operation, const nlohmann::json& arguments) {
  const SecretBytes body = SecretBytes::copy_of(arguments.dump());
  keywrap::http::Request request;
  request.method = keywrap::http::Method::kPost;
  request.url =
      "http://127.0.0.1:" + std::to_string(ports_.at("control").get<int>()) + "/" + operation;
  request.headers = {{"Content-Type", "application/json"}};
  request.body = &body;
  request.local_endpoint = true;
  const keywrap::http::Response response = control_.send(request);
  nlohmann::json result = nlohmann::json::parse(response.body.text());
  if (response.status != 200) internal_error("the vault double: " + result.dump());
  return result;
}

keywrap::http::TestEndpoints VaultDouble::endpoints(const std::string& vault) const {
  const auto to = [&](const char* port) {
    return ":443:127.0.0.1:" + std::to_string(ports_.at(port).get<int>());
  };
  return {{vault + to("vault"), "login.microsoftonline.com" + to("authority")},
          ports_.at("ca").get<std::string>()};
}

}  // namespace driveprep::test
