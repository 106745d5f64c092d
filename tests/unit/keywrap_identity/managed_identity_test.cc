#include <catch2/catch.hpp>

#include "keywrap/identity/app_service.h"
#include "keywrap/identity/instance_metadata.h"
#include "tests/unit/keywrap_identity/fixtures.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using namespace driveprep::keywrap::identity;
using std::chrono::seconds;
using test::contains;
using test::failure_of;
using test::vault_request;
using Kind = http::TransportError::Kind;

namespace {

// As in the documentation of instance metadata.
constexpr const char* kAnswer =
    R"({"access_token":"eyJ0eXAi","refresh_token":"","expires_in":"3599",
    "expires_on":"1700003599","not_before":"1506480273","resource":"https://vault.azure.net",
    "token_type":"Bearer"})";
constexpr const char* kNotFound =
    R"({"error":"invalid_request","error_description":"Identity not found"})";
constexpr const char* kClientId = "aaaaaaaa-2222-3333-4444-555555555555";
constexpr const char* kResourceId =
    "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/"
    "userAssignedIdentities/me";

// Of a machine whose service answers the probe.
struct Fixture {
  test::World world;
  Fixture() { world.transport.answer(400, R"({"error":"bad_request_102"})"); }

  Token fetch(const std::string& identity = "", const std::string& host = "") {
    return InstanceMetadataSource(ManagedIdentity::parse(identity), host, world.sender)
        .fetch(vault_request());
  }
  std::string condition(const std::string& identity = "") {
    return failure_of([&] { fetch(identity); }).condition;
  }
  const std::vector<test::Sent>& requests() const { return world.transport.requests; }
};

}  // namespace

TEST_CASE("instance metadata gives a token for the system-assigned identity") {
  Fixture f;
  f.world.transport.answer(200, kAnswer);
  const Token token = f.fetch();
  CHECK(token.value.text() == "eyJ0eXAi");
  CHECK(token.expires == test::kNow + 3599);
  REQUIRE(f.requests().size() == 2);
  CHECK(f.requests()[0].headers.empty());
  CHECK(f.requests()[0].timeout == seconds(1));
  CHECK(f.requests()[1].url ==
        "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&"
        "resource=https%3A%2F%2Fvault.azure.net");
  CHECK(f.requests()[1].has_header("Metadata", "true"));
  CHECK(f.requests()[1].method == http::Method::kGet);
}

TEST_CASE("no request to an endpoint of the machine may go through a proxy") {
  Fixture f;
  f.world.transport.answer(503).answer(200, kAnswer);
  f.fetch();
  REQUIRE(f.requests().size() == 3);
  for (const test::Sent& sent : f.requests()) CHECK(sent.local_endpoint);

  test::World app;
  app.transport.answer(200, kAnswer);
  (void)AppServiceSource({}, "http://127.0.0.1:41741/msi/token", SecretBytes::copy_of("h"),
                         app.sender)
      .fetch(vault_request());
  CHECK(app.transport.requests.at(0).local_endpoint);
}

TEST_CASE("a user-assigned identity is asked for by the name that the job gives") {
  Fixture f;
  f.world.transport.answer(200, kAnswer);
  SECTION("client id") {
    f.fetch("AAAAAAAA-2222-3333-4444-555555555555");
    CHECK(f.requests()[1].url.ends_with(std::string("&client_id=") + kClientId));
  }
  SECTION("resource id") {
    f.fetch(kResourceId);
    CHECK(f.requests()[1].url.ends_with(
        "&msi_res_id=%2Fsubscriptions%2Fs%2Fresourcegroups%2Fg%2Fproviders%2F"
        "Microsoft.ManagedIdentity%2FuserAssignedIdentities%2Fme"));
  }
  SECTION("neither") {
    CHECK(f.condition("my-identity") == "UserIdentityAbsent");
    CHECK(f.requests().empty());
  }
}

TEST_CASE("another address of instance metadata can be set, with or without a slash") {
  Fixture f;
  f.world.transport.answer(200, kAnswer);
  f.fetch("", GENERATE("http://127.0.0.1:8000", "http://127.0.0.1:8000/"));
  CHECK(f.requests()[1].url.starts_with(
      "http://127.0.0.1:8000/metadata/identity/oauth2/token?api-version=2018-02-01&resource="));
}

