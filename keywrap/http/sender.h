// Sends a request again while that can help (key-wrapping reference, section 3.5).
#pragma once

#include <chrono>
#include <functional>
#include <random>

#include "keywrap/http/transport.h"
#include "keywrap/key_store.h"

namespace driveprep::keywrap::http {

using Milliseconds = std::chrono::milliseconds;

struct RetryPolicy {
  Milliseconds longest_wait{60'000};
  // From the first attempt to the last one.
  Milliseconds deadline{60'000};
};

// What a request needs besides the wire; tests bring their own.
struct Surroundings {
  Clock clock = system_clock_seconds;  // for dates in Retry-After
  std::function<void(Milliseconds)> sleep = sleep_for;
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
  // Told before a wait of a second or more: "demo.vault.azure.net is busy (429): waiting 8 s".
  std::function<void(const std::string&)> notice = [](const std::string&) {};

  static void sleep_for(Milliseconds time);
};

// 408, 429, 5xx and broken connections are repeated, other answers are not. The wait is the one
// that the answer asks for (retry-after-ms, x-ms-retry-after-ms, Retry-After in seconds or as a
// date), else 1, 2, 4, 8, 16 s, give or take a fifth; somebody who asks for none at all waits a
// tenth of those. When the deadline would pass, the last answer or TransportError is final. Every
// request that driveprep makes may safely come twice. Safe to use from several threads.
class Sender {
 public:
  explicit Sender(Transport& transport, RetryPolicy policy = {}, Surroundings surroundings = {});

  Response send(const Request& request);
  Transport& transport() { return transport_; }
  UnixSeconds now() const { return surroundings_.clock(); }
  const Surroundings& surroundings() const { return surroundings_; }

 private:
  Transport& transport_;
  RetryPolicy policy_;
  Surroundings surroundings_;
};

// The wait that an answer asks for; nullopt when it asks for none, or in a form that is none.
std::optional<Milliseconds> requested_wait(const Response& response, UnixSeconds now);

}  // namespace driveprep::keywrap::http
