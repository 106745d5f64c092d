#include "keywrap/vault/key_bundle.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "base/encoding.h"
#include "keywrap/strict_json.h"

namespace driveprep::keywrap::vault {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxBundleBytes = 256 * 1024;
constexpr std::size_t kMaxWord = 64;

const json& object_member(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || !member->is_object()) {
    throw FormatError("it has no '" + std::string(name) + "'");
  }
  return *member;
}

// A short word of printable ASCII; empty when the member is missing.
std::string word(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || member->is_null()) return {};
  const bool fits = member->is_string() &&
                    member->get_ref<const std::string&>().size() <= kMaxWord &&
                    std::ranges::all_of(member->get_ref<const std::string&>(),
                                        [](char c) { return c > ' ' && c <= '~'; });
  if (!fits) throw FormatError("its '" + std::string(name) + "' is no word");
  return member->get<std::string>();
}

std::optional<UnixSeconds> seconds(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || member->is_null()) return std::nullopt;
  if (!member->is_number_integer()) {
    throw FormatError("its '" + std::string(name) + "' is no number of seconds");
  }
  const bool fits = member->is_number_unsigned() &&
                    member->get<std::uint64_t>() <= static_cast<std::uint64_t>(kLastSecond);
  if (!fits) {
    throw FormatError("its '" + std::string(name) + "' is no time from 1970 to the year 9999");
  }
  return member->get<UnixSeconds>();
}

// Informative only: what can be none is left out.
std::optional<unsigned> days(const json& object, const char* name) {
  constexpr unsigned kMostDays = 365;
  const auto member = object.find(name);
  if (member == object.end() || !member->is_number_unsigned()) return std::nullopt;
  const auto count = member->get<std::uint64_t>();
  return count <= kMostDays ? std::optional(static_cast<unsigned>(count)) : std::nullopt;
}

bool flag(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || member->is_null()) return false;
  if (!member->is_boolean()) throw FormatError("its '" + std::string(name) + "' is no truth value");
  return member->get<bool>();
}

// Leading zero bits do not count, however many bytes carry them.
unsigned bit_length(const json& key) {
  const auto member = key.find("n");
  if (member == key.end() || !member->is_string()) return 0;
  const auto number = from_base64url(member->get_ref<const std::string&>());
  if (!number) throw FormatError("its modulus is not base64url");
  const auto first = std::ranges::find_if(*number, [](std::byte b) { return b != std::byte{0}; });
  if (first == number->end()) return 0;
  const auto bytes = static_cast<unsigned>(number->end() - first);
  return 8 * (bytes - 1) + static_cast<unsigned>(std::bit_width(std::to_integer<unsigned>(*first)));
}

std::optional<std::vector<std::string>> operations(const json& key) {
  const auto member = key.find("key_ops");
  if (member == key.end() || member->is_null()) return std::nullopt;
  if (!member->is_array()) throw FormatError("its 'key_ops' is no list");
  std::vector<std::string> names;
  for (const json& name : *member) {
    if (!name.is_string()) throw FormatError("its 'key_ops' is no list of words");
    names.push_back(name.get<std::string>());
  }
  return names;
}

bool has_private_members(const json& key) {
  return std::ranges::any_of(
      std::initializer_list<const char*>{"d", "p", "q", "dp", "dq", "qi", "k"},
      [&](const char* name) { return key.contains(name); });
}

}  // namespace

VaultKeyUri require_same_key(std::string_view kid, const VaultKeyUri& asked, const Cloud& cloud) {
  const ParsedKeyUri parsed = parse_vault_key_uri(kid, cloud);
  if (!parsed.uri || !parsed.uri->has_version()) {
    throw FormatError("its 'kid' is no identifier of a version of a key");
  }
  if (parsed.uri->host != asked.host || parsed.uri->name != asked.name) {
    throw FormatError("its 'kid' names another key");
  }
  if (asked.has_version() && parsed.uri->version != asked.version) {
    throw FormatError("its 'kid' names another version of the key");
  }
  return *parsed.uri;
}

KeyVersion parse_key_bundle(std::string_view body, const VaultKeyUri& asked, const Cloud& cloud) {
  const json document = parse_strict_json(body, kMaxBundleBytes);
  if (!document.is_object()) throw FormatError("it is no object");
  const json& key = object_member(document, "key");
  const json& attributes = object_member(document, "attributes");
  KeyVersion version;
  const auto kid = key.find("kid");
  if (kid == key.end() || !kid->is_string()) throw FormatError("it has no 'kid'");
  version.kid = require_same_key(kid->get_ref<const std::string&>(), asked, cloud).to_string();
  version.key_type = word(key, "kty");
  version.bits = bit_length(key);
  version.operations = operations(key);
  version.has_private_members = has_private_members(key);
  version.enabled = flag(attributes, "enabled");
  version.not_before = seconds(attributes, "nbf");
  version.expires = seconds(attributes, "exp");
  version.created = seconds(attributes, "created").value_or(0);
  version.updated = seconds(attributes, "updated").value_or(0);
  version.recovery_level = word(attributes, "recoveryLevel");
  version.recoverable_days = days(attributes, "recoverableDays");
  version.exportable = flag(attributes, "exportable");
  version.managed = flag(document, "managed");
  return version;
}

}  // namespace driveprep::keywrap::vault
