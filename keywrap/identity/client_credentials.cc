#include "keywrap/identity/client_credentials.h"

#include <algorithm>

#include "base/ascii.h"
#include "keywrap/excerpt.h"
#include "keywrap/identity/challenge.h"
#include "keywrap/identity/token_response.h"

namespace driveprep::keywrap::identity {
namespace {

constexpr std::string_view kHex = "0123456789ABCDEF";
constexpr std::string_view kHttps = "https://";
constexpr std::string_view kJwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

bool stands_for_itself(char c) {
  return ascii::is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

// Calls `put` with each character of the encoded form.
template <typename Put>
void each_character(std::span<const FormField> fields, Put put) {
  const auto encode = [&](std::string_view text) {
    for (const char& c : text) {
      const auto code = static_cast<unsigned char>(c);
      if (stands_for_itself(c)) {
        put(c);
      } else {
        put('%');
        put(kHex[code >> 4]);
        put(kHex[code & 15]);
      }
    }
  };
  for (const FormField& field : fields) {
    if (&field != fields.data()) put('&');
    encode(field.name);
    put('=');
    encode(field.value);
  }
}

}  // namespace

std::string token_endpoint(const TokenRequest& request, const ClientIdentity& client,
                           const Cloud& cloud) {
  const std::string_view authority = request.authority;
  if (!authority.starts_with(kHttps) || !is_sign_in_host(authority.substr(kHttps.size()), cloud)) {
    throw KeyError(Condition::kAuthorityNotTrusted,
                   "no credential is sent to " + excerpt(authority) +
                       ": it is no sign-in host of the cloud " + cloud.name);
  }
  if (!client.tenant.empty() && ascii::lower(client.tenant) != ascii::lower(request.tenant)) {
    throw KeyError(
        client.user_assigned ? Condition::kCrossTenantIdentity : Condition::kTenantMismatch,
        "the vault belongs to the tenant " + excerpt(request.tenant) + ", and the application " +
            client.client_id + " to the tenant " + client.tenant);
  }
  const bool is_segment = std::ranges::all_of(
      request.tenant, [](char c) { return ascii::is_alphanumeric(c) || c == '-' || c == '.'; });
  if (!is_segment || request.tenant.empty() || request.tenant.starts_with('.')) {
    throw KeyError(Condition::kTenantMismatch,
                   "\"" + excerpt(request.tenant) + "\" is not the id of a tenant");
  }
  return request.authority + "/" + request.tenant + "/oauth2/v2.0/token";
}

SecretBytes encode_form(std::span<const FormField> fields) {
  std::size_t size = 0;
  each_character(fields, [&](char) { ++size; });
  SecretBytes form(size);
  std::size_t at = 0;
  each_character(fields, [&](char c) { form.span()[at++] = static_cast<std::byte>(c); });
  return form;
}

Token fetch_with_credential(const std::string& endpoint, const TokenRequest& request,
                            const ClientIdentity& client, std::span<const FormField> credential,
                            http::Sender& sender, const std::string& who) {
  const std::string scope = request.resource + "/.default";
  std::vector<FormField> fields = {
      {"grant_type", "client_credentials"}, {"client_id", client.client_id}, {"scope", scope}};
  if (!request.claims.empty()) fields.push_back({"claims", request.claims});
  fields.insert(fields.end(), credential.begin(), credential.end());
  const SecretBytes form = encode_form(fields);

  http::Request post;
  post.method = http::Method::kPost;
  post.url = endpoint;
  post.headers = {{"Content-Type", "application/x-www-form-urlencoded"},
                  {"Accept", "application/json"}};
  post.body = &form;
  for (const FormField& field : credential) {
    if (field.value != kJwtBearer) post.secret_parts.push_back(field.value);
  }
  const Asked asked{who, http::host_of(endpoint), client.user_assigned};
  // Before the request: the time on the way belongs to the token's life.
  const UnixSeconds now = sender.surroundings().clock();
  try {
    return token_of(sender.send(post), now, asked);
  } catch (const http::TransportError& error) {
    throw error_of(error, asked);
  }
}

Token fetch_with_assertion(const std::string& endpoint, const TokenRequest& request,
                           const ClientIdentity& client, std::string_view assertion,
                           http::Sender& sender, const std::string& who) {
  const FormField credential[] = {{"client_assertion_type", kJwtBearer},
                                  {"client_assertion", assertion}};
  return fetch_with_credential(endpoint, request, client, credential, sender, who);
}

}  // namespace driveprep::keywrap::identity
