// What a token endpoint answers gives a token that can stand in a header and expires within a year,
// or a FormatError; as an error it gives a message that is printable and short. What is read in
// place is the same as what another JSON parser reads.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>

#include "keywrap/identity/token_response.h"

using namespace driveprep;
using namespace driveprep::keywrap;

namespace {

void require_same(const JsonView& ours, const nlohmann::json& theirs) {
  require(ours.is_object() == theirs.is_object(), "an object or not");
  require(ours.is_string() == theirs.is_string(), "a string or not");
  if (ours.is_string()) {
    require(ours.text() == theirs.get<std::string>(), "another text");
    require(ours.secret()->text() == ours.text(), "text and secret differ");
  }
  if (const auto value = ours.integer(); value && theirs.is_number_integer()) {
    require(*value == theirs.get<std::int64_t>(), "another number");
  }
  if (theirs.is_structured()) {
    require(ours.children().size() == theirs.size(), "another number of members");
  }
  if (theirs.is_object()) {
    for (const JsonMember& child : ours.children()) {
      require_same(child.value, theirs.at(child.name));
    }
  } else if (theirs.is_array()) {
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      require_same(ours.children()[i].value, theirs[i]);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr UnixSeconds kNow = 1'700'000'000;
  const std::string_view text = as_text(std::as_bytes(std::span(data, size)));
  try {
    const identity::Token token = identity::read_token(text, kNow);
    require(!token.value.empty() && token.expires >= kNow && token.expires < kNow + 367 * 86'400,
            "a token without an end");
    for (const char c : token.value.text()) require(c > ' ' && c <= '~', "a token with a space");
  } catch (const FormatError&) {
  }
  const http::Response response{400, {}, SecretBytes::copy_of(text)};
  const std::string message = identity::error_of(response, {"somebody", "a host"}).what();
  require(message.size() < 300, "a message that does not end");
  for (const char c : message) require(c >= ' ' && c <= '~', "a message that is not printable");
  try {
    const JsonView json = JsonView::parse(text, 1 << 20);
    require_same(json, nlohmann::json::parse(text));
  } catch (const FormatError&) {
  } catch (const nlohmann::json::out_of_range&) {
    // It refuses numbers beyond a double.
  }
  return 0;
}
