#include "agent/cli/unlock_sources.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>

#include "agent/cli/output.h"
#include "agent/volume/key_input.h"
#include "base/ascii.h"
#include "base/error.h"

namespace driveprep::cli {
namespace {

// Relative values of the environment are nobody's intention.
std::filesystem::path credential_file() {
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || directory[0] != '/') return {};
  return std::filesystem::path(directory) / "driveprep-unlock";
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 6 && std::ranges::all_of(text, ascii::is_digit);
}

SecretBytes obtain(const std::filesystem::path& store) {
  if (const char* number = std::getenv("DRIVEPREP_UNLOCK_FD")) {
    if (!is_number(number)) {
      throw Error(ErrorKind::kUsage, "unlock-descriptor",
                  "DRIVEPREP_UNLOCK_FD is \"" + printable_line(number) +
                      "\", not the number of a descriptor",
                  "Set it to the number of an open descriptor that gives the passphrase.");
    }
    return volume::read_key_text("/dev/fd/" + std::string(number));
  }
  try {
    return volume::ask_secret("Passphrase of the key store " + printable_line(store.string()) +
                              ": ");
  } catch (const Error& error) {
    if (error.code() != "key-missing") throw;
    throw Error(ErrorKind::kKey, "key-store-locked-out",
                "the key store " + store.string() +
                    " opens with a passphrase, and there is no terminal to ask for it",
                "Run the command on a terminal, or pass the passphrase as the credential "
                "driveprep-unlock or through the descriptor in DRIVEPREP_UNLOCK_FD.");
  }
}

// A store may be opened several times by one run, and nobody wants to be asked again; a descriptor
// can be read only once.
SecretBytes passphrase_of(const std::filesystem::path& store) {
  static std::mutex mutex;
  static std::map<std::filesystem::path, SecretBytes> known;
  const std::lock_guard guard(mutex);
  auto found = known.find(store);
  if (found == known.end()) found = known.emplace(store, obtain(store)).first;
  return found->second.clone();
}

}  // namespace

keywrap::UnlockSources unlock_sources() {
  return {.credential = credential_file(), .ask_passphrase = passphrase_of};
}

SecretBytes new_passphrase(const std::string& file) {
  if (!file.empty()) return volume::read_key_text(file);
  try {
    SecretBytes passphrase = volume::ask_secret("New passphrase: ");
    if (volume::ask_secret("The same once more: ") == passphrase) return passphrase;
  } catch (const Error& error) {
    if (error.code() != "key-missing") throw;
    throw Error(ErrorKind::kUsage, "key-missing", "there is no terminal to ask for a passphrase",
                "Give it in a file: --passphrase-file FILE.");
  }
  throw Error(ErrorKind::kNotConfirmed, "passwords-differ", "the two passphrases differ",
              "Run the command again.");
}

}  // namespace driveprep::cli
