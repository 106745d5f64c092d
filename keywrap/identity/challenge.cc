#include "keywrap/identity/challenge.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/encoding.h"
#include "base/guid.h"
#include "keywrap/excerpt.h"
#include "keywrap/json_view.h"
#include "keywrap/key_error.h"

namespace driveprep::keywrap::identity {
namespace {

using ascii::lower;

constexpr std::size_t kMaxHeaderBytes = 16 * 1024;
constexpr std::size_t kMaxParameters = 64;
constexpr std::size_t kMaxClaimsBytes = 4 * 1024;
constexpr std::string_view kSpace = " \t";
constexpr std::string_view kHttps = "https://";
constexpr std::string_view kDefaultScope = "/.default";

class HeaderReader {
 public:
  HeaderReader(std::string_view header, std::vector<Challenge>& challenges)
      : rest_(header), challenges_(challenges) {}

  void read() {
    bool in_scheme = false;  // parameters before any scheme of this header belong to none
    for (skip(" \t,"); !rest_.empty(); skip(" \t,")) {
      const std::string name = lower(word(" \t,=\""));
      if (name.empty()) {
        // A stray "=" or quoted string: no name, nothing to know it by.
        if (rest_.front() == '"')
          (void)quoted();
        else
          rest_.remove_prefix(1);
        continue;
      }
      skip(kSpace);
      if (!rest_.starts_with('=')) {
        challenges_.push_back({name, {}});
        in_scheme = true;
        continue;
      }
      rest_.remove_prefix(1);
      skip(kSpace);
      std::string value = rest_.starts_with('"') ? quoted() : std::string(word(" \t,"));
      if (!in_scheme) continue;
      auto& parameters = challenges_.back().parameters;
      if (parameters.size() == kMaxParameters) throw FormatError("it has too many parameters");
      parameters.push_back({name, std::move(value)});
    }
  }

 private:
  void skip(std::string_view characters) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(characters), rest_.size()));
  }

  std::string_view word(std::string_view terminators) {
    const std::string_view word = rest_.substr(0, rest_.find_first_of(terminators));
    rest_.remove_prefix(word.size());
    return word;
  }

  std::string quoted() {
    std::string text;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return text;
      }
      if (rest_[i] == '\\' && ++i == rest_.size()) break;
      text.push_back(rest_[i]);
    }
    throw FormatError("a quoted string in it has no end");
  }

  std::string_view rest_;
  std::vector<Challenge>& challenges_;
};

[[noreturn]] void rejected(const std::string& why) {
  throw KeyError(Condition::kChallengeRejected, "the challenge of the vault is not used: " + why);
}

[[noreturn]] void not_trusted(const std::string& why) {
  throw KeyError(Condition::kAuthorityNotTrusted,
                 "the challenge of the vault names an authority that is not used: " + why);
}

// A parameter that goes by two names. Both may be there if they say the same.
std::optional<std::string> either(const std::optional<std::string>& first,
                                  const std::optional<std::string>& second,
                                  const std::string& what) {
  if (first && second && *first != *second) throw FormatError("it names two different " + what);
  return first ? first : second;
}

std::optional<std::string> value_of(const Challenge& challenge, std::string_view name) {
  const auto value = challenge.parameter(name);
  return value ? std::optional<std::string>(*value) : std::nullopt;
}

std::optional<std::string> authority_of(const Challenge& challenge) {
  return either(value_of(challenge, "authorization"), value_of(challenge, "authorization_uri"),
                "authorities");
}

std::string without_slash(std::string text) {
  if (text.ends_with('/')) text.pop_back();
  return text;
}

std::optional<std::string> resource_of(const Challenge& challenge) {
  std::optional<std::string> resource = value_of(challenge, "resource");
  std::optional<std::string> scope = value_of(challenge, "scope");
  if (scope && scope->ends_with(kDefaultScope)) {
    scope->resize(scope->size() - kDefaultScope.size());
  }
  if (resource) resource = without_slash(*resource);
  if (scope) scope = without_slash(*scope);
  return either(resource, scope, "resources");
}

void check_resource(const std::string& resource, std::string_view request_host, const Cloud& cloud,
                    StoreKind kind) {
  if (!lower(resource).starts_with(kHttps)) {
    rejected("it asks for a token for \"" + excerpt(resource) + "\", which is not https");
  }
  const std::string suffix = lower(cloud.suffix(kind));
  if (lower(resource) != lower(cloud.resource(kind))) {
    rejected("it asks for a token for \"" + excerpt(resource) + "\", and stores of this kind in " +
             "the cloud " + cloud.name + " only get one for " + cloud.resource(kind));
  }
  if (!lower(request_host).ends_with("." + suffix)) {
    rejected("the request went to " + excerpt(request_host) + ", which does not lie below " +
             suffix);
  }
}

struct Authority {
  std::string host;    // lower case
  std::string tenant;  // first segment of the path
};

