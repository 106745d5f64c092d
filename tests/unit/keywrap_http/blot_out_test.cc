#include "keywrap/http/blot_out.h"

#include <catch2/catch.hpp>

#include "keywrap/http/transport.h"

namespace driveprep::keywrap::http {
namespace {

std::string blotted(std::string text, std::string_view secret) {
  blot_out(std::as_writable_bytes(std::span(text)), secret);
  return text;
}

// Echoes what a service could echo.
class Echo final : public Transport {
 public:
  explicit Echo(int status) : status_(status) {}
  Response send(const Request& request) override {
    return {status_,
            {{"x-told", "saw " + std::string(request.secret_header->value->text())}},
            SecretBytes::copy_of("got " + std::string(request.body->text()))};
  }
  bool resolves(const std::string&) override { return true; }

 private:
  int status_;
};

TEST_CASE("a secret that comes back is blotted out, however it is written") {
  CHECK(blotted("value 'aB-9_z' is bad, aB-9_z", "aB-9_z") == "value '******' is bad, ******");
  CHECK(blotted("x aB+9/z.", "aB-9_z") == "x ******.");
  CHECK(blotted("x aB%2B9%2fz.", "aB-9_z") == "x **********.");
  CHECK(blotted(R"({"m":"aB\u002b9\/z"})", "aB+9/z") == R"({"m":"************"})");
  CHECK(blotted(R"({"m":"p\"q\\r"})", R"(p"q\r)") == R"({"m":"*******"})");
  CHECK(blotted("aaaaaab", "aaaab") == "aa*****");
}

TEST_CASE("what is not the secret stays") {
  CHECK(blotted("aB-9_y", "aB-9_z") == "aB-9_y");
  CHECK(blotted("aB-9_", "aB-9_z") == "aB-9_");
  CHECK(blotted("aB%2", "aB-9") == "aB%2");
  CHECK(blotted("aB\\u00", "aB-9") == "aB\\u00");
  CHECK(blotted("abc abc", "abc") == "abc abc");
  CHECK(blotted("text", "").size() == 4);
  CHECK(blotted("", "secret").empty());
}

TEST_CASE("no answer but a success keeps what was sent as a secret") {
  const SecretBytes header = SecretBytes::copy_of("token-1");
  const SecretBytes body = SecretBytes::copy_of("name=app&secret=p4ss");
  Request request;
  request.secret_header = SecretHeader{"Authorization", "Bearer", &header};
  request.body = &body;
  request.secret_parts = {body.text().substr(16)};
  for (const int status : {302, 400, 403, 500}) {
    Echo echo(status);
    const Response response = exchange(echo, request);
    CHECK(response.body.text() == "got name=app&secret=****");
    CHECK(response.header("x-told") == "saw *******");
  }
  Echo echo(200);
  CHECK(exchange(echo, request).body.text() == "got name=app&secret=p4ss");
}

}  // namespace
}  // namespace driveprep::keywrap::http
