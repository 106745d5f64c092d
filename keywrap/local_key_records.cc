#include "keywrap/local_key_records.h"

#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/guid.h"
#include "keywrap/strict_json.h"

namespace driveprep::keywrap {
namespace {

using nlohmann::json;

constexpr std::string_view kStoreFormat = "driveprep-key-store";
constexpr int kStoreVersion = 1;
constexpr std::string_view kFile = "file";
constexpr std::string_view kPassphrase = "passphrase";
constexpr std::size_t kMaxFileBytes = 1024 * 1024;

// Members that are missing or of another type become a FormatError that names none of the content.
template <typename Parse>
auto reading(std::string_view text, Parse parse) {
  const json document = parse_strict_json(text, kMaxFileBytes);
  try {
    return parse(document);
  } catch (const json::exception&) {
    throw FormatError("a member is missing or of the wrong type");
  }
}

std::optional<UnixSeconds> optional_seconds(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end()) return std::nullopt;
  return member->get<UnixSeconds>();
}

Bytes number(const json& object, const char* name) {
  auto bytes = from_base64url(object.at(name).get<std::string>());
  if (!bytes || bytes->empty()) throw FormatError("a number in base64url is damaged");
  return std::move(*bytes);
}

VersionRecord version_of(const json& object) {
  VersionRecord version;
  version.version = object.at("version").get<std::string>();
  const auto id = from_hex(version.version);
  if (!id || id->size() != 16) throw FormatError("a key version is not 32 hex digits");
  version.enabled = object.at("enabled").get<bool>();
  version.not_before = optional_seconds(object, "nbf");
  version.expires = optional_seconds(object, "exp");
  version.created = object.at("created").get<UnixSeconds>();
  version.updated = object.at("updated").get<UnixSeconds>();
  if (object.at("kty").get<std::string>() != "RSA") throw FormatError("a key is not an RSA key");
  version.bits = object.at("size").get<unsigned>();
  const json& jwk = object.at("public");
  version.public_key = {number(jwk, "n"), number(jwk, "e")};
  return version;
}

json json_of(const VersionRecord& version) {
  json object = {
      {"version", version.version},
      {"enabled", version.enabled},
      {"created", version.created},
      {"updated", version.updated},
      {"kty", "RSA"},
      {"size", version.bits},
      {"public",
       {{"kty", "RSA"},
        {"n", base64url(version.public_key.n)},
        {"e", base64url(version.public_key.e)}}},
  };
  if (version.not_before) object["nbf"] = *version.not_before;
  if (version.expires) object["exp"] = *version.expires;
  return object;
}

UnlockRecord unlock_of(const json& object) {
  UnlockRecord unlock;
  const auto kind = object.at("kind").get<std::string>();
  if (kind != kFile && kind != kPassphrase) throw FormatError("the kind of unlocking is unknown");
  unlock.passphrase = kind == kPassphrase;
  if (const auto file = object.find("file"); file != object.end()) {
    unlock.file = file->get<std::string>();
    if (!unlock.file.is_absolute())
      throw FormatError("the path of the unlock file is not absolute");
  }
  if (const auto check = object.find("check"); check != object.end()) {
    unlock.check = {number(*check, "salt"), check->at("rounds").get<int>(), number(*check, "hash")};
    // More would only keep the operator waiting.
    if (unlock.check->rounds < 1 || unlock.check->rounds > 10'000'000) {
      throw FormatError("the check of the unlock secret is damaged");
    }
  }
  return unlock;
}

json json_of(const UnlockRecord& unlock) {
  json object = {{"kind", unlock.passphrase ? kPassphrase : kFile}};
  if (!unlock.file.empty()) object["file"] = unlock.file.string();
  if (unlock.check) {
    object["check"] = {{"salt", base64url(unlock.check->salt)},
                       {"rounds", unlock.check->rounds},
                       {"hash", base64url(unlock.check->hash)}};
  }
  return object;
}

}  // namespace

StoreRecord StoreRecord::parse(std::string_view text) {
  return reading(text, [](const json& document) {
    if (document.at("format").get<std::string>() != kStoreFormat ||
        document.at("version").get<int>() != kStoreVersion) {
      throw FormatError("it is not a key store of this version of driveprep");
    }
    StoreRecord store;
    const auto id = Guid::parse(document.at("storeId").get<std::string>());
    if (!id) throw FormatError("the store id is not a GUID");
    store.id = id->lower();
    store.retention_days = document.at("retentionDays").get<int>();
    // The span that vaults allow.
    if (store.retention_days < 7 || store.retention_days > 90) {
      throw FormatError("the retention is not 7 to 90 days");
    }
    store.purge_protection = document.at("purgeProtection").get<bool>();
    if (const auto unlock = document.find("unlock"); unlock != document.end()) {
      store.unlock = unlock_of(*unlock);
    }
    return store;
  });
}

std::string StoreRecord::to_json() const {
  const json document = {{"format", kStoreFormat},
                         {"version", kStoreVersion},
                         {"storeId", id},
                         {"retentionDays", retention_days},
                         {"purgeProtection", purge_protection},
                         {"unlock", json_of(unlock)}};
  return document.dump(2) + "\n";
}

KeyRecord KeyRecord::parse(std::string_view text) {
  return reading(text, [](const json& document) {
    KeyRecord key;
    key.name = document.at("name").get<std::string>();
    for (const json& version : document.at("versions")) {
      key.versions.push_back(version_of(version));
    }
    if (key.versions.empty()) throw FormatError("the key has no version");
    if (const auto deleted = document.find("deleted"); deleted != document.end()) {
      key.deletion = {deleted->at("deletedDate").get<UnixSeconds>(),
                      deleted->at("scheduledPurgeDate").get<UnixSeconds>()};
    }
    return key;
  });
}

std::string KeyRecord::to_json() const {
  json document = {{"name", name}, {"versions", json::array()}};
  for (const VersionRecord& version : versions) document["versions"].push_back(json_of(version));
  if (deletion) {
    document["deleted"] = {{"deletedDate", deletion->deleted},
                           {"scheduledPurgeDate", deletion->scheduled_purge}};
  }
  return document.dump(2) + "\n";
}

}  // namespace driveprep::keywrap
