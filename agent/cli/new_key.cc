#include "agent/cli/new_key.h"

#include <algorithm>
#include <utility>

#include "agent/volume/key_input.h"

namespace driveprep::cli {
namespace {

bool is_standard_output(const KeyOutput& output) {
  return output.path.empty() || output.path == "-";
}

SecretBytes line_of(const bitlocker::RecoveryPassword& password) {
  SecretBytes line(password.text().size() + 1);
  std::ranges::copy(as_bytes(password.text()), line.span().begin());
  line.span().back() = std::byte{'\n'};
  return line;
}

}  // namespace

void KeyOutput::check_recovery_password() const {
  if (!json || !is_standard_output(*this)) return;
  throw Error(ErrorKind::kUsage, "output-needed",
              "with --json a new key cannot go to standard output",
              "Name a file for it: --output FILE.");
}

void KeyOutput::check_external_key() const {
  if (!is_standard_output(*this)) return;
  throw Error(ErrorKind::kUsage, "output-needed", "a new external key is a file",
              "Name the directory or file for it: --output PATH.");
}

NewKey::NewKey(const bitlocker::RecoveryPassword& password, const Guid& protector,
               const KeyOutput& output)
    : content_(line_of(password)) {
  output.check_recovery_password();
  if (is_standard_output(output)) return;
  path_ = output.is_directory() ? output.path / (protector.lower() + ".txt") : output.path;
}

NewKey::NewKey(bitlocker::ExternalKeyFile key, const KeyOutput& output)
    : content_(std::move(key.content)) {
  output.check_external_key();
  // Windows looks for it by this name.
  path_ = output.is_directory() ? output.path / key.name : output.path;
}

void NewKey::hand_out() {
  if (path_.empty()) {
    print_secret("", content_.text(), "");
  } else {
    file_ = std::make_unique<SecretFile>(path_, content_.span());
  }
}

void NewKey::keep() {
  if (file_) file_->keep();
}

std::optional<std::filesystem::path> NewKey::file() const {
  return path_.empty() ? std::nullopt : std::optional(path_);
}

SecretBytes read_new_password(const std::string& file) {
  if (!file.empty()) return volume::read_key_text(file);
  SecretBytes password = volume::ask_secret("New password: ");
  if (volume::ask_secret("The same once more: ") == password) return password;
  throw Error(ErrorKind::kNotConfirmed, "passwords-differ", "the two passwords differ",
              "Run the command again.");
}

}  // namespace driveprep::cli
