#include "agent/keys/key_check.h"

#include "agent/cli/job_session.h"
#include "agent/cli/key_commands.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"
#include "agent/cli/utc_time.h"
#include "keywrap/shown_uri.h"

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

// What is looked at: the key named by the caller; else what the job will use next, which is that of
// job.json when somebody has edited it.
keys::KeyCheck look_at(KeySession& session, const KeyCheckOptions& options,
                       const keys::CheckOptions& how) {
  job::Encryption encryption = session.job().spec.encryption;
  encryption.profile = how.profile;  // decides about Managed HSM as well
  keys::JobKeys& keys = session.keys();
  if (options.key_url) {
    const keys::KeySetting setting = keys::setting_of(encryption, *options.key_url);
    if (setting.place == keys::KeySetting::Place::kToken) keys.ring().add_token(setting.uri);
    return keys::check_key(keys, setting, how);
  }
  const keys::KeySetting named = keys::setting_of(encryption);
  const auto& state = keys.state();
  if (!state) return keys::check_key(keys, named, how);
  const bool edited = named != state->setting && named != state->job_file;
  if (edited && named.is_customers()) return keys::check_key(keys, named, how);
  // Throws when the service does not take the vault.
  if (state->setting.place == keys::KeySetting::Place::kVault) {
    keys::setting_of(encryption, state->setting.uri);
  }
  return keys::check_key_in_use(keys, how);
}

// An identifier that cannot be used is a finding as any other.
keys::KeyCheck check_of(KeySession& session, const KeyCheckOptions& options,
                        const keys::CheckOptions& how) {
  try {
    return look_at(session, options, how);
  } catch (const keywrap::KeyError& error) {
    keys::KeyCheck check;
    const auto& key = session.job().spec.encryption.customer_key;
    check.key = keywrap::shown_uri(options.key_url ? *options.key_url
                                   : key           ? key->key_url + key->vault_uri
                                                   : "");
    check.findings.push_back({{Finding::Severity::kError, error.condition(), error.what()},
                              error.evidence(),
                              error.remedy()});
    return check;
  }
}

// A warning may be about no condition that has a code.
nlohmann::ordered_json json_of(const CheckFinding& found, keywrap::Profile profile) {
  const auto& condition = found.finding.condition;
  nlohmann::ordered_json object =
      key_error_json(condition.value_or(keywrap::Condition::kUnexpected), profile, found.evidence);
  if (!condition) {
    for (const char* name : {"condition", "code", "recoverable", "retryable"}) {
      object[name] = nullptr;
    }
  }
  object["severity"] = keys::is_error(found) ? "error" : "warning";
  object["message"] = found.finding.message;
  object["remedy"] = object["action"] = found.remedy;
  return object;
}

nlohmann::ordered_json json_of(const Obstacle& obstacle) {
  return {{"severity", "error"},      {"condition", nullptr},      {"code", obstacle.code},
          {"message", obstacle.text}, {"remedy", obstacle.remedy}, {"action", obstacle.remedy}};
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

// All that the command has found.
struct Result {
  keys::KeyCheck check;
  std::optional<Obstacle> obstacle;  // of the job, not of the key
  keywrap::Profile profile;

  bool fit() const { return check.error() == nullptr && !obstacle; }
};

// A token or a store that cannot be reached keeps the key from being looked at: all that is found.
Result look(KeySession& session, const KeyCheckOptions& options, const keys::CheckOptions& how) {
  try {
    return {check_of(session, options, how), {}, how.profile};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kKey) throw;
    Result result{{}, Obstacle{error.code(), error.what(), error.remedy()}, how.profile};
    result.check.key = keywrap::shown_uri(
        options.key_url ? *options.key_url : keys::text_of(session.keys().setting()));
    return result;
  }
}

void print_json_result(const KeySession& session, const Result& result) {
  const keys::KeyCheck& check = result.check;
  nlohmann::ordered_json document = result_head(session.job().directory, session.job().spec.name);
  document["profile"] = keywrap::to_string(result.profile);
  document["key"] = printable_line(check.key);
  document["fit"] = result.fit();
  if (const CheckFinding* error = check.error()) {
    document["code"] = keywrap::code_of(*error->finding.condition, result.profile);
  } else if (result.obstacle) {
    document["code"] = result.obstacle->code;
  }
  if (check.version) document["version"] = json_of(*check.version);
  document["made_on_first_use"] = check.made_on_first_use;
  document["trial"] = {{"wrapped", check.wrapped}, {"unwrapped", check.unwrapped}};
  document["findings"] = nlohmann::ordered_json::array();
  for (const CheckFinding& found : check.findings) {
    document["findings"].push_back(json_of(found, result.profile));
  }
  if (result.obstacle) document["findings"].push_back(json_of(*result.obstacle));
  print_json(document);
}

void print_finding(bool error, const std::string& message, const std::string& code,
                   const std::string& remedy) {
  print(std::string(error ? "\nERROR    " : "\nwarning  ") + printable_line(message));
  if (error) print("         " + code);
  print("         what to do: " + printable_line(remedy));
}

void print_finding(const CheckFinding& found, keywrap::Profile profile) {
  const auto& condition = found.finding.condition;
  const std::string& request = found.evidence.request_id;
  print_finding(keys::is_error(found), found.finding.message,
                (condition ? std::string(keywrap::code_of(*condition, profile)) : "") +
                    (request.empty() ? "" : "  (request " + printable_line(request) + ")"),
                found.remedy);
}

void print_version(const keys::KeyCheck& check) {
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

void print_text_result(const Result& result) {
  const keys::KeyCheck& check = result.check;
  print("Key      " + printable_line(check.version ? check.version->kid : check.key));
  print("Service  " + std::string(keywrap::to_string(result.profile)));
  if (check.version) print_version(check);
  for (const CheckFinding& found : check.findings) print_finding(found, result.profile);
  if (result.obstacle) {
    print_finding(true, result.obstacle->text, result.obstacle->code, result.obstacle->remedy);
  }
  if (!result.fit()) {
    print(check.error() == nullptr ? "\nThe key is fit, but the job cannot use it as it stands."
                                   : "\nThe key is not fit for this job.");
  } else if (check.made_on_first_use) {
    print("\nThe key is made on first use, in the local key store.");
  } else {
    print("\nThe key is fit for this job.");
  }
}

}  // namespace

int run_key_check(const KeyCheckOptions& options) {
  KeySession session(options.job, KeySession::Access::kRead);
  keys::CheckOptions how;
  how.profile = profile_named(options.profile, session.profile());
  how.wait_for_access = std::chrono::seconds(options.wait_for_access);
  Result result = look(session, options, how);
  // Another key or another service is only a question.
  if (!result.obstacle && !options.key_url && how.profile == session.profile()) {
    result.obstacle = obstacle_of(session);
  }
  // A key that cannot even be named is told once.
  if (result.check.error() != nullptr && !result.check.version) result.obstacle.reset();
  if (options.json) {
    print_json_result(session, result);
  } else {
    print_text_result(result);
  }
  return result.fit() ? 0 : static_cast<int>(ErrorKind::kKey);
}

}  // namespace driveprep::cli