TEST_CASE("an address of instance metadata that is no http URL is refused") {
  Fixture f;
  for (const char* host :
       {"https://127.0.0.1", "127.0.0.1", "file:///etc/shadow", "http://a@b", "http://a b"}) {
    CAPTURE(host);
    const auto failure = failure_of([&] { f.fetch("", host); });
    CHECK(failure.condition == "CredentialInvalid");
    CHECK(contains(failure.message, "AZURE_POD_IDENTITY_AUTHORITY_HOST"));
  }
  CHECK(f.requests().empty());
}

TEST_CASE("an identity that the machine does not have is told by its kind") {
  Fixture f;
  SECTION("system-assigned") {
    f.world.transport.answer(400, kNotFound);
    CHECK(f.condition() == "SystemIdentityAbsent");
  }
  SECTION("user-assigned") {
    f.world.transport.answer(400, kNotFound);
    const auto failure = failure_of([&] { f.fetch(kClientId); });
    CHECK(failure.condition == "UserIdentityAbsent");
    CHECK(contains(failure.message, "Identity not found"));
    CHECK(contains(failure.message, kClientId));
    CHECK(failure.evidence.http_status == 400);
  }
  SECTION("several, none of them named") {
    f.world.transport.answer(
        400, R"({"error":"invalid_request","error_description":"Multiple user assigned identities )"
             R"(exist, please specify the clientId / resourceId of the identity"})");
    CHECK(f.condition() == "SystemIdentityAbsent");
  }
  SECTION("empty body") {
    f.world.transport.answer(400);
    CHECK(f.condition() == "SystemIdentityAbsent");
  }
  SECTION("user-assigned, another fault") {
    f.world.transport.answer(400, R"({"error":"invalid_request","error_description":"no"})");
    CHECK(f.condition(kClientId) == "Unexpected");
  }
  SECTION("wrong resource") {
    f.world.transport.answer(400, R"({"error":"invalid_resource",
        "error_description":"AADSTS500011: The resource principal was not found"})");
    CHECK(f.condition() == "TenantMismatch");
    CHECK(f.condition(kClientId) == "CrossTenantIdentity");
  }
  SECTION("limit of identities") {
    f.world.transport.answer(
        400, R"({"error":"SsemUserErrorUserAssignedLimitReached","error_description":"x"})");
    CHECK(f.condition() == "IdentityLimit");
  }
}

TEST_CASE("410 of instance metadata is repeated for at least 70 seconds in all") {
  const int status = GENERATE(404, 410);
  Fixture f;
  f.world.transport.answer(status);
  CHECK(f.condition() == "Unexpected");
  CHECK(f.world.slept >= seconds(70));
  CHECK(f.world.slept < seconds(100));
}

TEST_CASE("a token that comes after a minute of 404 and 410 is taken") {
  Fixture f;
  f.world.transport.answer(404).answer(410).answer(410).answer(410).answer(410).answer(410).answer(
      200, kAnswer);
  CHECK(f.fetch().value.text() == "eyJ0eXAi");
  CHECK(f.world.slept == seconds(1 + 2 + 4 + 8 + 16 + 16));
}

TEST_CASE("instance metadata that is busy or fails is asked again for half a minute") {
  Fixture f;
  SECTION("and comes back") {
    f.world.transport.answer(429).answer(500).answer(503).answer(200, kAnswer);
    CHECK(f.fetch().value.text() == "eyJ0eXAi");
    CHECK(f.world.slept == seconds(1 + 2 + 4));
  }
  SECTION("and stays busy") {
    f.world.transport.answer(429);
    CHECK(f.condition() == "Throttled");
    CHECK(f.world.slept == seconds(31));
  }
  SECTION("and stays away") {
    f.world.transport.answer(500);
    CHECK(f.condition() == "Unavailable");
    CHECK(f.world.slept == seconds(31));
  }
  SECTION("and says how long") {
    f.world.transport.answer(429, "", {{"retry-after", "5"}}).answer(200, kAnswer);
    f.fetch();
    CHECK(f.world.slept == seconds(5));
  }
  SECTION("and breaks off") {
    f.world.transport.fail(Kind::kNotConnected).answer(200, kAnswer);
    CHECK(f.fetch().value.text() == "eyJ0eXAi");
  }
}

