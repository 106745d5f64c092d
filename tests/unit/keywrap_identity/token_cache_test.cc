#include "keywrap/identity/token_cache.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <thread>

#include "tests/unit/keywrap_identity/fixtures.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using namespace driveprep::keywrap::identity;
using test::failure_of;
using test::vault_request;

namespace {

// Gives "token-1", "token-2", ... of `life` seconds, or fails with `failure`.
class CountingSource final : public TokenSource {
 public:
  explicit CountingSource(std::atomic<UnixSeconds>& now) : now_(now) {}

  Token fetch(const TokenRequest& request) override {
    const int number = ++fetches;
    {
      std::unique_lock lock(mutex_);
      claims.push_back(request.claims);
      gate_.wait(lock, [&] { return open_; });
    }
    if (failure) throw KeyError(*failure, "failed");
    return {SecretBytes::copy_of("token-" + std::to_string(number)), now_ + life};
  }
  std::string describe() const override { return "the source of this test"; }

  void set_open(bool open) {
    const std::scoped_lock lock(mutex_);
    open_ = open;
    gate_.notify_all();
  }

  std::atomic<int> fetches = 0;
  UnixSeconds life = 3600;
  std::optional<Condition> failure;
  std::vector<std::string> claims;

 private:
  std::atomic<UnixSeconds>& now_;
  std::mutex mutex_;
  std::condition_variable gate_;
  bool open_ = true;
};

struct Fixture {
  std::atomic<UnixSeconds> now = test::kNow;
  std::shared_ptr<CountingSource> source = std::make_shared<CountingSource>(now);
  TokenCache cache{source, [this] { return now.load(); }};

  std::string get(const TokenRequest& request = vault_request()) {
    return std::string(cache.get(request)->value.text());
  }
};

TokenRequest with_claims(const std::string& claims) {
  TokenRequest request = vault_request();
  request.claims = claims;
  return request;
}

}  // namespace

TEST_CASE("a token is fetched once and kept until five minutes before its end") {
  Fixture f;
  CHECK(f.get() == "token-1");
  f.now += 3600 - 301;
  CHECK(f.get() == "token-1");
  f.now += 1;
  CHECK(f.get() == "token-2");
  CHECK(f.source->fetches == 2);
}

TEST_CASE("a short token is renewed after half of its life") {
  Fixture f;
  f.source->life = 100;
  CHECK(f.get() == "token-1");
  f.now += 49;
  CHECK(f.get() == "token-1");
  f.now += 1;
  CHECK(f.get() == "token-2");
}

TEST_CASE("a token that is over when it comes is handed out, and not kept") {
  Fixture f;
  f.source->life = 0;
  CHECK(f.get() == "token-1");
  CHECK(f.get() == "token-2");
}

TEST_CASE("a token is fetched anew when the clock was set back behind its beginning") {
  Fixture f;
  CHECK(f.get() == "token-1");
  f.now -= 10;
  CHECK(f.get() == "token-2");
}

TEST_CASE("each authority, tenant and resource has a token of its own") {
  Fixture f;
  TokenRequest hsm = vault_request();
  hsm.resource = "https://managedhsm.azure.net";
  TokenRequest tenant = vault_request();
  tenant.tenant = "99999999-2222-3333-4444-555555555555";
  TokenRequest authority = vault_request();
  authority.authority = "https://login.windows.net";
  CHECK(f.get() == "token-1");
  CHECK(f.get(hsm) == "token-2");
  CHECK(f.get(tenant) == "token-3");
  CHECK(f.get(authority) == "token-4");
  CHECK(f.get(hsm) == "token-2");
  CHECK(f.get() == "token-1");
}

TEST_CASE("threads that want the same token share one request") {
  Fixture f;
  f.source->set_open(false);
  std::atomic<int> got = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { got += f.get() == "token-1" ? 1 : 0; });
  }
  while (f.source->fetches == 0) std::this_thread::yield();
  f.source->set_open(true);
  for (std::thread& thread : threads) thread.join();
  CHECK(got == 8);
  CHECK(f.source->fetches == 1);
}

TEST_CASE("threads that wait for a request share its error, and the next one asks again") {
  Fixture f;
  f.source->failure = Condition::kPrincipalNotFound;
  f.source->set_open(false);
  std::atomic<int> failed = 0;
  std::atomic<int> started = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      ++started;
      if (failure_of([&] { f.get(); }).condition == "PrincipalNotFound") ++failed;
    });
  }
  while (f.source->fetches == 0 || started < 4) std::this_thread::yield();
  f.source->set_open(true);
  for (std::thread& thread : threads) thread.join();
  CHECK(failed == 4);
  const int before = f.source->fetches;
  f.source->failure.reset();
  CHECK(f.get() == "token-" + std::to_string(before + 1));
}

TEST_CASE("a refused token is not handed out again, a newer one stays") {
  Fixture f;
  const auto first = f.cache.get(vault_request());
  f.cache.invalidate(vault_request(), first);
  CHECK(f.get() == "token-2");
  f.cache.invalidate(vault_request(), first);
  CHECK(f.get() == "token-2");
  // Whoever holds the old one still can read it.
  CHECK(first->value.text() == "token-1");
}

TEST_CASE("claims force a new token, which takes the place of the old one") {
  Fixture f;
  CHECK(f.get() == "token-1");
  CHECK(f.get(with_claims("{\"a\":1}")) == "token-2");
  CHECK(f.source->claims == std::vector<std::string>{"", "{\"a\":1}"});
  CHECK(f.get() == "token-2");
  CHECK(f.get(with_claims("{\"a\":1}")) == "token-2");
  CHECK(f.get(with_claims("{\"a\":2}")) == "token-3");
  f.cache.invalidate(with_claims("{\"a\":2}"), f.cache.get(vault_request()));
  CHECK(f.get() == "token-4");
}

TEST_CASE("the old token bridges a sign-in host that is away for a moment") {
  Fixture f;
  CHECK(f.get() == "token-1");
  f.now += 3400;
  f.source->failure = Condition::kUnavailable;
  CHECK(f.get() == "token-1");
  CHECK(f.get() == "token-1");
  CHECK(f.source->fetches == 2);
  f.now += 31;
  CHECK(f.get() == "token-1");
  CHECK(f.source->fetches == 3);
  f.now += 169;
  CHECK(failure_of([&] { f.get(); }).condition == "Unavailable");
}

TEST_CASE("a refusal of the sign-in host is told although an old token is there") {
  Fixture f;
  CHECK(f.get() == "token-1");
  f.now += 3400;
  f.source->failure = Condition::kPrincipalNotFound;
  CHECK(failure_of([&] { f.get(); }).condition == "PrincipalNotFound");
}
