// What the tests of token sources share: the condition of an error, and endpoints that answer from
// a script while a clock runs that only sleeping moves.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "keywrap/cloud.h"
#include "keywrap/http/sender.h"
#include "keywrap/identity/token_source.h"
#include "keywrap/key_error.h"

namespace driveprep::test {

inline const std::string kTenant = "11111111-2222-3333-4444-555555555555";

inline keywrap::Cloud public_cloud() { return keywrap::known_cloud("public").value(); }

// What the condition is called, and the message for those who want to look into it; "" for none.
struct Failure {
  std::string condition;
  std::string message;
  std::string remedy;
  keywrap::KeyEvidence evidence;
};
template <typename Action>
Failure failure_of(Action action) {
  try {
    action();
  } catch (const keywrap::KeyError& error) {
    return {std::string(to_string(error.condition())), error.what(), error.remedy(),
            error.evidence()};
  }
  return {};
}

// A request as it was sent, its secrets too.
struct Sent {
  keywrap::http::Method method;
  std::string url;
  std::vector<keywrap::http::Header> headers;
  std::string secret_header;  // "Authorization: Basic x"
  std::string body;
  bool local_endpoint;
  std::chrono::milliseconds timeout;

  bool has_header(const std::string& name, const std::string& value) const {
    for (const auto& header : headers) {
      if (header.name == name && header.value == value) return true;
    }
    return false;
  }
};

// Answers from a script, one step a request; the last one is repeated.
class ScriptedTransport final : public keywrap::http::Transport {
 public:
  using Step = std::function<keywrap::http::Response()>;

  ScriptedTransport& answer(int status, std::string body = "",
                            std::vector<keywrap::http::Header> headers = {}) {
    steps_.push_back([=] {
      return keywrap::http::Response{status, headers, SecretBytes::copy_of(body)};
    });
    return *this;
  }
  ScriptedTransport& fail(keywrap::http::TransportError::Kind kind) {
    steps_.push_back([=]() -> keywrap::http::Response {
      throw keywrap::http::TransportError(kind, "scripted failure");
    });
    return *this;
  }

  keywrap::http::Response send(const keywrap::http::Request& request) override {
    Sent sent{request.method,         request.url,    request.headers, "", "",
              request.local_endpoint, request.timeout};
    if (request.secret_header) {
      const auto& secret = *request.secret_header;
      sent.secret_header = secret.name + ": " + secret.scheme + (secret.scheme.empty() ? "" : " ") +
                           std::string(secret.value->text());
    }
    if (request.body != nullptr) sent.body = request.body->text();
    requests.push_back(sent);
    require(!steps_.empty(), "a request that no test expects");
    const Step step = steps_.front();
    if (steps_.size() > 1) steps_.pop_front();
    return step();
  }
  bool resolves(const std::string&) override { return true; }

  std::vector<Sent> requests;

 private:
  std::deque<Step> steps_;
};

inline constexpr keywrap::UnixSeconds kNow = 1'700'000'000;

// Endpoints and clock of a test.
struct World {
  ScriptedTransport transport;
  std::chrono::milliseconds slept{0};
  std::vector<std::chrono::milliseconds> sleeps;
  keywrap::http::Sender sender{transport, {}, surroundings()};

  keywrap::UnixSeconds now() const {
    return kNow + std::chrono::duration_cast<std::chrono::seconds>(slept).count();
  }
  keywrap::http::Surroundings surroundings() {
    keywrap::http::Surroundings surroundings;
    surroundings.clock = [this] { return now(); };
    surroundings.sleep = [this](std::chrono::milliseconds time) {
      slept += time;
      sleeps.push_back(time);
    };
    surroundings.now = [this] { return std::chrono::steady_clock::time_point(slept); };
    return surroundings;
  }
};

inline keywrap::identity::TokenRequest vault_request() {
  return {"https://login.microsoftonline.com", kTenant, "https://vault.azure.net", ""};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace driveprep::test
