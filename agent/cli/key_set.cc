#include "agent/cli/key_commands.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"

namespace driveprep::cli {
namespace {

job::Identity identity_named(const std::string& text) {
  if (text == "system" || text == "SystemAssigned") return {};
  if (!job::is_user_assigned_id(text)) {
    throw Error(ErrorKind::kUsage, "identity", "\"" + text + "\" is no identity",
                "Write --identity system, or the resource id of a user-assigned identity "
                "(/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ManagedIdentity/"
                "userAssignedIdentities/NAME).");
  }
  return {job::Identity::Type::kUserAssigned, text};
}

void require_vault(const keys::KeySetting& setting) {
  if (setting.place == keys::KeySetting::Place::kVault) return;
  throw Error(
      ErrorKind::kUsage, "identity",
      "only a key of a vault is reached by an identity, and the job uses " + keys::text_of(setting),
      "Leave --identity out, or set a key of a vault first.");
}

keys::KeySetting wanted(KeySession& session, const KeySetOptions& options) {
  const job::Encryption& encryption = session.job().spec.encryption;
  keys::KeySetting setting;
  if (options.local) {
    setting.uri = encryption.key_name;
    return setting;
  }
  if (options.key_url) {
    setting = keys::setting_of(encryption, *options.key_url);
    if (setting.place == keys::KeySetting::Place::kToken)
      session.keys().ring().add_token(setting.uri);
  } else if (options.identity) {
    setting = session.keys().setting();
  } else {
    setting = keys::setting_of(encryption);
  }
  // Unless it is named, the identity stays as it is.
  const auto& state = session.keys().state();
  const bool in_use = state && state->setting.place == keys::KeySetting::Place::kVault;
  const bool from_job_file = !options.key_url && !options.identity;
  if (in_use && !from_job_file) setting.identity = state->setting.identity;
  if (options.identity) {
    require_vault(setting);
    setting.identity = identity_named(*options.identity);
  }
  return setting;
}

// An identity that this machine does not sign in with cannot be tried from here.
void tell_about_identity(KeySession& session, const job::Identity& before,
                         const job::Identity& now) {
  using Type = job::Identity::Type;
  if (before.type == Type::kSystemAssigned && now.type == Type::kUserAssigned) {
    note(
        "driveprep: warning: the articles name changes from a user-assigned identity to another "
        "one or to the system-assigned one; whether the service takes this one is not known");
  }
  const std::string& source = session.job().spec.encryption.credential.source;
  if (source == "managed-identity" || source == "auto") return;
  note("driveprep: warning: the key was tried with " + session.keys().ring().credential_text() +
       "; whether the identity " + keys::text_of(now) +
       " has its permissions could not be tried from here");
}

}  // namespace

int run_key_set(const KeySetOptions& options) {
  KeySession session(options.job, KeySession::Access::kChange);
  const keys::KeySetting setting = wanted(session, options);
  if (options.allow_region_mismatch) session.keys().allow_region_mismatch(setting);
  const job::Identity before = session.keys().identity();
  keys::ChangeOptions how;
  how.check = {session.profile(), std::chrono::seconds(options.wait_for_access)};
  how.progress = rewrap_progress(options.json);
  const keys::KeyChange change = session.in_its_words(
      [&] { return keys::change_key(session.keys(), *session.journal(), setting, how); });
  if (options.identity) tell_about_identity(session, before, setting.identity);
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
