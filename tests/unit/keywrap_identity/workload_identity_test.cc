#include "keywrap/identity/workload_identity.h"

#include <catch2/catch.hpp>

#include "tests/support/scratch.h"
#include "tests/unit/keywrap_identity/fixtures.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using namespace driveprep::keywrap::identity;
using test::failure_of;
using test::kTenant;
using test::vault_request;

namespace {

constexpr const char* kClient = "aaaaaaaa-2222-3333-4444-555555555555";

struct Fixture {
  test::World world;
  test::ScratchDirectory scratch;
  std::filesystem::path file = scratch.file("token", as_bytes("eyJ.first.sig\n"));

  Fixture() { world.transport.answer(200, R"({"access_token":"tok","expires_in":"3599"})"); }

  WorkloadIdentitySource source(const std::string& authority = "") {
    return {{kClient, kTenant}, file, authority, test::public_cloud(), world.sender};
  }
};

}  // namespace

TEST_CASE("the token of the orchestrator is the assertion, and is read anew each time") {
  Fixture f;
  // As Kubernetes mounts it: a link, readable for a group.
  std::filesystem::permissions(f.file, std::filesystem::perms(0644));
  std::filesystem::create_symlink(f.file, f.scratch / "link");
  f.file = f.scratch / "link";
  WorkloadIdentitySource source = f.source();
  CHECK(source.fetch(vault_request()).value.text() == "tok");
  std::filesystem::remove(f.scratch / "token");
  f.scratch.file("token", as_bytes("eyJ.second.sig"));
  (void)source.fetch(vault_request());
  CHECK(f.world.transport.requests[0].body.ends_with("&client_assertion=eyJ.first.sig"));
  CHECK(f.world.transport.requests[1].body.ends_with("&client_assertion=eyJ.second.sig"));
  CHECK(f.world.transport.requests[0].url ==
        "https://login.microsoftonline.com/" + kTenant + "/oauth2/v2.0/token");
}

TEST_CASE("the authority of the environment is used if it belongs to the cloud") {
  Fixture f;
  (void)f.source("https://login.windows.net/").fetch(vault_request());
  CHECK(f.world.transport.requests.at(0).url ==
        "https://login.windows.net/" + kTenant + "/oauth2/v2.0/token");
  for (const char* foreign : {"https://evil.example/", "http://login.microsoftonline.com/",
                              "https://login.microsoftonline.us/"}) {
    CAPTURE(foreign);
    CHECK(failure_of([&] { (void)f.source(foreign).fetch(vault_request()); }).condition ==
          "AuthorityNotTrusted");
  }
  CHECK(f.world.transport.requests.size() == 1);
}

TEST_CASE("a vault of another tenant gets no token of the workload") {
  Fixture f;
  TokenRequest request = vault_request();
  request.tenant = "99999999-2222-3333-4444-555555555555";
  CHECK(failure_of([&] { (void)f.source().fetch(request); }).condition == "TenantMismatch");
}

TEST_CASE("a token of the orchestrator that is not there is told by its file") {
  Fixture f;
  SECTION("missing") { f.file = f.scratch / "missing"; }
  SECTION("directory") { f.file = f.scratch.path(); }
  SECTION("empty") { f.file = f.scratch.file("empty", {}); }
  const auto failure = failure_of([&] { (void)f.source().fetch(vault_request()); });
  CHECK(failure.condition == "CredentialInvalid");
  CHECK(test::contains(failure.message, f.file.string()));
  CHECK(f.world.transport.requests.empty());
}
