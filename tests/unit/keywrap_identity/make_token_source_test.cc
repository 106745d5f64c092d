#include "keywrap/identity/make_token_source.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <map>

#include "tests/support/scratch.h"
#include "tests/unit/keywrap_identity/fixtures.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using namespace driveprep::keywrap::identity;
using test::contains;
using test::failure_of;
using test::kTenant;
using test::vault_request;
using Kind = http::TransportError::Kind;

namespace {

constexpr const char* kClient = "aaaaaaaa-2222-3333-4444-555555555555";
constexpr const char* kAnswer = R"({"access_token":"tok","expires_in":3599})";

struct Fixture {
  test::World world;
  test::ScratchDirectory scratch;
  std::map<std::string, std::string> variables;
  CredentialSettings settings{.source = "auto", .cloud = test::public_cloud()};
  Machine machine{[this](const std::string& name) {
                    const auto found = variables.find(name);
                    return found == variables.end() ? std::string() : found->second;
                  },
                  scratch / "tokens"};

  std::unique_ptr<TokenSource> make() { return make_token_source(settings, world.sender, machine); }
  std::string describe(const std::string& source) {
    settings.source = source;
    return make()->describe();
  }
  Token fetch() { return make()->fetch(vault_request()); }
  const std::string& url(std::size_t index) const { return world.transport.requests.at(index).url; }

  void set_workload() {
    variables["AZURE_FEDERATED_TOKEN_FILE"] = scratch.file("token", as_bytes("eyJ")).string();
    variables["AZURE_CLIENT_ID"] = kClient;
    variables["AZURE_TENANT_ID"] = kTenant;
  }
  void set_app_service() {
    variables["IDENTITY_ENDPOINT"] = "http://127.0.0.1:1/msi/token";
    variables["IDENTITY_HEADER"] = "header";
  }
  void set_arc() {
    variables["IDENTITY_ENDPOINT"] = "http://127.0.0.1:2/oauth2/token";
    variables["IMDS_ENDPOINT"] = "http://127.0.0.1:2";
  }
  void set_az() {
    const auto file = scratch.file(
        "az", as_bytes("#!/bin/sh\necho '{\"accessToken\":\"cli\",\"expires_on\":1700003600}'\n"));
    REQUIRE(::chmod(file.c_str(), 0700) == 0);
    variables["PATH"] = scratch.path().string();
  }
};

}  // namespace

TEST_CASE("each source of credentials is made by its name") {
  Fixture f;
  CHECK(f.describe("managed-identity") == "the system-assigned identity of this machine");
  f.settings.client_id = kClient;
  f.settings.secret_file = "/s";
  f.settings.certificate_file = "/c";
  f.settings.token_file = "/t";
  CHECK(f.describe("client-secret") == std::string("the client secret of ") + kClient);
  CHECK(f.describe("client-certificate") == std::string("the client certificate of ") + kClient);
  CHECK(f.describe("workload-identity") == std::string("the workload identity ") + kClient);
  CHECK(f.describe("azure-cli") == "the sign-in of the Azure CLI");
  CHECK(f.describe("managed-identity") ==
        std::string("the user-assigned identity with the client id ") + kClient +
            " of this machine");
  CHECK(f.describe("auto") == "whoever this machine is signed in as");
}

TEST_CASE("a source that is unknown or lacks a setting is refused before anything is sent") {
  Fixture f;
  const auto message = [&](const std::string& source) {
    f.settings.source = source;
    const auto failure = failure_of([&] { (void)f.make(); });
    CHECK(failure.condition == "CredentialInvalid");
    CHECK(contains(failure.remedy, "job.json"));
    return failure.message;
  };
  CHECK(contains(message("password"), "\"password\""));
  CHECK(contains(message(""), "\"\""));
  for (const char* source : {"client-secret", "client-certificate", "workload-identity"}) {
    CHECK(contains(message(source), "needs a client id"));
  }
  f.settings.client_id = kClient;
  CHECK(contains(message("client-secret"), "the file with the secret"));
  CHECK(contains(message("client-certificate"), "the file with certificate and key"));
  CHECK(contains(message("workload-identity"), "the file with the token"));
}

