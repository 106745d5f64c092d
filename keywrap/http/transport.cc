#include "keywrap/http/transport.h"

#include <algorithm>

#include "keywrap/http/blot_out.h"

namespace driveprep::keywrap::http {

std::optional<std::string_view> Response::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, &Header::name);
  return found == headers.end() ? std::nullopt : std::optional<std::string_view>(found->value);
}

Condition condition_of(const TransportError& error) {
  switch (error.kind()) {
    case TransportError::Kind::kNameUnknown:
    case TransportError::Kind::kNameUnresolved:
    case TransportError::Kind::kNotConnected: return Condition::kUnavailable;
    case TransportError::Kind::kTimeout: return Condition::kTimeout;
    case TransportError::Kind::kTls: return Condition::kTlsFailure;
    case TransportError::Kind::kTooLarge: return Condition::kUnexpected;
  }
  return Condition::kUnexpected;
}

Response exchange(Transport& transport, const Request& request) {
  Response response = transport.send(request);
  if (response.status >= 200 && response.status < 300) return response;
  std::vector<std::string_view> secrets = request.secret_parts;
  if (request.secret_header) secrets.push_back(request.secret_header->value->text());
  for (const std::string_view secret : secrets) {
    blot_out(response.body.span(), secret);
    for (Header& header : response.headers) {
      blot_out(std::as_writable_bytes(std::span(header.value)), secret);
    }
  }
  return response;
}

std::string host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::size_t start = scheme == std::string_view::npos ? 0 : scheme + 3;
  return std::string(url.substr(start, url.find_first_of("/:?", start) - start));
}

}  // namespace driveprep::keywrap::http
