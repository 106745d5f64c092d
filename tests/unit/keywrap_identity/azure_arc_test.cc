#include "keywrap/identity/azure_arc.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "tests/support/scratch.h"
#include "tests/unit/keywrap_identity/fixtures.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using namespace driveprep::keywrap::identity;
using test::contains;
using test::failure_of;
using test::vault_request;

namespace {

constexpr const char* kAnswer = R"({"access_token":"arc","expires_in":"86400","expires_on":
    "1700086400","not_before":"1","resource":"https://vault.azure.net","token_type":"Bearer"})";

struct Fixture {
  test::World world;
  test::ScratchDirectory scratch;
  std::filesystem::path tokens = scratch / "tokens";

  Fixture() { std::filesystem::create_directory(tokens); }

  std::string key(const std::string& name, const std::string& content) {
    return scratch.file("tokens/" + name, as_bytes(content)).string();
  }
  Token fetch(const std::string& endpoint = "") {
    return AzureArcSource(endpoint, world.sender, tokens).fetch(vault_request());
  }
  void challenge(const std::string& realm) {
    world.transport.answer(401, "", {{"www-authenticate", "Basic realm=" + realm}});
  }
  // The condition when the agent names `path`; "" when it got what is in it.
  std::string condition_for(const std::string& path) {
    return failure_of([&] { (void)read_arc_key(path, tokens); }).condition;
  }
};

}  // namespace

TEST_CASE("the Arc agent gets the content of the file that it names, and gives a token") {
  Fixture f;
  f.challenge(f.key("abc-1.key", "k3y-content"));
  f.world.transport.answer(200, kAnswer);
  const Token token = f.fetch();
  CHECK(token.value.text() == "arc");
  CHECK(token.expires == 1700086400);
  const auto& requests = f.world.transport.requests;
  REQUIRE(requests.size() == 2);
  for (const test::Sent& sent : requests) {
    CHECK(sent.url ==
          "http://127.0.0.1:40342/metadata/identity/oauth2/token?api-version=2020-06-01&"
          "resource=https%3A%2F%2Fvault.azure.net");
    CHECK(sent.has_header("Metadata", "true"));
    CHECK(sent.local_endpoint);
  }
  CHECK(requests[0].secret_header.empty());
  CHECK(requests[1].secret_header == "Authorization: Basic k3y-content");
}

TEST_CASE("the endpoint of the Arc agent can be set") {
  Fixture f;
  f.challenge("\"" + f.key("a.key", "k\n") + "\"");
  f.world.transport.answer(200, kAnswer);
  f.fetch("http://localhost:40342/metadata/identity/oauth2/token");
  CHECK(f.world.transport.requests.at(1).url.starts_with("http://localhost:40342/"));
  CHECK(f.world.transport.requests.at(1).secret_header == "Authorization: Basic k");
}

TEST_CASE("an Arc challenge that names /etc/shadow opens nothing and sends nothing") {
  Fixture f;
  f.challenge("/etc/shadow");
  f.world.transport.answer(200, kAnswer);
  const auto failure = failure_of([&] { f.fetch(); });
  CHECK(failure.condition == "ChallengeRejected");
  CHECK(contains(failure.message, "/etc/shadow"));
  CHECK(f.world.transport.requests.size() == 1);
}

TEST_CASE("only files directly in the agent's directory that end in .key are read") {
  Fixture f;
  const std::string good = f.key("good.key", "k");
  CHECK(f.condition_for(good).empty());
  f.key("other.txt", "k");
  f.key(".hidden.key", "k");
  f.scratch.file("outside.key", as_bytes("k"));
  std::filesystem::create_directory(f.tokens / "sub");
  f.key("sub/in.key", "k");
  const std::string directory = f.tokens.string();
  for (const std::string& path :
       {std::string(), std::string("/etc/shadow"), std::string("good.key"), directory,
        directory + "/", directory + "/.key", directory + "/other.txt", directory + "/.hidden.key",
        directory + "/../outside.key", directory + "/sub/in.key", directory + "/sub/../good.key",
        directory + "//good.key", directory + "/./good.key", directory + "x/good.key", "/" + good,
        good + "/", good + " ", directory + std::string("/good.key\0.key", 14),
        directory + "/" + std::string(300, 'a') + ".key"}) {
    CAPTURE(path);
    CHECK(f.condition_for(path) == "ChallengeRejected");
  }
}

TEST_CASE(
    "a key of the Arc agent that is a link, a directory, a pipe, empty or large is not read") {
  Fixture f;
  const std::string path = (f.tokens / "x.key").string();
  SECTION("link to a file outside") {
    f.scratch.file("secret", as_bytes("s"));
    std::filesystem::create_symlink(f.scratch / "secret", path);
    CHECK(contains(failure_of([&] { (void)read_arc_key(path, f.tokens); }).message, "link"));
  }
  SECTION("link to a file inside") {
    std::filesystem::create_symlink(f.key("real.key", "k"), path);
  }
  SECTION("dangling link") { std::filesystem::create_symlink("nowhere", path); }
  SECTION("directory") { std::filesystem::create_directory(path); }
  SECTION("pipe") { REQUIRE(::mkfifo(path.c_str(), 0600) == 0); }
  SECTION("empty") { f.key("x.key", ""); }
  SECTION("blank") { f.key("x.key", " \n\n"); }
  SECTION("4097 bytes") { f.key("x.key", std::string(4097, 'a')); }
  SECTION("missing") {}
  SECTION("two lines") { f.key("x.key", "a\r\nX-Other: b"); }
  SECTION("the directory itself is a link") {
    f.key("x.key", "k");
    std::filesystem::create_symlink(f.tokens, f.scratch / "link");
    CHECK(failure_of([&] {
            (void)read_arc_key((f.scratch / "link" / "x.key").string(), f.scratch / "link");
          }).condition == "ChallengeRejected");
    std::filesystem::remove(path);
  }
  CHECK(f.condition_for(path) == "ChallengeRejected");
}

TEST_CASE("a key of the Arc agent may have 4096 bytes") {
  Fixture f;
  const std::string path = f.key("x.key", std::string(4096, 'a'));
  CHECK(read_arc_key(path, f.tokens).size() == 4096);
}

TEST_CASE("an Arc agent that does not ask as it should gets nothing") {
  Fixture f;
  const std::string key = f.key("x.key", "k");
  std::string expected = "ChallengeRejected";
  SECTION("a token without a challenge") { f.world.transport.answer(200, kAnswer); }
  SECTION("no challenge") { f.world.transport.answer(401); }
  SECTION("another scheme") {
    f.world.transport.answer(401, "", {{"www-authenticate", "Bearer realm=" + key}});
  }
  SECTION("two realms") { f.challenge(key + ", realm=" + key); }
  SECTION("damaged") { f.challenge("\"" + key); }
  SECTION("no identity") {
    f.world.transport.answer(400, R"({"error":"invalid_request","error_description":"x"})");
    expected = "SystemIdentityAbsent";
  }
  SECTION("busy") {
    f.world.transport.answer(429);
    expected = "Throttled";
  }
  CHECK(failure_of([&] { f.fetch(); }).condition == expected);
  for (const test::Sent& sent : f.world.transport.requests) CHECK(sent.secret_header.empty());
}

TEST_CASE("an Arc agent that challenges a second time is not answered again") {
  Fixture f;
  f.challenge(f.key("x.key", "k"));
  CHECK(failure_of([&] { f.fetch(); }).condition == "Unexpected");
  CHECK(f.world.transport.requests.size() == 2);
}
