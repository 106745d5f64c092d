#include "agent/cli/key_commands.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"

namespace driveprep::cli {
namespace {

job::Identity identity_named(const std::string& text) {
  if (text == "system" || text == "SystemAssigned") return {};
  if (!text.starts_with("/subscriptions/")) {
    throw Error(ErrorKind::kUsage, "identity", "\"" + text + "\" is no identity",
                "Write --identity system, or the resource id of a user-assigned identity "
                "(/subscriptions/...).");
  }
  return {job::Identity::Type::kUserAssigned, text};
}

keys::KeySetting wanted(KeySession& session, const KeySetOptions& options) {
  const job::Encryption& encryption = session.job().spec.encryption;
  keys::KeySetting setting;
  if (options.local) {
    setting.uri = encryption.key_name;
    return setting;
  }
  if (!options.key_url.empty()) {
    setting = keys::setting_of(encryption, options.key_url);
    if (setting.place == keys::KeySetting::Place::kToken)
      session.keys().ring().add_token(setting.uri);
  } else if (!options.identity.empty()) {
    setting = session.keys().setting();
  } else {
    setting = keys::setting_of(encryption);
  }
  // Unless it is named, the identity stays as it is.
  const auto& state = session.keys().state();
  const bool in_use = state && state->setting.place == keys::KeySetting::Place::kVault;
  const bool from_job_file = options.key_url.empty() && options.identity.empty();
  if (in_use && !from_job_file) setting.identity = state->setting.identity;
  if (!options.identity.empty()) setting.identity = identity_named(options.identity);
  return setting;
}

// What stands at stake, before the fact: only the customer can bring such a key back.
void warn_of_loss(const keys::KeySetting& setting) {
  if (!setting.is_customers()) return;
  note(
      "From now on the recovery passwords of this job open only while this key, its vault and its\n"
      "permissions exist. A key or vault that is deleted for good, or access that is never given\n"
      "back, means that they are lost.");
}

}  // namespace

int run_key_set(const KeySetOptions& options) {
  KeySession session(options.job, KeySession::Access::kChange);
  session.keys().allow_region_mismatch(options.allow_region_mismatch);
  const keys::KeySetting setting = wanted(session, options);
  keys::ChangeOptions how;
  how.check = {session.profile(), std::chrono::seconds(options.wait_for_access)};
  how.progress = rewrap_progress(options.json);
  const keys::KeyChange change = session.in_its_words(
      [&] { return keys::change_key(session.keys(), *session.journal(), setting, how); });
  if (change.changed && !options.json) warn_of_loss(setting);
  print_change(session, change, options.json);
  return 0;
}

int run_key_rewrap(const KeyUseOptions& options) {
  KeySession session(options.job, KeySession::Access::kChange);
  keys::ChangeOptions how;
  how.check = {session.profile(), std::chrono::seconds(options.wait_for_access)};
  how.progress = rewrap_progress(options.json);
  const keys::KeyChange change = session.in_its_words(
      [&] { return keys::rewrap_job(session.keys(), *session.journal(), how); });
  print_change(session, change, options.json);
  return 0;
}

}  // namespace driveprep::cli