Authority parse_authority(const std::string& uri) {
  if (!lower(uri).starts_with(kHttps)) not_trusted("\"" + excerpt(uri) + "\" is not https");
  std::string_view rest = std::string_view(uri).substr(kHttps.size());
  // A backslash ends the host for some readers of URLs and not for others.
  if (rest.find_first_of("@\\?#%") != std::string_view::npos) {
    not_trusted("\"" + excerpt(uri) + "\" has more in it than a host and a tenant");
  }
  Authority authority;
  authority.host = lower(rest.substr(0, rest.find('/')));
  rest.remove_prefix(std::min(authority.host.size() + 1, rest.size()));
  if (authority.host.ends_with(":443")) authority.host.resize(authority.host.size() - 4);
  authority.tenant = rest.substr(0, rest.find('/'));
  return authority;
}

TokenRequest judge(const Challenge& challenge, std::string_view request_host, const Cloud& cloud,
                   StoreKind kind, std::string_view pinned_tenant) {
  const auto resource = resource_of(challenge);
  if (!resource) rejected("it names no resource");
  check_resource(*resource, request_host, cloud, kind);

  const Authority authority = parse_authority(*authority_of(challenge));
  if (!is_sign_in_host(authority.host, cloud)) {
    not_trusted(excerpt(authority.host) + " is no sign-in host of the cloud " + cloud.name);
  }
  const std::string tenant = lower(authority.tenant);
  const bool is_pinned = !pinned_tenant.empty() && tenant == lower(pinned_tenant);
  if (!is_guid(tenant) && !is_pinned) {
    rejected("\"" + excerpt(authority.tenant) + "\" is not the id of a tenant");
  }
  if (!pinned_tenant.empty() && !is_pinned) {
    throw KeyError(Condition::kTenantMismatch, "the vault belongs to the tenant " + tenant +
                                                   ", and the job names the tenant " +
                                                   excerpt(pinned_tenant));
  }
  return {"https://" + authority.host, tenant, cloud.resource(kind), claims_of({challenge})};
}

std::optional<Bytes> decoded(std::string text) {
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) {
    if (c == '+') c = '-';
    if (c == '/') c = '_';
  }
  return from_base64url(text);
}

}  // namespace

std::optional<std::string_view> Challenge::parameter(std::string_view name) const {
  std::optional<std::string_view> found;
  for (const Parameter& parameter : parameters) {
    if (parameter.name != name) continue;
    if (found) throw FormatError("a parameter in it comes twice");
    found = parameter.value;
  }
  return found;
}

std::vector<Challenge> parse_challenges(const std::vector<std::string_view>& headers) {
  std::vector<Challenge> challenges;
  std::size_t size = 0;
  for (const std::string_view header : headers) {
    size += header.size();
    if (size > kMaxHeaderBytes) throw FormatError("it is longer than 16 KiB");
    HeaderReader(header, challenges).read();
  }
  return challenges;
}

std::vector<Challenge> challenges_of(const http::Response& response) {
  std::vector<std::string_view> values;
  for (const http::Header& header : response.headers) {
    if (lower(header.name) == "www-authenticate") values.push_back(header.value);
  }
  try {
    return parse_challenges(values);
  } catch (const FormatError& error) {
    rejected(error.what());
  }
}

TokenRequest validate(const std::vector<Challenge>& challenges, std::string_view request_host,
                      const Cloud& cloud, StoreKind kind, std::string_view pinned_tenant) {
  try {
    for (const Challenge& challenge : challenges) {
      if (challenge.scheme != "bearer" || !authority_of(challenge)) continue;
      return judge(challenge, request_host, cloud, kind, pinned_tenant);
    }
  } catch (const FormatError& error) {
    rejected(error.what());
  }
  rejected("it has no Bearer scheme with an authority");
}

std::string claims_of(const std::vector<Challenge>& challenges) {
  try {
    for (const Challenge& challenge : challenges) {
      if (challenge.scheme != "bearer") continue;
      const auto claims = challenge.parameter("claims");
      if (!claims) continue;
      const auto json = decoded(std::string(*claims));
      if (!json) throw FormatError("its claims are not base64");
      const std::string_view text = as_text(*json);
      if (!JsonView::parse(text, kMaxClaimsBytes).is_object()) {
        throw FormatError("its claims are not a JSON object");
      }
      return std::string(text);
    }
  } catch (const FormatError& error) {
    rejected(error.what());
  }
  return "";
}

bool is_sign_in_host(std::string_view host, const Cloud& cloud) {
  return std::ranges::any_of(cloud.sign_in_hosts,
                             [&](const std::string& known) { return lower(known) == lower(host); });
}

bool is_guid(std::string_view text) {
  constexpr std::size_t kLength = 36;  // rules out the form with braces
  return text.size() == kLength && Guid::parse(text).has_value();
}

}  // namespace driveprep::keywrap::identity
