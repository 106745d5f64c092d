#include "keywrap/http/sender.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <thread>

namespace driveprep::keywrap::http {
namespace {

constexpr Milliseconds kFirstWait{1'000};
constexpr Milliseconds kLongestOwnWait{16'000};
constexpr Milliseconds kWorthTelling{1'000};

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// "Sun, 06 Nov 1994 08:49:37 GMT": of the three forms of RFC 9110 the only one still sent.
std::optional<UnixSeconds> http_date(std::string_view text) {
  const std::string copy(text);
  std::tm parts{};
  const char* end = ::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != 0) return std::nullopt;
  return ::timegm(&parts);
}

bool is_worth_repeating(int status) { return status == 408 || status == 429 || status >= 500; }

bool is_worth_repeating(TransportError::Kind kind) {
  return kind == TransportError::Kind::kNotConnected || kind == TransportError::Kind::kTimeout ||
         kind == TransportError::Kind::kNameUnresolved;
}

// Without it, all that were refused together come back together.
Milliseconds with_jitter(Milliseconds wait) {
  thread_local std::minstd_rand generator{std::random_device{}()};
  std::uniform_real_distribution<double> factor(0.8, 1.2);
  return Milliseconds(
      static_cast<std::int64_t>(static_cast<double>(wait.count()) * factor(generator)));
}

}  // namespace

void Surroundings::sleep_for(Milliseconds time) { std::this_thread::sleep_for(time); }

std::optional<Milliseconds> requested_wait(const Response& response, UnixSeconds now) {
  for (const char* name : {"retry-after-ms", "x-ms-retry-after-ms"}) {
    if (const auto text = response.header(name)) {
      if (const auto value = whole_number(*text)) return Milliseconds(*value);
    }
  }
  const auto text = response.header("retry-after");
  if (!text) return std::nullopt;
  // Longer waits than a day are cut by the policy anyway, and must not overflow.
  constexpr std::int64_t kDay = 86'400;
  if (const auto seconds = whole_number(*text)) {
    return Milliseconds(1000 * std::min(*seconds, kDay));
  }
  if (const auto date = http_date(*text)) {
    return Milliseconds(1000 * std::clamp<std::int64_t>(*date - now, 0, kDay));
  }
  return std::nullopt;
}

Sender::Sender(Transport& transport, RetryPolicy policy, Surroundings surroundings)
    : transport_(transport), policy_(policy), surroundings_(std::move(surroundings)) {}

Response Sender::send(const Request& request) {
  const auto end = surroundings_.now() + policy_.deadline;
  Milliseconds own_wait = kFirstWait;
  // True when there is time for another attempt; waits until then.
  const auto wait = [&](std::optional<Milliseconds> wanted, const std::string& why) {
    const Milliseconds time = std::min(
        wanted ? std::max(*wanted, own_wait / 10) : with_jitter(own_wait), policy_.longest_wait);
    own_wait = std::min(2 * own_wait, kLongestOwnWait);
    if (surroundings_.now() + time > end) return false;
    if (time >= kWorthTelling) {
      surroundings_.notice(why + ": waiting " + std::to_string((time.count() + 500) / 1000) + " s");
    }
    surroundings_.sleep(time);
    return true;
  };
  while (true) {
    try {
      Response response = exchange(transport_, request);
      if (!is_worth_repeating(response.status) ||
          !wait(requested_wait(response, surroundings_.clock()),
                host_of(request.url) + " answered " + std::to_string(response.status))) {
        return response;
      }
    } catch (const TransportError& error) {
      if (!is_worth_repeating(error.kind()) || !wait(std::nullopt, error.what())) throw;
    }
  }
}

}  // namespace driveprep::keywrap::http
