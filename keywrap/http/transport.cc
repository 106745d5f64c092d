#include "keywrap/http/transport.h"

#include <algorithm>

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

std::string host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::size_t start = scheme == std::string_view::npos ? 0 : scheme + 3;
  return std::string(url.substr(start, url.find_first_of("/:?", start) - start));
}

}  // namespace driveprep::keywrap::http
