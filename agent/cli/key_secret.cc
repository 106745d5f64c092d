#include <unistd.h>

#include "agent/cli/job_session.h"
#include "agent/cli/key_commands.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"
#include "agent/cli/secret_output.h"
#include "agent/keys/audit.h"
#include "agent/keys/envelopes.h"
#include "agent/volume/key_input.h"
#include "base/directories.h"
#include "base/system_error.h"
#include "keywrap/secret_json.h"

namespace driveprep::cli {
namespace {

void require_name(const std::string& name) {
  if (const auto rule = keys::check_secret_name(name)) {
    throw Error(ErrorKind::kUsage, "secret-name", "the name of a secret " + *rule,
                "Choose another --name.");
  }
}

SecretBytes read_secret(const WrapSecretOptions& options) {
  if (options.descriptor == STDIN_FILENO && ::isatty(STDIN_FILENO) != 0) {
    return volume::ask_secret("Secret " + options.name);
  }
  return volume::read_key_text("/dev/fd/" + std::to_string(options.descriptor));
}

keys::EnvelopeFile file_of(const job::Job& job, const std::string& name) {
  return {job.directory.secret(name), name, false};
}

}  // namespace

int run_wrap_secret(const WrapSecretOptions& options) {
  require_name(options.name);
  const auto purpose = keywrap::purpose_from(
      options.purpose == "device-unlock-key" ? "databox-device-unlock-key" : "secret");
  KeySession session(options.job, KeySession::Access::kChange);
  const keys::EnvelopeFile file = file_of(session.job(), options.name);
  if (std::filesystem::exists(file.file) && !options.replace) {
    throw Error(ErrorKind::kUsage, "secret-exists",
                "the job has a secret \"" + options.name + "\" already",
                "Choose another --name, or give --replace to lose the old one.");
  }
  const SecretBytes secret = read_secret(options);
  keywrap::check_value(secret, *purpose);
  const keywrap::Binding binding{session.job().spec.name, options.name, *purpose};
  const keys::ReadyKey ready =
      keys::ready_key(session.keys(), session.journal(), {session.profile()}, false);
  const keys::KeyChange used = keys::use_key(session.keys(), *session.journal(), ready);
  tell_of_change(session.keys(), used);
  const std::string& kid = used.new_kid;
  const std::string sealed =
      keywrap::seal(binding, {secret.clone(), Guid(), FileTime::now()}, session.keys().ring(), kid);
  in_job_directory(
      [&] { create_directories_durably(session.job().directory.secrets(), ErrorKind::kWrite); });
  keys::write_envelope(file, keywrap::Envelope::parse(sealed));
  keys::record(
      *session.journal(), keys::kSecretWrapped, "",
      {{"envelope", options.name}, {"purpose", keywrap::to_string(*purpose)}, {"key", kid}});
  if (options.json) {
    nlohmann::ordered_json document = result_head(session.job().directory, session.job().spec.name);
    document.update({{"secret", options.name},
                     {"purpose", keywrap::to_string(*purpose)},
                     {"kid", kid},
                     {"file", file.file.string()}});
    print_json(document);
  } else {
    print("wrote " + file.file.string() + ", under " + kid);
  }
  return 0;
}

int run_unwrap_secret(const UnwrapSecretOptions& options) {
  require_name(options.name);
  KeySession session(options.job, KeySession::Access::kChange);
  const keys::EnvelopeFile file = file_of(session.job(), options.name);
  if (!std::filesystem::exists(file.file)) {
    throw Error(
        ErrorKind::kUsage, "secret-unknown", "the job has no secret \"" + options.name + "\"",
        "driveprep key status " + session.job().directory.root().string() + " lists the secrets.");
  }
  keywrap::Binding binding;
  const keywrap::Opened opened = session.in_its_words([&] {
    const keywrap::Envelope envelope =
        keys::read_envelope(file, session.job().spec.name, accepted(options));
    binding = envelope.binding;
    return keywrap::open(envelope.to_json(), binding, session.keys().ring(), accepted(options));
  });
  for (const std::string& warning : opened.warnings) {
    note("driveprep: warning: " + printable_line(warning));
  }
  // Before it can leave: a record without a secret is harmless, the reverse is not.
  keys::record(*session.journal(), keys::kSecretUnwrapped, "",
               {{"envelope", options.name},
                {"purpose", keywrap::to_string(binding.purpose)},
                {"key", opened.kid}});
  if (!options.json) {
    print_secret("", opened.payload.value.text(), "\n");
    return 0;
  }
  nlohmann::ordered_json document = result_head(session.job().directory, session.job().spec.name);
  document.update({{"secret", options.name},
                   {"purpose", keywrap::to_string(binding.purpose)},
                   {"kid", opened.kid}});
  std::string head = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  head.pop_back();
  keywrap::SecretJsonWriter value;
  const SecretBytes text = value.string(opened.payload.value.text()).finish();
  print_secret(head + ",\"value\":", text.text(), "}\n");
  return 0;
}

}  // namespace driveprep::cli