TEST_CASE(
    "a managed identity comes from App Service, Arc or instance metadata, as the machine is") {
  Fixture f;
  f.settings.source = "managed-identity";
  SECTION("App Service") {
    f.set_app_service();
    CHECK(contains(f.make()->describe(), "of this app"));
  }
  SECTION("App Service before Arc") {
    f.set_arc();
    f.set_app_service();
    CHECK(contains(f.make()->describe(), "of this app"));
  }
  SECTION("Arc by its variables") {
    f.set_arc();
    CHECK(contains(f.make()->describe(), "Azure Arc"));
  }
  SECTION("Arc by its agent") {
    std::filesystem::create_directory(f.scratch / "tokens");
    CHECK(contains(f.make()->describe(), "Azure Arc"));
  }
  SECTION("instance metadata at its usual address") {
    f.world.transport.answer(400).answer(200, kAnswer);
    f.fetch();
    CHECK(f.url(1).starts_with("http://169.254.169.254/"));
  }
  SECTION("instance metadata elsewhere") {
    f.variables["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = "http://127.0.0.1:3";
    f.world.transport.answer(400).answer(200, kAnswer);
    f.fetch();
    CHECK(f.url(1).starts_with("http://127.0.0.1:3/metadata/identity/oauth2/token?"));
  }
  SECTION("user-assigned") {
    f.settings.user_assigned = kClient;
    f.world.transport.answer(400).answer(200, kAnswer);
    f.fetch();
    CHECK(contains(f.url(1), std::string("&client_id=") + kClient));
  }
}

TEST_CASE("the client id of the credential wins over the identity of the job") {
  Fixture f;
  f.settings.client_id = kClient;
  f.settings.user_assigned = GENERATE("", "/subscriptions/s/resourceGroups/g/providers/x");
  SECTION("instance metadata, named or found") {
    f.settings.source = GENERATE("managed-identity", "auto");
    f.world.transport.answer(400).answer(200, kAnswer);
    f.fetch();
    CHECK(contains(f.url(1), std::string("&client_id=") + kClient));
    CHECK_FALSE(contains(f.url(1), "msi_res_id"));
  }
  SECTION("App Service") {
    f.settings.source = GENERATE("managed-identity", "auto");
    f.set_app_service();
    f.world.transport.answer(200, kAnswer);
    f.fetch();
    CHECK(contains(f.url(0), std::string("&client_id=") + kClient));
  }
}

TEST_CASE("what a managed identity cannot be is told") {
  Fixture f;
  f.settings.source = "managed-identity";
  SECTION("Service Fabric") {
    f.set_app_service();
    f.variables["IDENTITY_SERVER_THUMBPRINT"] = "00";
    CHECK(failure_of([&] { (void)f.make(); }).condition == "CredentialInvalid");
  }
  SECTION("user-assigned on Arc") {
    f.set_arc();
    f.settings.user_assigned = kClient;
    CHECK(failure_of([&] { (void)f.make(); }).condition == "UserIdentityAbsent");
  }
  SECTION("user-assigned by a name that is none") {
    f.settings.user_assigned = "mine";
    CHECK(failure_of([&] { (void)f.make(); }).condition == "UserIdentityAbsent");
  }
}

TEST_CASE("settings of workload identity come from the environment unless they are given") {
  Fixture f;
  f.settings.source = "workload-identity";
  f.set_workload();
  f.variables["AZURE_AUTHORITY_HOST"] = "https://login.windows.net/";
  f.world.transport.answer(200, kAnswer);
  f.fetch();
  CHECK(f.url(0) == "https://login.windows.net/" + kTenant + "/oauth2/v2.0/token");
  CHECK(contains(f.world.transport.requests[0].body, std::string("client_id=") + kClient));
  f.settings.client_id = "bbbbbbbb-2222-3333-4444-555555555555";
  f.settings.token_file = f.scratch.file("given", as_bytes("eyG"));
  f.fetch();
  CHECK(contains(f.world.transport.requests[1].body, "client_id=bbbbbbbb-"));
  CHECK(f.world.transport.requests[1].body.ends_with("=eyG"));
}

TEST_CASE("auto takes the first source that the environment speaks of") {
  Fixture f;
  f.set_az();
  SECTION("workload identity before all others") {
    f.set_workload();
    f.set_app_service();
    f.world.transport.answer(200, kAnswer);
    CHECK(f.fetch().value.text() == "tok");
    CHECK(f.url(0).starts_with("https://login.microsoftonline.com/"));
  }
  SECTION("workload identity needs all of its variables") {
    f.set_workload();
    f.variables.erase("AZURE_TENANT_ID");
    f.set_app_service();
    f.world.transport.answer(200, kAnswer);
    f.fetch();
    CHECK(f.url(0).starts_with("http://127.0.0.1:1/"));
  }
  SECTION("instance metadata that answers") {
    f.world.transport.answer(400).answer(200, kAnswer);
    CHECK(f.fetch().value.text() == "tok");
    CHECK(f.world.transport.requests.size() == 2);
    CHECK(f.world.transport.requests[0].timeout == std::chrono::seconds(1));
  }
  SECTION("the Azure CLI when no instance metadata answer") {
    f.world.transport.fail(Kind::kTimeout);
    CHECK(f.fetch().value.text() == "cli");
    CHECK(f.world.transport.requests.size() == 1);
  }
}

TEST_CASE("auto stays with the source that it has chosen, and its failures are told") {
  Fixture f;
  f.set_az();
  f.world.transport.answer(400).answer(
      400, R"({"error":"invalid_request","error_description":"Identity not found"})");
  const auto source = f.make();
  CHECK(failure_of([&] { (void)source->fetch(vault_request()); }).condition ==
        "SystemIdentityAbsent");
  CHECK(failure_of([&] { (void)source->fetch(vault_request()); }).condition ==
        "SystemIdentityAbsent");
  CHECK(source->describe() == "the system-assigned identity of this machine");
}

TEST_CASE("auto without any source lists what was tried and why it did not do") {
  Fixture f;
  f.variables["AZURE_FEDERATED_TOKEN_FILE"] = "/t";
  f.variables["PATH"] = "/nowhere";
  f.world.transport.fail(Kind::kTimeout);
  const auto source = f.make();
  const auto failure = failure_of([&] { (void)source->fetch(vault_request()); });
  CHECK(failure.condition == "CredentialInvalid");
  CHECK(contains(failure.message, "workload identity: AZURE_CLIENT_ID is not set"));
  CHECK(contains(failure.message, "IDENTITY_ENDPOINT is not set"));
  CHECK(contains(failure.message, "no instance metadata, scripted failure"));
  CHECK(contains(failure.message, "az is in no directory of PATH"));
  CHECK(contains(failure.remedy, "az login"));
  // Signed in meanwhile: the next request finds it.
  f.set_az();
  CHECK(source->fetch(vault_request()).value.text() == "cli");
}
