// One HTTP exchange, as the vault, the sign-in hosts and the machine's own token endpoints need it.
#pragma once

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret_bytes.h"
#include "keywrap/condition.h"

namespace driveprep::keywrap::http {

enum class Method { kGet, kPost };

struct Header {
  std::string name;  // in a response lower case
  std::string value;
};

// A header whose value must not be printed or kept: "Authorization: Bearer <token>".
struct SecretHeader {
  std::string name;
  std::string scheme;  // "Bearer", "Basic", or empty
  const SecretBytes* value = nullptr;
};

struct Request {
  Method method = Method::kGet;
  std::string url;
  std::vector<Header> headers = {};
  std::optional<SecretHeader> secret_header = {};
  const SecretBytes* body = nullptr;  // nullptr: none; with kPost then of length 0
  // What in the body is a secret; exchange() takes care that it does not come back.
  std::vector<std::string_view> secret_parts = {};
  // Of the whole exchange.
  std::chrono::milliseconds timeout{30'000};
  // An endpoint of this machine (instance metadata, App Service, Arc): plain http, and never
  // through a proxy. Everything else is https with a verified certificate, or is not sent.
  bool local_endpoint = false;
};

struct Response {
  int status = 0;
  std::vector<Header> headers;  // in the order of arrival, repeated ones included
  SecretBytes body;             // of an error (400 and above) the first kMaxResponseBytes at most

  // The first header of that name (lower case).
  std::optional<std::string_view> header(std::string_view name) const;
};

// No response came. The message names the host and the cause.
class TransportError : public std::runtime_error {
 public:
  enum class Kind {
    kNameUnknown,     // the name server says that there is no such host
    kNameUnresolved,  // no name server answered
    kNotConnected,    // refused, reset, or ended early
    kTimeout,
    kTls,       // the certificate could not be verified, or TLS was refused; the message says which
    kTooLarge,  // more than kMaxResponseBytes, and no error
  };
  TransportError(Kind kind, const std::string& message)
      : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

// "demo.vault.azure.net" of "https://demo.vault.azure.net/keys/...".
std::string host_of(std::string_view url);

// kUnavailable, kTimeout, kTlsFailure or kUnexpected. Whether an unknown name means that a vault is
// gone, only who asked can tell.
Condition condition_of(const TransportError& error);

inline constexpr std::size_t kMaxResponseBytes = 256 * 1024;

// Safe to use from several threads. Redirects are not followed: they are responses.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual Response send(const Request& request) = 0;
  // Whether the name server knows the host; false also when no name server answers.
  virtual bool resolves(const std::string& host) = 0;
};

// Sends. An answer that is no success is read by people in the end, and some services quote what
// they were sent: the value of the secret header and the secret parts of the body are blotted out
// in it.
Response exchange(Transport& transport, const Request& request);

}  // namespace driveprep::keywrap::http
