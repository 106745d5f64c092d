#include <map>

#include "agent/cli/job_session.h"
#include "agent/cli/key_commands.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"
#include "agent/cli/utc_time.h"
#include "agent/keys/envelopes.h"
#include "agent/report/sizes.h"
#include "keywrap/key_error.h"

namespace driveprep::cli {
namespace {

using keys::KeyState;

struct EnvelopeStatus {
  keys::EnvelopeFile file;
  std::vector<std::string> kids;  // the one that opens it first in front
  std::string trouble;            // why it cannot be read
};

std::vector<EnvelopeStatus> envelope_statuses(const job::Job& job) {
  std::vector<EnvelopeStatus> list;
  for (const keys::EnvelopeFile& file : keys::envelopes_of(job.directory)) {
    EnvelopeStatus status{file, {}, {}};
    try {
      for (const auto& recipient : keys::read_envelope(file, job.spec.name).recipients) {
        status.kids.push_back(recipient.kid);
      }
    } catch (const Error& error) {
      status.trouble = error.what();
    }
    list.push_back(std::move(status));
  }
  return list;
}

// The setting, or what job.json says in its own words when that is no key.
std::string key_text(KeySession& session) {
  try {
    return keys::text_of(session.keys().setting());
  } catch (const keywrap::KeyError& error) {
    return std::string("none that can be used: ") + error.what();
  }
}

bool is_customers(KeySession& session) {
  try {
    return session.keys().setting().is_customers();
  } catch (const keywrap::KeyError&) {
    return true;
  }
}

nlohmann::ordered_json json_of(const keys::Rotation& rotation) {
  nlohmann::ordered_json object = {
      {"time", utc_text(rotation.time)}, {"reason", keys::to_string(rotation.reason)},
      {"old_kid", rotation.old_kid},     {"new_kid", rotation.new_kid},
      {"envelopes", rotation.envelopes}, {"old_key_needed_until", utc_text(rotation.droppable)}};
  if (rotation.dropped) object["old_key_dropped"] = utc_text(*rotation.dropped);
  return object;
}

// What job.json says when that is not the key in use, and no mistake: `key set` has changed it.
std::string job_file_key(KeySession& session) {
  const auto& state = session.keys().state();
  if (!state || state->job_file == state->setting) return {};
  return keys::text_of(state->job_file);
}

void print_status_json(KeySession& session, const std::vector<EnvelopeStatus>& envelopes,
                       const std::optional<Obstacle>& obstacle) {
  nlohmann::ordered_json document = result_head(session.job().directory, session.job().spec.name);
  const auto& state = session.keys().state();
  document["mode"] = is_customers(session) ? "cmk" : "local";
  document["key"] = key_text(session);
  document["profile"] = keywrap::to_string(session.profile());
  document["ever_cmk"] = session.keys().has_used_customers_key(session.journal());
  document["state"] = state ? keys::to_string(state->health) : "ok";
  if (obstacle) {
    document["obstacle"] = {
        {"code", obstacle->code}, {"message", obstacle->text}, {"remedy", obstacle->remedy}};
  }
  if (state) {
    document["key_uri"] = state->setting.uri;
    document["version_mode"] = state->setting.pinned ? "pinned" : "auto";
    document["current_kid"] = state->current_kid;
    if (state->last_version_check != 0) {
      document["last_version_check"] = utc_text(state->last_version_check);
    }
    if (state->setting.place == keys::KeySetting::Place::kVault) {
      document["identity"] = {{"type", job::to_string(state->setting.identity.type)},
                              {"id", state->setting.identity.user_assigned_id}};
      document["cloud"] = state->cloud;
      document["vault_region"] = state->vault_region;
    }
    if (const std::string other = job_file_key(session); !other.empty()) {
      document["job_file_key"] = other;
    }
    document["region_mismatch_allowed"] = session.keys().region_may_differ(state->setting);
    if (!state->trouble.empty()) document["trouble"] = state->trouble;
    if (state->target) document["target_kid"] = state->target->kid;
    document["rotations"] = nlohmann::ordered_json::array();
    for (const auto& rotation : state->rotations) {
      document["rotations"].push_back(json_of(rotation));
    }
  }
  document["envelopes"] = nlohmann::ordered_json::array();
  for (const EnvelopeStatus& envelope : envelopes) {
    nlohmann::ordered_json object = {
        {envelope.file.is_drive ? "drive" : "secret", envelope.file.name},
        {"file", envelope.file.file.string()},
        {"kids", envelope.kids}};
    if (!envelope.trouble.empty()) object["error"] = envelope.trouble;
    document["envelopes"].push_back(std::move(object));
  }
  print_json(document);
}

void print_state(KeySession& session) {
  const auto& state = session.keys().state();
  if (!state) return;
  if (!state->current_kid.empty()) print("Version   " + state->current_kid);
  if (state->setting.is_customers()) {
    print(std::string("Versions  ") + (state->setting.pinned
                                           ? "pinned: another one is used only when you say so"
                                           : "automatic: looked for once a day, last at " +
                                                 utc_text(state->last_version_check)));
  }
  if (state->setting.place == keys::KeySetting::Place::kVault) {
    const job::Identity& identity = state->setting.identity;
    print("Identity  " + std::string(job::to_string(identity.type)) + " " +
          identity.user_assigned_id);
    print("Vault     " + state->cloud + " cloud" +
          (state->vault_region.empty() ? "" : ", " + state->vault_region) +
          (session.keys().region_may_differ(state->setting) ? " (another region is allowed)" : ""));
  }
  print("State     " + std::string(keys::to_string(state->health)) +
        (state->trouble.empty() ? "" : " (" + state->trouble + ")") +
        (state->target ? ", on the way to " + state->target->kid : ""));
}

void print_rotations(const keys::KeyState& state) {
  if (state.rotations.empty()) return;
  print("\nChanges");
  for (const keys::Rotation& rotation : state.rotations) {
    print("  " + utc_text(rotation.time) + "  " + std::string(keys::to_string(rotation.reason)) +
          ", " + report::counted(rotation.envelopes, "envelope"));
    print("    from " + rotation.old_kid +
          (rotation.old_kid == state.current_kid ? ", in use again"
           : rotation.dropped                    ? ", dropped " + utc_text(*rotation.dropped)
                              : ", needed until " + utc_text(rotation.droppable)));
    print("    to   " + rotation.new_kid);
  }
}

void print_envelopes(const std::vector<EnvelopeStatus>& envelopes) {
  if (envelopes.empty()) {
    print("\nNo envelope yet.");
    return;
  }
  print("\nEnvelopes");
  for (const EnvelopeStatus& envelope : envelopes) {
    const std::string name = (envelope.file.is_drive ? "drive " : "secret ") + envelope.file.name;
    if (!envelope.trouble.empty()) {
      print("  " + name + "  cannot be read: " + printable_line(envelope.trouble));
      continue;
    }
    print("  " + name + "  under " + envelope.kids.front());
    for (std::size_t i = 1; i < envelope.kids.size(); ++i) {
      print("    and under " + envelope.kids[i]);
    }
  }
}

}  // namespace

int run_key_status(const CommonOptions& options) {
  KeySession session(options.job, KeySession::Access::kRead);
  const std::vector<EnvelopeStatus> envelopes = envelope_statuses(session.job());
  const std::optional<Obstacle> obstacle = obstacle_of(session);
  if (options.json) {
    print_status_json(session, envelopes, obstacle);
    return 0;
  }
  print(std::string("Mode      ") +
        (is_customers(session) ? "customer-managed key" : "key of this machine") + ", rules of " +
        std::string(keywrap::to_string(session.profile())));
  print("Key       " + printable_line(key_text(session)));
  if (const std::string other = job_file_key(session); !other.empty()) {
    print("          set by key set; job.json says " + printable_line(other));
  }
  print_state(session);
  if (session.keys().state()) print_rotations(*session.keys().state());
  print_envelopes(envelopes);
  if (obstacle) {
    print("\nNot usable for new envelopes: " + printable_line(obstacle->text) + " (" +
          obstacle->code + ")");
    print("  what to do: " + printable_line(obstacle->remedy));
  }
  return 0;
}

}  // namespace driveprep::cli
