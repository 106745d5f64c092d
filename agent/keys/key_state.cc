#include "agent/keys/key_state.h"

#include <algorithm>
#include <array>

#include "base/atomic_file.h"
#include "base/posix.h"
#include "base/system_error.h"
#include "keywrap/strict_json.h"

namespace driveprep::keys {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kFormat = "driveprep-key-state";
constexpr int kVersion = 1;
constexpr std::size_t kMaxStateBytes = 4 * 1024 * 1024;

template <typename Value>
using Name = std::pair<Value, std::string_view>;

constexpr std::array<Name<Reason>, 6> kReasons = {{{Reason::kNewVersion, "new-version"},
                                                   {Reason::kNewKey, "new-key"},
                                                   {Reason::kNewVault, "new-vault"},
                                                   {Reason::kNewIdentity, "new-identity"},
                                                   {Reason::kModeChange, "mode-change"},
                                                   {Reason::kRepair, "repair"}}};
constexpr std::array<Name<KeyState::Health>, 3> kHealths = {
    {{KeyState::Health::kOk, "ok"},
     {KeyState::Health::kInconsistent, "inconsistent"},
     {KeyState::Health::kRevoked, "revoked"}}};
constexpr std::array<Name<KeySetting::Place>, 3> kPlaces = {{{KeySetting::Place::kLocal, "local"},
                                                             {KeySetting::Place::kVault, "vault"},
                                                             {KeySetting::Place::kToken, "token"}}};

template <typename Value, std::size_t kCount>
std::string_view name_of(const std::array<Name<Value>, kCount>& names, Value value) {
  return std::ranges::find(names, value, &Name<Value>::first)->second;
}

template <typename Value, std::size_t kCount>
Value value_of(const std::array<Name<Value>, kCount>& names, const json& member) {
  const auto found =
      std::ranges::find(names, member.get_ref<const std::string&>(), &Name<Value>::second);
  if (found == names.end()) throw FormatError("it has a word that is not known");
  return found->first;
}

keywrap::Profile profile_of(const json& member) {
  for (const keywrap::Profile profile : keywrap::kProfiles) {
    if (keywrap::to_string(profile) == member.get_ref<const std::string&>()) return profile;
  }
  throw FormatError("it names a service that is not known");
}

ordered_json json_of(const KeySetting& setting) {
  ordered_json object = {{"place", name_of(kPlaces, setting.place)},
                         {"keyUri", setting.uri},
                         {"versionMode", setting.pinned ? "pinned" : "auto"}};
  if (setting.place == KeySetting::Place::kVault) {
    object["identity"] = {{"type", job::to_string(setting.identity.type)},
                          {"userAssignedIdentityId", setting.identity.user_assigned_id}};
  }
  return object;
}

KeySetting setting_from(const json& object) {
  KeySetting setting;
  setting.place = value_of(kPlaces, object.at("place"));
  setting.uri = object.at("keyUri").get<std::string>();
  setting.pinned = object.at("versionMode").get<std::string>() == "pinned";
  if (const auto identity = object.find("identity"); identity != object.end()) {
    setting.identity.user_assigned_id = identity->at("userAssignedIdentityId").get<std::string>();
    if (identity->at("type").get<std::string>() != "SystemAssigned") {
      setting.identity.type = job::Identity::Type::kUserAssigned;
    }
  }
  return setting;
}

ordered_json json_of(const Rotation& rotation) {
  ordered_json object = {{"time", rotation.time},           {"reason", to_string(rotation.reason)},
                         {"oldKid", rotation.old_kid},      {"newKid", rotation.new_kid},
                         {"envelopes", rotation.envelopes}, {"oldDroppable", rotation.droppable}};
  if (rotation.dropped) object["oldDropped"] = *rotation.dropped;
  return object;
}

Rotation rotation_from(const json& object) {
  Rotation rotation;
  rotation.time = object.at("time").get<UnixSeconds>();
  rotation.reason = value_of(kReasons, object.at("reason"));
  rotation.old_kid = object.at("oldKid").get<std::string>();
  rotation.new_kid = object.at("newKid").get<std::string>();
  rotation.envelopes = object.at("envelopes").get<std::size_t>();
  rotation.droppable = object.at("oldDroppable").get<UnixSeconds>();
  if (const auto dropped = object.find("oldDropped"); dropped != object.end()) {
    rotation.dropped = dropped->get<UnixSeconds>();
  }
  return rotation;
}

KeyState state_from(const json& object) {
  if (object.at("format").get<std::string>() != kFormat ||
      object.at("version").get<int>() != kVersion) {
    throw FormatError("it was not written by this version of driveprep");
  }
  KeyState state;
  state.setting = setting_from(object.at("key"));
  state.ever_customers = object.at("everCmk").get<bool>() || state.setting.is_customers();
  state.profile = profile_of(object.at("profile"));
  state.cloud = object.at("cloud").get<std::string>();
  state.current_kid = object.at("currentKid").get<std::string>();
  state.last_version_check = object.at("lastVersionCheck").get<UnixSeconds>();
  state.vault_region = object.at("vaultRegion").get<std::string>();
  state.other_region = object.at("otherRegionAllowed").get<std::string>();
  state.health = value_of(kHealths, object.at("state"));
  state.trouble = object.value("trouble", "");
  if (const auto target = object.find("target"); target != object.end()) {
    state.target = {setting_from(target->at("key")), target->at("kid").get<std::string>(),
                    value_of(kReasons, target->at("reason"))};
  }
  state.job_file = setting_from(object.at("jobFile"));
  if (const auto tokens = object.find("tokens"); tokens != object.end()) {
    state.tokens = tokens->get<std::vector<std::string>>();
  }
  for (const json& rotation : object.at("rotations")) {
    state.rotations.push_back(rotation_from(rotation));
  }
  return state;
}

job::JobDirectory::Path file_of(const job::JobDirectory& directory) {
  return directory.root() / "key-state.json";
}

}  // namespace

