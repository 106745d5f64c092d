#include "agent/keys/key_check.h"

#include "agent/cli/job_session.h"
#include "agent/cli/key_commands.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"
#include "agent/cli/utc_time.h"

namespace driveprep::cli {
namespace {

using keys::CheckFinding;
using keywrap::Finding;

keywrap::Profile profile_named(const std::string& name, keywrap::Profile fallback) {
  for (const keywrap::Profile profile : keywrap::kProfiles) {
    if (keywrap::to_string(profile) == name) return profile;
  }
  return fallback;
}

// An identifier that cannot be used is a finding as any other.
keys::KeyCheck check_of(KeySession& session, const KeyCheckOptions& options,
                        const keys::CheckOptions& how) {
  try {
    const keys::KeySetting setting =
        options.key_url.empty() ? session.keys().setting()
                                : keys::setting_of(session.job().spec.encryption, options.key_url);
    if (setting.place == keys::KeySetting::Place::kToken)
      session.keys().ring().add_token(setting.uri);
    return keys::check_key(session.keys(), setting, how);
  } catch (const keywrap::KeyError& error) {
    keys::KeyCheck check;
    const auto& key = session.job().spec.encryption.customer_key;
    check.key = !options.key_url.empty() ? options.key_url
                : key                    ? key->key_url + key->vault_uri
                                         : "";
    check.findings.push_back({{Finding::Severity::kError, error.condition(), error.what()},
                              error.evidence(),
                              error.remedy()});
    return check;
  }
}

nlohmann::ordered_json json_of(const CheckFinding& found, keywrap::Profile profile) {
  nlohmann::ordered_json object = key_error_json(found.finding.condition, profile, found.evidence);
  object["severity"] = found.finding.severity == Finding::Severity::kError ? "error" : "warning";
  object["message"] = found.finding.message;
  object["remedy"] = object["action"] = found.remedy;
  return object;
}

nlohmann::ordered_json json_of(const keywrap::KeyVersion& version) {
  nlohmann::ordered_json object = {{"kid", version.kid},
                                   {"type", version.key_type},
                                   {"bits", version.bits},
                                   {"enabled", version.enabled},
                                   {"recovery_level", version.recovery_level}};
  if (version.operations) object["operations"] = *version.operations;
  if (version.not_before) object["not_before"] = utc_text(*version.not_before);
  if (version.expires) object["expires"] = utc_text(*version.expires);
  if (version.recoverable_days) object["recoverable_days"] = *version.recoverable_days;
  if (!version.region.empty()) object["region"] = version.region;
  object["managed"] = version.managed;
  object["exportable"] = version.exportable;
  return object;
}

void print_json_result(const KeySession& session, const keys::KeyCheck& check,
                       keywrap::Profile profile) {
  nlohmann::ordered_json document = result_head(session.job().directory, session.job().spec.name);
  document["profile"] = keywrap::to_string(profile);
  document["key"] = check.key;
  document["fit"] = check.error() == nullptr;
  if (const CheckFinding* error = check.error()) {
    document["code"] = keywrap::code_of(error->finding.condition, profile);
  }
  if (check.version) document["version"] = json_of(*check.version);
  document["made_on_first_use"] = check.made_on_first_use;
  document["trial"] = {{"wrapped", check.wrapped}, {"unwrapped", check.unwrapped}};
  document["findings"] = nlohmann::ordered_json::array();
  for (const CheckFinding& found : check.findings) {
    document["findings"].push_back(json_of(found, profile));
  }
  print_json(document);
}

void print_text_result(const keys::KeyCheck& check, keywrap::Profile profile) {
  print("Key      " + printable_line(check.version ? check.version->kid : check.key));
  print("Service  " + std::string(keywrap::to_string(profile)));
  if (check.version) {
    const keywrap::KeyVersion& version = *check.version;
    print("Is       " + version.key_type + " " + std::to_string(version.bits) + ", " +
          (version.enabled ? "enabled" : "disabled") +
          (version.expires ? ", expires " + utc_text(*version.expires) : "") +
          (version.recovery_level.empty() ? "" : ", " + version.recovery_level) +
          (version.region.empty() ? "" : ", " + version.region));
    print(std::string("Trial    ") + (check.unwrapped ? "wrapped and unwrapped"
                                      : check.wrapped ? "wrapped, but not unwrapped"
                                                      : "not wrapped"));
  }
  for (const CheckFinding& found : check.findings) {
    const bool error = found.finding.severity == Finding::Severity::kError;
    print(std::string(error ? "\nERROR    " : "\nwarning  ") +
          printable_line(found.finding.message));
    if (!error) continue;
    print(
        "         " + std::string(keywrap::code_of(found.finding.condition, profile)) +
        (found.evidence.request_id.empty() ? "" : "  (request " + found.evidence.request_id + ")"));
    print("         what to do: " + printable_line(found.remedy));
  }
  if (check.made_on_first_use) {
    print("\nThe key is made on first use, in the local key store.");
    return;
  }
  print(check.error() == nullptr ? "\nThe key is fit for this job."
                                 : "\nThe key is not fit for this job.");
}

}  // namespace

int run_key_check(const KeyCheckOptions& options) {
  KeySession session(options.job, KeySession::Access::kRead);
  keys::CheckOptions how;
  how.profile = profile_named(options.profile, session.profile());
  how.wait_for_access = std::chrono::seconds(options.wait_for_access);
  const keys::KeyCheck check = check_of(session, options, how);
  if (options.json) {
    print_json_result(session, check, how.profile);
  } else {
    print_text_result(check, how.profile);
  }
  return check.error() == nullptr ? 0 : static_cast<int>(ErrorKind::kKey);
}

}  // namespace driveprep::cli
