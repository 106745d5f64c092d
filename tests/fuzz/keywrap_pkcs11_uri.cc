// A PKCS#11 URI that parses has one text, which parses to the same; nothing else than a KeyError
// with a printable message comes out of the others; and no PIN gets through.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "keywrap/key_error.h"
#include "keywrap/pkcs11/pkcs11_uri.h"

using namespace driveprep;
using keywrap::pkcs11::Pkcs11Uri;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(std::as_bytes(std::span(data, size)));
  std::string again;
  try {
    const Pkcs11Uri uri = Pkcs11Uri::parse(text);
    const std::string_view query = text.substr(std::min(text.find('?'), text.size()));
    require(!query.starts_with("?pin-value="), "a PIN was taken");
    again = uri.to_string();
    // Encoding may make it longer than what is read.
    if (again.size() > 4096) return 0;
    require(Pkcs11Uri::parse(again) == uri, "a URI changed on its way through its text");
    require(Pkcs11Uri::parse(again).to_string() == again, "a URI has two texts");
  } catch (const keywrap::KeyError& error) {
    require(again.empty(), "the text of a URI is none");
    require(error.condition() == keywrap::Condition::kUriInvalid, "another condition");
    for (const char c : std::string_view(error.what())) {
      require(c >= ' ' && c <= '~', "a message that is not printable");
    }
  }
  return 0;
}