std::string_view to_string(Reason reason) { return name_of(kReasons, reason); }
std::string_view to_string(KeyState::Health health) { return name_of(kHealths, health); }

KeyState KeyState::parse(std::string_view text) {
  const json document = keywrap::parse_strict_json(text, kMaxStateBytes);
  try {
    return state_from(document);
  } catch (const json::exception&) {
    throw FormatError("a member is missing or of the wrong type");
  }
}

std::string KeyState::to_json() const {
  ordered_json object = {{"format", kFormat},
                         {"version", kVersion},
                         {"mode", setting.is_customers() ? "cmk" : "local"},
                         {"everCmk", ever_customers},
                         {"profile", keywrap::to_string(profile)},
                         {"key", json_of(setting)},
                         {"currentKid", current_kid},
                         {"lastVersionCheck", last_version_check},
                         {"cloud", cloud},
                         {"vaultRegion", vault_region},
                         {"otherRegionAllowed", other_region},
                         {"state", to_string(health)}};
  if (!trouble.empty()) object["trouble"] = trouble;
  if (target) {
    object["target"] = {{"key", json_of(target->setting)},
                        {"kid", target->kid},
                        {"reason", to_string(target->reason)}};
  }
  object["jobFile"] = json_of(job_file);
  if (!tokens.empty()) object["tokens"] = tokens;
  object["rotations"] = ordered_json::array();
  for (const Rotation& rotation : rotations) object["rotations"].push_back(json_of(rotation));
  return object.dump(2) + "\n";
}

std::optional<KeyState> load_key_state(const job::JobDirectory& directory) {
  const auto file = file_of(directory);
  if (!std::filesystem::exists(std::filesystem::symlink_status(file))) return std::nullopt;
  const std::string text = posix::read_file(file, kMaxStateBytes, ErrorKind::kKey);
  try {
    return KeyState::parse(text);
  } catch (const FormatError& error) {
    throw Error(ErrorKind::kKey, "key-state-corrupt",
                file.string() + " cannot be read: " + error.what(),
                "Restore it from a copy; it says which key protects the job.");
  }
}

void save_key_state(const job::JobDirectory& directory, const KeyState& state) {
  in_job_directory(
      [&] { write_file_atomically(file_of(directory), as_bytes(state.to_json()), 0600); });
}

}  // namespace driveprep::keys
