#include "keywrap/http/sender.h"

#include <catch2/catch.hpp>
#include <deque>
#include <variant>

namespace driveprep::keywrap::http {
namespace {

using std::chrono::seconds;
using Step = std::variant<Response, TransportError>;

Response answer(int status, std::vector<Header> headers = {}) {
  Response response;
  response.status = status;
  response.headers = std::move(headers);
  return response;
}

// Gives one step after the other, the last one for ever.
class Scripted final : public Transport {
 public:
  Response send(const Request&) override {
    ++requests;
    if (steps.size() > 1) {
      current = std::move(steps.front());
      steps.pop_front();
    } else {
      current = copy(steps.front());
    }
    if (const auto* error = std::get_if<TransportError>(&current)) throw *error;
    return answer(std::get<Response>(current).status, std::get<Response>(current).headers);
  }
  bool resolves(const std::string&) override { return true; }

  static Step copy(const Step& step) {
    if (const auto* error = std::get_if<TransportError>(&step)) return *error;
    return answer(std::get<Response>(step).status, std::get<Response>(step).headers);
  }

  std::deque<Step> steps;
  Step current = answer(0);
  int requests = 0;
};

// A sender whose time passes only by waiting.
struct Fixture {
  Scripted transport;
  std::chrono::steady_clock::time_point time{};
  UnixSeconds clock = 784'111'777;  // Sun, 06 Nov 1994 08:49:37 GMT
  std::vector<std::int64_t> waits;  // milliseconds
  std::vector<std::string> notices;

  Sender sender() {
    Surroundings around;
    around.clock = [this] { return clock; };
    around.now = [this] { return time; };
    around.sleep = [this](Milliseconds wait) {
      waits.push_back(wait.count());
      time += wait;
    };
    around.notice = [this](const std::string& text) { notices.push_back(text); };
    return Sender(transport, {}, around);
  }
  Response send() {
    return sender().send({.method = Method::kGet, .url = "https://demo.example/"});
  }
};

TEST_CASE("an answer that is no failure of the service is final at once") {
  const int status = GENERATE(200, 400, 401, 403, 404, 409);
  Fixture f;
  f.transport.steps.emplace_back(answer(status));
  CHECK(f.send().status == status);
  CHECK(f.transport.requests == 1);
  CHECK(f.waits.empty());
}

TEST_CASE("throttled and failing services are asked again") {
  const int status = GENERATE(408, 429, 500, 502, 503, 504);
  Fixture f;
  f.transport.steps.emplace_back(answer(status));
  f.transport.steps.emplace_back(answer(status));
  f.transport.steps.emplace_back(answer(200));
  CHECK(f.send().status == 200);
  REQUIRE(f.waits.size() == 2);
  CHECK(f.waits[0] >= 800);
  CHECK(f.waits[0] <= 1200);
  CHECK(f.waits[1] >= 1600);
  CHECK(f.waits[1] <= 2400);
  REQUIRE(f.notices.size() >= 1);
  CHECK(f.notices.back().find("demo.example answered " + std::to_string(status)) == 0);
}

TEST_CASE("the wait that an answer asks for is kept, in whatever form it comes") {
  const auto [name, value, expected] = GENERATE(table<std::string, std::string, std::int64_t>({
      {"retry-after", "7", 7'000},
      {"retry-after", "Sun, 06 Nov 1994 08:49:47 GMT", 10'000},
      {"retry-after-ms", "2500", 2'500},
      {"x-ms-retry-after-ms", "1500", 1'500},
      {"retry-after", "3600", 60'000},  // never longer than a minute at once
      {"retry-after", "0", 100},
      {"retry-after", "Sun, 06 Nov 1994 08:49:00 GMT", 100},  // passed
  }));
  CAPTURE(name, value);
  Fixture f;
  f.transport.steps.emplace_back(answer(429, {{name, value}}));
  f.transport.steps.emplace_back(answer(200));
  CHECK(f.send().status == 200);
  CHECK(f.waits == std::vector<std::int64_t>{expected});
}

TEST_CASE("a wait in no known form is replaced by our own") {
  const std::string value = GENERATE("", "soon", "-5", "1.5", "99999999999999999999",
                                     "Sun, 06 Nov 1994 08:49:47 GMT tomorrow");
  CHECK_FALSE(requested_wait(answer(429, {{"retry-after", value}}), 0));
}

TEST_CASE("the more exact wait goes first") {
  const Response response = answer(429, {{"retry-after", "9"}, {"retry-after-ms", "1200"}});
  CHECK(requested_wait(response, 0) == Milliseconds(1200));
}

TEST_CASE("asking ends at the deadline, even when no wait is asked for") {
  Fixture f;
  f.transport.steps.emplace_back(answer(429, {{"retry-after", "0"}}));
  CHECK(f.send().status == 429);
  CHECK(f.time.time_since_epoch() <= seconds(60));
  CHECK(f.transport.requests < 60);
}

TEST_CASE("a broken connection is tried again, a wrong certificate is not") {
  Fixture f;
  f.transport.steps.emplace_back(TransportError(TransportError::Kind::kNotConnected, "reset"));
  f.transport.steps.emplace_back(answer(200));
  CHECK(f.send().status == 200);
  Fixture g;
  g.transport.steps.emplace_back(TransportError(TransportError::Kind::kTls, "self-signed"));
  CHECK_THROWS_AS(g.send(), TransportError);
  CHECK(g.transport.requests == 1);
}

}  // namespace
}  // namespace driveprep::keywrap::http
