#include <unistd.h>

#include <algorithm>

#include "agent/cli/job_session.h"
#include "agent/cli/key_commands.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"
#include "agent/cli/secret_input.h"
#include "agent/cli/secret_output.h"
#include "agent/keys/audit.h"
#include "agent/keys/envelopes.h"
#include "agent/volume/key_input.h"
#include "base/directories.h"
#include "base/encoding.h"
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

SecretBytes read_secret(const WrapSecretOptions& options, keywrap::Purpose purpose) {
  if (::isatty(options.descriptor) != 0) return volume::ask_secret("Secret " + options.name + ": ");
  SecretBytes secret = read_secret_bytes(options.descriptor, keywrap::kLongestSecret + 1);
  // The unlock key of a device is one line of text; a line end behind it is not part of it.
  if (purpose == keywrap::Purpose::kDeviceUnlockKey) volume::drop_line_end(secret);
  return secret;
}

// The characters of the two alphabets differ in two places.
SecretBytes secret_base64(const SecretBytes& bytes) {
  const SecretBytes url = secret_base64url(bytes.span());
  SecretBytes text((url.size() + 3) / 4 * 4);
  std::ranges::fill(text.span(), std::byte{'='});
  std::ranges::transform(url.text(), text.span().begin(), [](char c) {
    return static_cast<std::byte>(c == '-' ? '+' : c == '_' ? '/' : c);
  });
  return text;
}

keys::EnvelopeFile file_of(const job::Job& job, const std::string& name) {
  return {job.directory.secret(name), name, false};
}

}  // namespace

int run_wrap_secret(const WrapSecretOptions& options) {
  require_name(options.name);
  require_readable_secret(options.descriptor);
  const auto purpose = keywrap::purpose_from(
      options.purpose == "device-unlock-key" ? "databox-device-unlock-key" : "secret");
  KeySession session(options.job, KeySession::Access::kChange);
  const keys::EnvelopeFile file = file_of(session.job(), options.name);
  if (std::filesystem::exists(file.file) && !options.replace) {
    throw Error(ErrorKind::kUsage, "secret-exists",
                "the job has a secret \"" + options.name + "\" already",
                "Choose another --name, or give --replace to lose the old one.");
  }
  const SecretBytes secret = read_secret(options, *purpose);
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
  // Before there is one: a record without an envelope is harmless, the reverse is not.
  keys::record(
      *session.journal(), keys::kSecretWrapped, "",
      {{"envelope", options.name}, {"purpose", keywrap::to_string(*purpose)}, {"key", kid}});
  keys::write_envelope(file, keywrap::Envelope::parse(sealed));
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
  const SecretBytes& secret = opened.payload.value;
  if (!options.json) {
    // A line end for whoever reads it; another program gets the bytes that were given.
    const bool line_end = ::isatty(STDOUT_FILENO) != 0 && !secret.text().ends_with('\n');
    print_secret("", secret.text(), line_end ? "\n" : "");
    return 0;
  }
  nlohmann::ordered_json document = result_head(session.job().directory, session.job().spec.name);
  document.update({{"secret", options.name},
                   {"purpose", keywrap::to_string(binding.purpose)},
                   {"kid", opened.kid}});
  std::string head = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  head.pop_back();
  const bool text = keywrap::is_text(secret);
  const SecretBytes encoded = text ? SecretBytes() : secret_base64(secret);
  keywrap::SecretJsonWriter value;
  const SecretBytes quoted = value.string(text ? secret.text() : encoded.text()).finish();
  print_secret(head + (text ? ",\"value\":" : ",\"value_base64\":"), quoted.text(), "}\n");
  return 0;
}

}  // namespace driveprep::cli
