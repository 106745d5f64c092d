#include "keywrap/http/curl_transport.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <functional>
#include <span>
#include <thread>

#include "base/unique_fd.h"

namespace driveprep::keywrap::http {
namespace {

// Accepts one connection on the loopback and does with it what the test wants.
class OnePeer {
 public:
  explicit OnePeer(std::function<void(int)> behave) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = static_cast<sockaddr*>(static_cast<void*>(&address));
    REQUIRE(::bind(listener_.get(), generic, size) == 0);
    REQUIRE(::listen(listener_.get(), 1) == 0);
    REQUIRE(::getsockname(listener_.get(), generic, &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, behave = std::move(behave)] {
      const UniqueFd connection(::accept(listener_.get(), nullptr, nullptr));
      if (connection.valid()) behave(connection.get());
    });
  }
  ~OnePeer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

  std::string url(const std::string& scheme) const {
    return scheme + "://127.0.0.1:" + std::to_string(port_) + "/x";
  }

 private:
  UniqueFd listener_;
  int port_ = 0;
  std::thread thread_;
};

// Waits for what the client sends first, so that closing comes in the middle.
void read_some(int connection) {
  std::array<char, 4096> buffer{};
  (void)::recv(connection, buffer.data(), buffer.size(), 0);
}

void send_all(int connection, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(connection, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

TransportError::Kind failure_of_handshake(std::function<void(int)> behave) {
  const OnePeer peer(std::move(behave));
  CurlTransport transport;
  Request request;
  request.url = peer.url("https");
  request.timeout = std::chrono::seconds(20);
  try {
    (void)transport.send(request);
  } catch (const TransportError& error) {
    CAPTURE(error.what());
    CHECK(std::string(error.what()).find("certificate") == std::string::npos);
    return error.kind();
  }
  FAIL("a handshake that was none gave an answer");
  return TransportError::Kind::kTls;
}

Response answer_to(std::string head, std::size_t body) {
  const OnePeer peer([&](int connection) {
    read_some(connection);
    send_all(connection, head + "\r\nContent-Length: " + std::to_string(body) +
                             "\r\nx-ms-request-id: r1\r\n\r\n" + std::string(body, 'x'));
  });
  CurlTransport transport;
  Request request;
  request.url = peer.url("http");
  request.local_endpoint = true;
  request.timeout = std::chrono::seconds(20);
  return transport.send(request);
}

TEST_CASE("a connection that ends during the TLS handshake was lost, which is worth repeating") {
  using Kind = TransportError::Kind;
  SECTION("closed at once") {
    CHECK(failure_of_handshake([](int) {}) == Kind::kNotConnected);
  }
  SECTION("closed after the client's hello") {
    CHECK(failure_of_handshake(read_some) == Kind::kNotConnected);
  }
  SECTION("reset") {
    CHECK(failure_of_handshake([](int connection) {
            read_some(connection);
            const linger at_once{1, 0};
            ::setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
          }) == Kind::kNotConnected);
  }
}

TEST_CASE("a TLS that is refused is a failure of TLS, and not said to be the certificate's") {
  // RFC 8446, section 6: an alert, fatal, handshake_failure (40) or protocol_version (70).
  const char alert = GENERATE(char{40}, char{70});
  CHECK(failure_of_handshake([alert](int connection) {
          read_some(connection);
          send_all(connection, std::string{0x15, 3, 3, 0, 2, 2, alert});
          read_some(connection);
        }) == TransportError::Kind::kTls);
  CHECK(failure_of_handshake([](int connection) {
          read_some(connection);
          send_all(connection, "HTTP/1.1 400 Bad Request\r\n\r\n");
          read_some(connection);
        }) == TransportError::Kind::kTls);
}

TEST_CASE("an error keeps its status however long its body is, a success does not pass") {
  const std::size_t more = kMaxResponseBytes + 50'000;
  for (const int status : {400, 403, 503}) {
    const Response response = answer_to("HTTP/1.1 " + std::to_string(status) + " No", more);
    CHECK(response.status == status);
    CHECK(response.header("x-ms-request-id") == "r1");
    CHECK(response.body.size() <= kMaxResponseBytes);
  }
  try {
    (void)answer_to("HTTP/1.1 200 OK", more);
    FAIL("too long an answer was taken");
  } catch (const TransportError& error) {
    CHECK(error.kind() == TransportError::Kind::kTooLarge);
  }
  CHECK(answer_to("HTTP/1.1 200 OK", kMaxResponseBytes).body.size() == kMaxResponseBytes);
}

}  // namespace
}  // namespace driveprep::keywrap::http
