#include "keywrap/key_uri.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/guid.h"

namespace driveprep::keywrap {
namespace {

using ascii::lower;

constexpr std::string_view kScheme = "keystore://";
constexpr std::size_t kMaxNameLength = 127;
constexpr std::size_t kVersionLength = 32;
constexpr std::size_t kStoreIdLength = 36;

// Cuts what comes before `separator` off the front; nullopt when there is none.
std::optional<std::string_view> cut(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return part;
}

}  // namespace

std::optional<std::string> canonical_key_name(std::string_view name) {
  const bool valid = !name.empty() && name.size() <= kMaxNameLength &&
                     std::all_of(name.begin(), name.end(),
                                 [](char c) { return ascii::is_alphanumeric(c) || c == '-'; });
  return valid ? std::optional(lower(name)) : std::nullopt;
}

std::string LocalKeyUri::to_string() const {
  return std::string(kScheme) + store_id + "/keys/" + name + (has_version() ? "/" + version : "");
}

std::optional<LocalKeyUri> LocalKeyUri::parse(std::string_view text) {
  if (lower(text.substr(0, kScheme.size())) != kScheme) return std::nullopt;
  std::string_view rest = text.substr(kScheme.size());
  const auto store = cut(rest, '/');
  const auto keys = cut(rest, '/');
  if (!store || !keys || lower(*keys) != "keys") return std::nullopt;
  const bool versioned = rest.find('/') != std::string_view::npos;
  auto name = canonical_key_name(versioned ? *cut(rest, '/') : rest);
  if (!name) return std::nullopt;

  LocalKeyUri uri{lower(*store), std::move(*name), versioned ? lower(rest) : std::string()};
  // The length rules out the forms with braces.
  if (store->size() != kStoreIdLength || !Guid::parse(uri.store_id)) return std::nullopt;
  const bool hex = std::all_of(uri.version.begin(), uri.version.end(),
                               [](char c) { return ascii::is_digit(c) || (c >= 'a' && c <= 'f'); });
  if (versioned && (uri.version.size() != kVersionLength || !hex)) return std::nullopt;
  return uri;
}

}  // namespace driveprep::keywrap
