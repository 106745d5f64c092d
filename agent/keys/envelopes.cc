#include "agent/keys/envelopes.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/atomic_file.h"
#include "base/posix.h"
#include "base/system_error.h"
#include "keywrap/key_error.h"

namespace driveprep::keys {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kEnvelopeLimit = 1024 * 1024;
constexpr std::string_view kSuffix = ".jwe.json";
constexpr std::size_t kLongestSecretName = 64;

// Nothing for a directory that is not there, or is none. One that cannot be read is told: what lies
// in it would be forgotten by every change of the key.
std::vector<fs::directory_entry> entries_of(const fs::path& directory) {
  std::vector<fs::directory_entry> entries;
  std::error_code failed;
  fs::directory_iterator next(directory, failed);
  while (!failed && next != fs::directory_iterator()) {
    entries.push_back(*next);
    next.increment(failed);
  }
  if (failed && failed != std::errc::no_such_file_or_directory &&
      failed != std::errc::not_a_directory) {
    throw Error(
        ErrorKind::kKey, "envelopes-unreadable",
        directory.string() + ", where envelopes may lie, cannot be read: " + failed.message(),
        "Give the user who runs driveprep access to the whole job directory.");
  }
  std::ranges::sort(entries);
  return entries;
}

}  // namespace

std::string envelope_text(const fs::path& file) {
  if (fs::is_symlink(fs::symlink_status(file))) {
    throw keywrap::KeyError(keywrap::Condition::kEnvelopeCorrupt,
                            file.string() + " is a symbolic link", {},
                            "Put the envelope itself in its place.");
  }
  return posix::read_file(file, kEnvelopeLimit, ErrorKind::kKey);
}

std::vector<EnvelopeFile> envelopes_of(const job::JobDirectory& directory) {
  std::vector<EnvelopeFile> files;
  const auto add_those_in = [&](const fs::path& place, const std::string& drive) {
    for (const fs::directory_entry& entry : entries_of(place)) {
      const std::string file = entry.path().filename().string();
      if (!file.ends_with(kSuffix) || fs::is_directory(entry.symlink_status())) continue;
      const std::string name = file.substr(0, file.size() - kSuffix.size());
      if (!drive.empty()) {
        files.push_back({entry.path(), drive, true});
      } else if (!check_secret_name(name)) {
        files.push_back({entry.path(), name, false});
      }
    }
  };
  for (const fs::directory_entry& entry : entries_of(directory.drives())) {
    add_those_in(entry.path(), entry.path().filename().string());
  }
  add_those_in(directory.secrets(), "");
  return files;
}

keywrap::Envelope read_envelope(const EnvelopeFile& file, const std::string& job_id,
                                keywrap::Accept accept) {
  using keywrap::Condition;
  using keywrap::KeyError;
  const std::string text = envelope_text(file.file);
  try {
    keywrap::Envelope envelope = keywrap::Envelope::parse(text, accept);
    const bool of_drive = !keywrap::is_customers_secret(envelope.binding.purpose);
    if (envelope.binding.job == job_id && envelope.binding.drive == file.name &&
        of_drive == file.is_drive) {
      return envelope;
    }
    throw KeyError(Condition::kBindingMismatch, "the envelope is for \"" + envelope.binding.drive +
                                                    "\" of job \"" + envelope.binding.job + "\"");
  } catch (const KeyError& error) {
    throw KeyError(error.condition(), file.file.string() + ": " + error.what(), error.evidence());
  }
}

std::vector<std::string> kids_of(const EnvelopeFile& file) {
  std::vector<std::string> kids;
  const auto envelope = keywrap::Envelope::parse(envelope_text(file.file));
  for (const keywrap::Recipient& recipient : envelope.recipients) kids.push_back(recipient.kid);
  return kids;
}

void write_envelope(const EnvelopeFile& file, const keywrap::Envelope& envelope) {
  in_job_directory([&] { write_file_atomically(file.file, as_bytes(envelope.to_json()), 0600); });
}

void remove_leftovers(const job::JobDirectory& directory) {
  std::vector<fs::path> places = {directory.root(), directory.secrets()};
  for (const fs::directory_entry& entry : entries_of(directory.drives())) {
    places.push_back(entry.path());
  }
  for (const fs::path& place : places) {
    for (const fs::directory_entry& entry : entries_of(place)) {
      const std::string name = entry.path().filename().string();
      const bool ours = name.find(".jwe.json.tmp-") != std::string::npos ||
                        name.starts_with("key-state.json.tmp-") ||
                        name.starts_with("audit-head.json.tmp-") || name.starts_with(".driveprep-");
      if (!ours) continue;
      std::error_code ignored;
      fs::remove(entry.path(), ignored);
    }
  }
}

std::optional<std::string> check_secret_name(std::string_view name) {
  const bool fits = !name.empty() && name.size() <= kLongestSecretName &&
                    ascii::is_alphanumeric(name.front()) && std::ranges::all_of(name, [](char c) {
                      return ascii::is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
                    });
  if (fits) return std::nullopt;
  return "has 1 to 64 letters, digits, '-', '_' and '.', and begins with a letter or digit";
}

}  // namespace driveprep::keys
