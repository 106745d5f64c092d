#include "keywrap/identity/credential_file.h"

#include <unistd.h>

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/inherited_descriptors.h"
#include "base/posix.h"
#include "keywrap/key_error.h"
#include "keywrap/private_file.h"

namespace driveprep::keywrap::identity {
namespace {

constexpr std::size_t kMaxFileBytes = 64 * 1024;

SecretBytes without_trailing_space(SecretBytes content) {
  const std::size_t last = content.text().find_last_not_of(" \t\r\n");
  content.truncate(last == std::string_view::npos ? 0 : last + 1);
  return content;
}

SecretBytes read_projected(const std::filesystem::path& file) {
  const UniqueFd fd = posix::open(file, O_RDONLY | O_NONBLOCK, ErrorKind::kKey);
  const struct stat status = posix::fstat(fd.get(), file.string(), ErrorKind::kKey);
  const auto size = static_cast<std::size_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || size > kMaxFileBytes) {
    throw Error(ErrorKind::kKey, "read-failed",
                file.string() + " is no regular file of at most 64 KiB");
  }
  SecretBytes content(size);
  content.truncate(posix::pread_up_to(fd.get(), 0, content.span(), file.string(), ErrorKind::kKey));
  return content;
}

SecretBytes read_to_end(int descriptor, const std::string& name) {
  SecretBytes content(kMaxFileBytes + 1);
  const std::size_t size = posix::read_up_to(descriptor, content.span(), name, ErrorKind::kKey);
  if (size > kMaxFileBytes) {
    throw Error(ErrorKind::kKey, "read-failed", name + " gives more than 64 KiB");
  }
  return SecretBytes::copy_of(content.span().first(size));  // takes no more room than it needs
}

SecretBytes read_descriptor(int descriptor, const std::string& name) {
  if (!is_inherited(descriptor)) {
    throw Error(ErrorKind::kKey, "read-failed",
                name + " is not open: driveprep was started without it");
  }
  static std::mutex mutex;
  static std::map<int, SecretBytes> known;
  const std::scoped_lock lock(mutex);
  auto found = known.find(descriptor);
  if (found == known.end()) {
    found = known.emplace(descriptor, read_to_end(descriptor, name)).first;
  }
  return found->second.clone();
}

std::optional<SecretBytes> read(const std::filesystem::path& file, FileRule rule) {
  if (const auto descriptor = descriptor_named(file)) {
    return read_descriptor(*descriptor, file.string());
  }
  return rule == FileRule::kOwnerOnly ? read_private_secret(file, kMaxFileBytes)
                                      : read_projected(file);
}

[[noreturn]] void unusable(const std::filesystem::path& file, FileRule rule,
                           const std::string& why) {
  if (descriptor_named(file)) {
    throw KeyError(Condition::kCredentialInvalid, why, {},
                   "Start driveprep with the credential on that descriptor, or name a file.");
  }
  throw KeyError(Condition::kCredentialInvalid, why, {},
                 rule == FileRule::kOwnerOnly
                     ? "Let " + file.string() +
                           " be a regular file with the credential, of mode 0600, that belongs to "
                           "the user who runs this."
                     : "Check that the token is mounted at " + file.string() + ".");
}

}  // namespace

SecretBytes read_credential(const std::filesystem::path& file, FileRule rule) {
  std::optional<SecretBytes> content;
  try {
    content = read(file, rule);
  } catch (const KeyError&) {
    throw;
  } catch (const Error& error) {
    unusable(file, rule, error.what());
  }
  if (!content) unusable(file, rule, "there is no file " + file.string());
  SecretBytes credential = without_trailing_space(std::move(*content));
  if (credential.empty()) unusable(file, rule, file.string() + " is empty");
  return credential;
}

}  // namespace driveprep::keywrap::identity