TEST_CASE("400, 401, 403 and redirects of instance metadata are not repeated") {
  Fixture f;
  f.world.transport.answer(GENERATE(400, 401, 403, 302));
  CHECK_FALSE(f.condition().empty());
  CHECK(f.requests().size() == 2);
  CHECK(f.world.slept == seconds(0));
}

TEST_CASE("a machine without instance metadata is told after three probes of a second") {
  test::World world;
  world.transport.fail(Kind::kTimeout);
  InstanceMetadataSource source({}, "", world.sender);
  const auto failure = failure_of([&] { (void)source.fetch(vault_request()); });
  CHECK(failure.condition == "Unavailable");
  CHECK(contains(failure.message, "no instance metadata service"));
  CHECK(world.transport.requests.size() == 3);
  for (const test::Sent& sent : world.transport.requests) CHECK(sent.timeout == seconds(1));
}

TEST_CASE("a stand-in that says the network is unreachable is no instance metadata") {
  test::World world;
  world.transport.answer(403, "A socket operation was attempted to an Unreachable network");
  InstanceMetadataSource source({}, "", world.sender);
  CHECK_FALSE(source.probe().empty());
}

TEST_CASE("App Service gives a token against the header of its environment") {
  test::World world;
  world.transport.answer(200, R"({"access_token":"app","expires_on":"1700001000",
                                  "resource":"https://vault.azure.net","token_type":"Bearer",
                                  "client_id":"5E29463D-71DA-4FE0-8E69-999B57DB23B0"})");
  const auto fetch = [&](const ManagedIdentity& identity) {
    return AppServiceSource(identity, "http://127.0.0.1:41741/msi/token/",
                            SecretBytes::copy_of("853b9a84"), world.sender)
        .fetch(vault_request());
  };
  const Token token = fetch({});
  CHECK(token.value.text() == "app");
  CHECK(token.expires == 1700001000);
  (void)fetch(ManagedIdentity::parse(kClientId));
  (void)fetch(ManagedIdentity::parse(kResourceId));
  const auto& requests = world.transport.requests;
  CHECK(requests[0].url ==
        "http://127.0.0.1:41741/msi/token/?api-version=2019-08-01&"
        "resource=https%3A%2F%2Fvault.azure.net");
  CHECK(requests[0].secret_header == "X-IDENTITY-HEADER: 853b9a84");
  CHECK(requests[1].url.ends_with(std::string("&client_id=") + kClientId));
  CHECK(contains(requests[2].url, "&mi_res_id=%2Fsubscriptions"));
}

TEST_CASE("App Service that repeats its header does not have it printed") {
  test::World world;
  world.transport.answer(400, R"({"statusCode":400,"message":"the header h3ad\/er+1 is bad"})");
  const auto failure = failure_of([&] {
    (void)AppServiceSource({}, "http://localhost/x", SecretBytes::copy_of("h3ad/er+1"),
                           world.sender)
        .fetch(vault_request());
  });
  CHECK(contains(failure.message, "the header ********** is bad"));
}

TEST_CASE("App Service without the identity is told by its kind, and busy it is asked again") {
  test::World world;
  const auto condition = [&](const std::string& identity) {
    return failure_of([&] {
             (void)AppServiceSource(ManagedIdentity::parse(identity), "http://localhost/x",
                                    SecretBytes::copy_of("h"), world.sender)
                 .fetch(vault_request());
           })
        .condition;
  };
  SECTION("user-assigned") {
    world.transport.answer(400,
                           R"({"statusCode":400,"message":"No User Assigned or Delegated Managed )"
                           R"(Identity found for specified ClientId/ResourceId/PrincipalId."})");
    CHECK(condition(kClientId) == "UserIdentityAbsent");
  }
  SECTION("system-assigned") {
    world.transport.answer(400, R"({"statusCode":400,"message":"No MSI found"})");
    CHECK(condition("") == "SystemIdentityAbsent");
  }
  SECTION("busy") {
    world.transport.answer(429);
    CHECK(condition("") == "Throttled");
    CHECK(world.slept == seconds(31));
  }
  SECTION("missing") {
    world.transport.answer(404);
    CHECK(condition("") == "Unexpected");
    CHECK(world.slept == seconds(0));
  }
  SECTION("refused connections") {
    world.transport.fail(Kind::kNotConnected);
    CHECK(condition("") == "Unavailable");
    CHECK(world.slept == seconds(7));
  }
}
