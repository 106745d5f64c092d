#include "keywrap/identity/token_cache.h"

#include <algorithm>
#include <future>
#include <optional>

#include "keywrap/key_error.h"

namespace driveprep::keywrap::identity {
namespace {

constexpr UnixSeconds kEnoughLife = 5 * 60;
// While the source cannot be reached and the old token is still good.
constexpr UnixSeconds kPauseAfterFailure = 30;

using SharedToken = std::shared_ptr<const Token>;

}  // namespace

struct TokenCache::Slot {
  // A request on its way, for those who come later and want the same.
  struct Flight {
    std::string claims;
    std::shared_future<SharedToken> landing;
  };

  std::mutex mutex;
  SharedToken token;
  std::string claims;  // that it was made for
  UnixSeconds fetched = 0;
  UnixSeconds rest_until = 0;  // no new one is asked for before
  std::optional<Flight> flight;
};

TokenCache::TokenCache(std::shared_ptr<TokenSource> source, Clock clock)
    : source_(std::move(source)), clock_(std::move(clock)) {}

TokenCache::~TokenCache() = default;

std::shared_ptr<TokenCache::Slot> TokenCache::slot_of(const TokenRequest& request) {
  TokenRequest key = request;
  key.claims.clear();
  const std::scoped_lock lock(mutex_);
  std::shared_ptr<Slot>& slot = slots_[key];
  if (!slot) slot = std::make_shared<Slot>();
  return slot;
}

std::shared_ptr<const Token> TokenCache::usable(const Slot& slot,
                                                const TokenRequest& request) const {
  if (!slot.token) return nullptr;
  if (!request.claims.empty() && slot.claims != request.claims) return nullptr;
  const UnixSeconds now = clock_();
  // Somebody set the clock back: the rest of its life is not known.
  if (now < slot.fetched) return nullptr;
  const UnixSeconds left = slot.token->expires - now;
  const UnixSeconds needed =
      now < slot.rest_until ? 0 : std::min(kEnoughLife, (slot.token->expires - slot.fetched) / 2);
  return left > needed ? slot.token : nullptr;
}

std::shared_ptr<const Token> TokenCache::get(const TokenRequest& request) {
  const std::shared_ptr<Slot> slot = slot_of(request);
  std::promise<SharedToken> promise;
  {
    std::unique_lock lock(slot->mutex);
    while (slot->flight) {
      const Slot::Flight flight = *slot->flight;
      lock.unlock();
      const bool same = request.claims.empty() || flight.claims == request.claims;
      if (same) return flight.landing.get();
      flight.landing.wait();
      lock.lock();
    }
    if (SharedToken token = usable(*slot, request)) return token;
    slot->flight = {request.claims, promise.get_future().share()};
  }

  SharedToken token;
  std::exception_ptr error;
  try {
    const UnixSeconds asked = clock_();
    token = std::make_shared<const Token>(source_->fetch(request));
    const std::scoped_lock lock(slot->mutex);
    slot->token = token;
    slot->claims = request.claims;
    slot->fetched = asked;
    slot->rest_until = 0;
  } catch (const KeyError& failure) {
    const std::scoped_lock lock(slot->mutex);
    const UnixSeconds now = clock_();
    if (slot->token && request.claims.empty() && is_retryable(failure.condition()) &&
        slot->token->expires > now) {
      slot->rest_until = now + kPauseAfterFailure;
      token = slot->token;
    } else {
      error = std::current_exception();
    }
  } catch (...) {
    error = std::current_exception();
  }
  {
    const std::scoped_lock lock(slot->mutex);
    slot->flight.reset();
  }
  if (error) {
    promise.set_exception(error);
    std::rethrow_exception(error);
  }
  promise.set_value(token);
  return token;
}

void TokenCache::invalidate(const TokenRequest& request, const SharedToken& refused) {
  const std::shared_ptr<Slot> slot = slot_of(request);
  const std::scoped_lock lock(slot->mutex);
  if (slot->token == refused) slot->token.reset();
}

}  // namespace driveprep::keywrap::identity
