// The exchange by libcurl: TLS 1.2 or later with the certificate and the host's name verified, no
// redirects, answers limited in size. There is no switch that weakens any of it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "keywrap/http/transport.h"

namespace driveprep::keywrap::http {

// For test set-ups only: other addresses for hosts, and another certificate authority. The checks
// are the same.
struct TestEndpoints {
  std::vector<std::string> connect_to;  // "HOST:PORT:CONNECT-TO-HOST:CONNECT-TO-PORT"
  std::filesystem::path ca_file;        // PEM; empty: the machine's authorities
};

// libcurl keeps copies of what it sends and receives; all memory it frees is wiped first. Proxies
// are taken from the environment (https_proxy, no_proxy), never for local endpoints.
class CurlTransport final : public Transport {
 public:
  explicit CurlTransport(TestEndpoints endpoints = {});
  ~CurlTransport() override;

  Response send(const Request& request) override;
  // Hosts that have another address by TestEndpoints are known.
  bool resolves(const std::string& host) override;

 private:
  class Handles;
  TestEndpoints endpoints_;
  std::unique_ptr<Handles> handles_;
};

}  // namespace driveprep::keywrap::http
