// Tokens in memory, and nowhere else.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "keywrap/identity/token_source.h"

namespace driveprep::keywrap::identity {

// The tokens of one source: one for each authority, tenant and resource. Safe to use from several
// threads: those that want the same token at the same time wait for one request, and share its
// token or its error.
class TokenCache {
 public:
  explicit TokenCache(std::shared_ptr<TokenSource> source, Clock clock = system_clock_seconds);
  ~TokenCache();

  // The token that is there, until less than 5 minutes of its life remain, or less than half of it
  // if it was given for less than 10 minutes; then a new one. When no new one can be had for a
  // reason that may pass, the old one is handed out as long as it lives.
  //
  // With claims: a token that was made for these very claims. It takes the place of the other one.
  std::shared_ptr<const Token> get(const TokenRequest& request);

  // After `refused` got a 401: it is not handed out again. A newer one, which another thread has
  // fetched meanwhile, stays.
  void invalidate(const TokenRequest& request, const std::shared_ptr<const Token>& refused);

  TokenSource& source() { return *source_; }

 private:
  struct Slot;

  std::shared_ptr<Slot> slot_of(const TokenRequest& request);
  std::shared_ptr<const Token> usable(const Slot& slot, const TokenRequest& request) const;

  std::shared_ptr<TokenSource> source_;
  Clock clock_;
  std::mutex mutex_;
  std::map<TokenRequest, std::shared_ptr<Slot>> slots_;  // by the request without its claims
};

}  // namespace driveprep::keywrap::identity
