#include "keywrap/identity/token_response.h"

#include <algorithm>
#include <charconv>

#include "base/ascii.h"

namespace driveprep::keywrap::identity {
namespace {

// Tokens live for a day at most; a year keeps sums far from overflowing.
constexpr std::int64_t kLongestLife = 366 * 86'400;

}  // namespace

SecretBytes token_text(const JsonView* member) {
  std::optional<SecretBytes> token = member == nullptr ? std::nullopt : member->secret();
  if (!token || token->empty()) throw FormatError("there is no token in it");
  const bool fits = std::ranges::all_of(token->text(), [](char c) { return c > ' ' && c <= '~'; });
  if (!fits) throw FormatError("the token in it has characters that no token has");
  return std::move(*token);
}

std::optional<std::int64_t> seconds_of(const JsonView* member) {
  if (member == nullptr) return std::nullopt;
  const auto text = member->text();
  if (!text) return member->integer();
  std::int64_t value = 0;
  const char* end = text->data() + text->size();
  const auto [stop, status] = std::from_chars(text->data(), end, value);
  return status == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

Token read_token(std::string_view body, UnixSeconds now) {
  const JsonView json = JsonView::parse(body, http::kMaxResponseBytes);
  Token token;
  token.value = token_text(json.find("access_token"));
  if (const JsonView* type = json.find("token_type")) {
    if (ascii::lower(type->text().value_or("")) != "bearer") {
      throw FormatError("the token in it is not of the type Bearer");
    }
  }
  const auto on = seconds_of(json.find("expires_on"));
  const auto in = seconds_of(json.find("expires_in"));
  if (!on && !in) throw FormatError("it does not tell when the token expires");
  const auto in_life = [&](std::int64_t time) {
    return std::clamp<std::int64_t>(time, now, now + kLongestLife);
  };
  token.expires =
      in_life(std::min(on.value_or(INT64_MAX),
                       in ? now + std::clamp<std::int64_t>(*in, 0, kLongestLife) : INT64_MAX));
  return token;
}

Token token_of(const http::Response& response, UnixSeconds now, const Asked& asked) {
  if (response.status != 200) throw error_of(response, asked);
  try {
    return read_token(response.body.text(), now);
  } catch (const FormatError& error) {
    KeyEvidence evidence;
    evidence.http_status = response.status;
    throw KeyError(
        Condition::kUnexpected,
        "the answer of " + asked.where + " for " + asked.who + " cannot be used: " + error.what(),
        evidence);
  }
}

}  // namespace driveprep::keywrap::identity
