#include "keywrap/vault/vault_key_uri.h"

#include <algorithm>

#include "base/ascii.h"
#include "keywrap/key_uri.h"

namespace driveprep::keywrap::vault {
namespace {

using ascii::lower;

constexpr std::size_t kVersionLength = 32;
constexpr std::size_t kShortestStoreName = 3;
constexpr std::size_t kLongestStoreName = 24;

// Thrown within this file only.
struct Bad {
  UriFault fault;
};

[[noreturn]] void bad(Condition condition, std::string why) {
  throw Bad{{condition, std::move(why)}};
}
[[noreturn]] void invalid(std::string why) { bad(Condition::kUriInvalid, std::move(why)); }

// Letters, digits and single hyphens, a letter first and no hyphen last.
bool is_store_name(std::string_view name) {
  return name.size() >= kShortestStoreName && name.size() <= kLongestStoreName &&
         ascii::is_letter(name.front()) && name.back() != '-' &&
         name.find("--") == std::string_view::npos &&
         std::ranges::all_of(name, [](char c) { return ascii::is_alphanumeric(c) || c == '-'; });
}

// Cuts the scheme off; what follows the two slashes is left.
std::string_view after_scheme(std::string_view text) {
  const std::size_t end = text.find("://");
  if (end == std::string_view::npos) invalid("it is no URI");
  const std::string scheme = lower(text.substr(0, end));
  if (scheme == "http") bad(Condition::kSchemeNotHttps, "its scheme is http, not https");
  if (scheme != "https") invalid("its scheme is not https");
  return text.substr(end + 3);
}

// "host[:443]" -> host, in lower case, and which kind of store it is.
std::string check_host(std::string_view authority, const Cloud& cloud, StoreKind& kind) {
  if (authority.find('@') != std::string_view::npos) invalid("it names a user");
  std::string host = lower(authority);
  if (const std::size_t colon = host.find(':'); colon != std::string::npos) {
    if (host.substr(colon) != ":443") invalid("its port is not 443");
    host.resize(colon);
  }
  if (host.empty()) invalid("it names no host");
  for (const StoreKind candidate : {StoreKind::kVault, StoreKind::kManagedHsm}) {
    const std::string& suffix = cloud.suffix(candidate);
    if (!is_one_label_below(host, suffix)) continue;
    kind = candidate;
    const std::string_view label =
        std::string_view(host).substr(0, host.size() - suffix.size() - 1);
    if (!is_store_name(label)) {
      invalid("\"" + std::string(label) +
              "\" can be no vault's name: 3 to 24 letters, digits and single hyphens, a letter "
              "first");
    }
    return host;
  }
  const std::string hsm =
      cloud.managed_hsm_suffix.empty() ? "" : " or ." + cloud.managed_hsm_suffix;
  bad(Condition::kHostNotAllowed, "its host is not one name in front of ." + cloud.vault_suffix +
                                      hsm + ", as vaults of the " + cloud.name +
                                      " cloud are called");
}

std::string check_name(std::string_view name) {
  if (auto canonical = canonical_key_name(name)) return *canonical;
  invalid("a key's name has 1 to 127 letters, digits and hyphens");
}

std::string check_version(std::string_view version) {
  const bool hex = std::ranges::all_of(version, [](char c) {
    return ascii::is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
  if (version.size() != kVersionLength || !hex) {
    invalid("a key's version has 32 hexadecimal digits");
  }
  return lower(version);
}

void check_characters(std::string_view text) {
  for (const char c : text) {
    if (c == '?') invalid("it has a query");
    if (c == '#') invalid("it has a fragment");
    if (c == '%' || c == '\\' || c <= ' ' || c > '~') {
      invalid("it has characters that no key's identifier has");
    }
  }
}

// Cuts what comes before the next slash off the front.
std::string_view next_segment(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('/'), rest.size());
  const std::string_view segment = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return segment;
}

template <typename Parse>
ParsedKeyUri parsed(Parse parse) {
  try {
    return {parse(), std::nullopt};
  } catch (Bad& bad) {
    return {std::nullopt, std::move(bad.fault)};
  }
}

}  // namespace

bool is_one_label_below(std::string_view host, std::string_view suffix) {
  if (suffix.empty() || host.size() <= suffix.size() + 1) return false;
  const std::size_t dot = host.size() - suffix.size() - 1;
  return host[dot] == '.' && lower(host.substr(dot + 1)) == lower(suffix) &&
         host.substr(0, dot).find('.') == std::string_view::npos;
}

std::string VaultKeyUri::to_string() const {
  return vault_uri() + "/keys/" + name + (has_version() ? "/" + version : "");
}

VaultKeyUri VaultKeyUri::with_version(std::string_view new_version) const {
  VaultKeyUri uri = *this;
  uri.version = lower(new_version);
  return uri;
}

ParsedKeyUri parse_vault_key_uri(std::string_view text, const Cloud& cloud) {
  return parsed([&] {
    std::string_view rest = after_scheme(text);
    check_characters(rest);
    VaultKeyUri uri;
    uri.host = check_host(next_segment(rest), cloud, uri.kind);
    const std::string collection = lower(next_segment(rest));
    if (collection == "secrets" || collection == "certificates") {
      invalid("it names one of the " + collection + ", not a key");
    }
    if (collection != "keys") invalid("its path does not begin with /keys/");
    uri.name = check_name(next_segment(rest));
    if (!rest.empty()) uri.version = check_version(next_segment(rest));
    if (!rest.empty()) invalid("something stands behind the version");
    return uri;
  });
}

ParsedKeyUri parse_vault_key(std::string_view vault_uri, std::string_view name,
                             std::string_view version, const Cloud& cloud) {
  return parsed([&] {
    std::string_view rest = after_scheme(vault_uri);
    check_characters(rest);
    VaultKeyUri uri;
    uri.host = check_host(next_segment(rest), cloud, uri.kind);
    if (!rest.empty()) invalid("a vault's URI has no path");
    uri.name = check_name(name);
    if (!version.empty()) uri.version = check_version(version);
    return uri;
  });
}

}  // namespace driveprep::keywrap::vault
