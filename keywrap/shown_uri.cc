#include "keywrap/shown_uri.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace driveprep::keywrap {
namespace {

constexpr std::size_t kLongest = 400;
constexpr std::string_view kLeftOut = "(...)";
constexpr std::string_view kTokenScheme = "pkcs11:";
constexpr std::string_view kPin = "pin-value";

// A PIN may have been written with a ';' or '&' that should have been encoded: it ends only where
// something begins that cannot be mistaken for a part of it.
constexpr std::array<std::string_view, 4> kBehindPin = {
    "?", "&module-path=", "&module-name=", "&pin-source="};

std::string without_pins(std::string_view uri) {
  std::string result;
  for (;;) {
    const std::string lower = ascii::lower(uri);
    const std::size_t pin = lower.find(kPin);
    if (pin == std::string::npos) return result + std::string(uri);
    const std::size_t start = pin + kPin.size();
    result += std::string(uri.substr(0, start)) + "=" + std::string(kLeftOut);
    std::size_t end = uri.size();
    for (const std::string_view mark : kBehindPin) end = std::min(end, lower.find(mark, start));
    uri.remove_prefix(end);
  }
}

// No identifier of a vault's key has an '@': what stands before the last one is a user.
std::string without_user(std::string_view uri) {
  const std::size_t at = uri.rfind('@');
  if (at == std::string_view::npos) return std::string(uri);
  const std::size_t scheme = uri.find("://");
  const std::size_t start = scheme < at ? scheme + 3 : 0;
  return std::string(uri.substr(0, start)) + std::string(kLeftOut) + std::string(uri.substr(at));
}

}  // namespace

std::string shown_uri(std::string_view uri) {
  const std::size_t first = std::min(uri.find_first_not_of(" \t\r\n"), uri.size());
  const bool is_token = ascii::lower(uri.substr(first, kTokenScheme.size())) == kTokenScheme;
  std::string shown = without_pins(uri);
  // In a PKCS#11 URI an '@' may be part of a label.
  if (!is_token) shown = without_user(shown);
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  return shown.size() <= kLongest ? shown : shown.substr(0, kLongest) + "...";
}

}  // namespace driveprep::keywrap
