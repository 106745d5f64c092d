#include "keywrap/identity/azure_arc.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/posix.h"
#include "keywrap/excerpt.h"
#include "keywrap/identity/challenge.h"

namespace driveprep::keywrap::identity {
namespace {

constexpr std::string_view kSuffix = ".key";
constexpr std::size_t kMaxKeyBytes = 4096;
constexpr std::size_t kLongestName = 255;

[[noreturn]] void rejected(const std::string& why) {
  throw KeyError(Condition::kChallengeRejected,
                 "the challenge of the Azure Arc agent is not answered: " + why, {},
                 "Find out what answers in place of the Azure Arc agent on this machine.");
}

// The name of the file in `directory`; what is compared is text, so that no link or ".." plays a
// part.
std::string name_in(const std::string& path, const std::filesystem::path& directory) {
  const std::string prefix = directory.string() + "/";
  const std::string name = path.starts_with(prefix) ? path.substr(prefix.size()) : "";
  const bool fits = name.size() > kSuffix.size() && name.size() <= kLongestName &&
                    name.ends_with(kSuffix) && !name.starts_with('.') &&
                    name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
  if (!fits) {
    rejected("it names \"" + excerpt(path) + "\", and only files " + prefix + "*.key are read");
  }
  return name;
}

std::string realm_of(const http::Response& response) {
  for (const Challenge& challenge : challenges_of(response)) {
    if (challenge.scheme != "basic") continue;
    try {
      if (const auto realm = challenge.parameter("realm")) return std::string(*realm);
    } catch (const FormatError& error) {
      rejected(error.what());
    }
  }
  rejected("it names no file");
}

}  // namespace

SecretBytes read_arc_key(const std::string& path, const std::filesystem::path& directory) {
  const std::string name = name_in(path, directory);
  const auto failed = [&](const std::string& why) { rejected(path + " " + why); };
  const UniqueFd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!parent.valid()) {
    const int number = errno;
    failed("cannot be opened: " + std::string(std::strerror(number)) +
           " (members of the group himds may read it)");
  }
  const UniqueFd file(::openat(parent.get(), name.c_str(),
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file.valid()) {
    const int number = errno;
    failed(number == ELOOP ? "is a symbolic link"
                           : "cannot be opened: " + std::string(std::strerror(number)));
  }
  const struct stat status = posix::fstat(file.get(), path, ErrorKind::kKey);
  if (!S_ISREG(status.st_mode)) failed("is no regular file");
  if (status.st_size == 0 || static_cast<std::size_t>(status.st_size) > kMaxKeyBytes) {
    failed("has not 1 to 4096 bytes");
  }
  SecretBytes key(static_cast<std::size_t>(status.st_size));
  key.truncate(posix::pread_up_to(file.get(), 0, key.span(), path, ErrorKind::kKey));
  key.truncate(key.text().find_last_not_of(" \t\r\n") + 1);
  // It goes into a header.
  const bool fits = std::ranges::all_of(key.text(), [](char c) { return c > ' ' && c <= '~'; });
  if (!fits || key.empty()) failed("has no key in it");
  return key;
}

AzureArcSource::AzureArcSource(std::string endpoint, http::Sender& sender,
                               std::filesystem::path token_directory)
    : endpoint_(endpoint.empty() ? kArcEndpoint : std::move(endpoint)),
      sender_(sender),
      token_directory_(std::move(token_directory)) {}

Token AzureArcSource::fetch(const TokenRequest& request) {
  const Asked asked{describe(), "the Azure Arc agent"};
  http::Request get;
  get.url = local_url(endpoint_, "IDENTITY_ENDPOINT",
                      {{"api-version", "2020-06-01"}, {"resource", request.resource}});
  get.headers = {{"Metadata", "true"}, {"Accept", "application/json"}};
  get.local_endpoint = true;
  const http::Response challenge = send_locally(get, Patience::kPlain, sender_, asked);
  // A token without a challenge would be one that anybody on the machine gets: not the agent's way.
  if (challenge.status == 200) rejected("it gave a token without asking for anything");
  if (challenge.status != 401) {
    return local_token(challenge, sender_.surroundings().clock(), {}, asked);
  }
  const SecretBytes key = read_arc_key(realm_of(challenge), token_directory_);
  get.secret_header = http::SecretHeader{"Authorization", "Basic", &key};
  const UnixSeconds now = sender_.surroundings().clock();
  const http::Response response = send_locally(get, Patience::kPlain, sender_, asked);
  return local_token(response, now, {}, asked);
}

std::string AzureArcSource::describe() const {
  return "the system-assigned identity of this Azure Arc machine";
}

}  // namespace driveprep::keywrap::identity
