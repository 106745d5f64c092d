#include "keywrap/identity/challenge.h"

#include <catch2/catch.hpp>

#include "base/encoding.h"
#include "tests/unit/keywrap_identity/fixtures.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using namespace driveprep::keywrap::identity;
using test::failure_of;
using test::kTenant;

namespace {

const std::string kAuthority =
    "authorization=\"https://login.microsoftonline.com/" + kTenant + "\"";
const std::string kResource = "resource=\"https://vault.azure.net\"";

std::vector<Challenge> parse(const std::vector<std::string>& headers) {
  return parse_challenges({headers.begin(), headers.end()});
}

TokenRequest judged(const std::string& header, const std::string& host = "demo.vault.azure.net",
                    StoreKind kind = StoreKind::kVault, const std::string& tenant = "",
                    const Cloud& cloud = test::public_cloud()) {
  return validate(parse({header}), host, cloud, kind, tenant);
}

std::string condition(const std::string& header, const std::string& host = "demo.vault.azure.net",
                      StoreKind kind = StoreKind::kVault, const std::string& tenant = "") {
  return failure_of([&] { judged(header, host, kind, tenant); }).condition;
}

std::string with_resource(const std::string& resource) {
  return "Bearer " + kAuthority + ", resource=\"" + resource + "\"";
}

std::string with_authority(const std::string& authority) {
  return "Bearer authorization=\"" + authority + "\", " + kResource;
}

}  // namespace

TEST_CASE("the challenge of a vault is understood") {
  const TokenRequest request = judged("Bearer " + kAuthority + ", " + kResource);
  CHECK(request.authority == "https://login.microsoftonline.com");
  CHECK(request.tenant == kTenant);
  CHECK(request.resource == "https://vault.azure.net");
  CHECK(request.claims.empty());
}

TEST_CASE("the challenge of a managed HSM is understood") {
  const TokenRequest request =
      judged("Bearer " + kAuthority + ", resource=\"https://managedhsm.azure.net\"",
             "demo.managedhsm.azure.net", StoreKind::kManagedHsm);
  CHECK(request.resource == "https://managedhsm.azure.net");
}

TEST_CASE("order, divisions, case and spelling of a challenge do not matter") {
  const TokenRequest expected = judged("Bearer " + kAuthority + ", " + kResource);
  for (const std::string& header :
       {"Bearer " + kResource + " " + kAuthority, "Bearer " + kResource + "," + kAuthority,
        "bearer   " + kResource + "\t,, " + kAuthority + ",",
        "BEARER Authorization = \"https://login.microsoftonline.com/" + kTenant +
            "\" , RESOURCE = "
            "https://vault.azure.net",
        "Bearer authorization_uri=\"https://login.microsoftonline.com/" + kTenant +
            "/oauth2/authorize\", " + kResource,
        "Bearer " + kAuthority + ", scope=\"https://vault.azure.net/.default\"",
        "Bearer " + kAuthority + ", resource=\"https://vault.azure.net/\"",
        "Bearer " + kAuthority + ", " + kResource + ", scope=\"https://vault.azure.net/.default\"",
        "Bearer authorization=\"https:\\/\\/login.microsoftonline.com/" + kTenant + "\", " +
            kResource,
        "Bearer authorization=\"HTTPS://LOGIN.MicrosoftOnline.com:443/" + kTenant +
            "/\", resource=\"https://Vault.Azure.Net\"",
        "PoP nonce=\"a, Bearer b\", " + kAuthority + ", Bearer " + kAuthority + ", " + kResource,
        "Bearer " + kAuthority + ", " + kResource + ", PoP " + kAuthority +
            ", resource=\"https://elsewhere.example\"",
        "Basic realm=\"x\", Negotiate YWJj==, Bearer " + kAuthority + ", " + kResource}) {
    CAPTURE(header);
    CHECK(judged(header) == expected);
  }
}

TEST_CASE("of several headers the one with the Bearer challenge counts") {
  const auto challenges =
      parse({"PoP " + kAuthority + ", resource=\"https://other.example\"", "Basic realm=\"proxy\"",
             "Bearer " + kAuthority + ", " + kResource});
  REQUIRE(challenges.size() == 3);
  CHECK(validate(challenges, "demo.vault.azure.net", test::public_cloud(), StoreKind::kVault, "")
            .tenant == kTenant);
}

TEST_CASE("an older sign-in host of the cloud is accepted, and so is one of another cloud there") {
  CHECK(judged(with_authority("https://login.windows.net/" + kTenant)).authority ==
        "https://login.windows.net");
  const Cloud china = known_cloud("china").value();
  const std::string header = "Bearer authorization=\"https://login.partner.microsoftonline.cn/" +
                             kTenant + "\", resource=\"https://vault.azure.cn\"";
  CHECK(judged(header, "demo.vault.azure.cn", StoreKind::kVault, "", china).authority ==
        "https://login.partner.microsoftonline.cn");
  CHECK(condition(header, "demo.vault.azure.cn") == "ChallengeRejected");
}

TEST_CASE("a resource that is not that of the cloud's vaults is refused") {
  for (const char* resource : {"https://azure.net",
                               "https://net",
                               "https://vault.azure.net.evil.example",
                               "https://evilvault.azure.net",
                               "https://xvault.azure.net",
                               "https://vault.azure.cn",
                               "https://vault.usgovcloudapi.net",
                               "http://vault.azure.net",
                               "vault.azure.net",
                               "https://vault.azure.net:8443",
                               "https://vault.azure.net:443",
                               "https://user@vault.azure.net",
                               "https://vault.azure.net/x",
                               "https://vault.azure.net?x",
                               "https://vault.azure.net//",
                               "https://demo.vault.azure.net",
                               "https://graph.microsoft.com",
                               "https://",
                               "",
                               " "}) {
    CAPTURE(resource);
    CHECK(condition(with_resource(resource)) == "ChallengeRejected");
  }
}

TEST_CASE("a rejected challenge is rejected the second time, too") {
  for (const std::string& header : {with_resource("https://vault.azure.net.evil.example"),
                                    with_authority("https://evil.example/" + kTenant)}) {
    const auto challenges = parse({header});
    const auto judge = [&] {
      (void)validate(challenges, "demo.vault.azure.net", test::public_cloud(), StoreKind::kVault,
                     "");
    };
    const std::string first = failure_of(judge).condition;
    CHECK_FALSE(first.empty());
    CHECK(failure_of(judge).condition == first);
  }
}

TEST_CASE("a managed HSM gets no token of a vault, nor a vault one of a managed HSM") {
  const std::string vault = with_resource("https://vault.azure.net");
  const std::string hsm = with_resource("https://managedhsm.azure.net");
  CHECK(condition(vault, "demo.managedhsm.azure.net", StoreKind::kManagedHsm) ==
        "ChallengeRejected");
  CHECK(condition(hsm, "demo.vault.azure.net", StoreKind::kVault) == "ChallengeRejected");
  CHECK(condition(hsm, "demo.managedhsm.azure.net", StoreKind::kVault) == "ChallengeRejected");
  CHECK(condition(vault, "demo.managedhsm.azure.net", StoreKind::kVault) == "ChallengeRejected");
}

TEST_CASE("the host that was asked has to lie below the resource, by whole labels") {
  const std::string good = "Bearer " + kAuthority + ", " + kResource;
  for (const char* host : {"evilvault.azure.net", "vault.azure.net", "demo.vault.azure.net.",
                           "demo.vault.azure.net.evil.example", "demo.example", ""}) {
    CAPTURE(host);
    CHECK(condition(good, host) == "ChallengeRejected");
  }
  CHECK(condition(good, "DEMO.Vault.Azure.Net").empty());
}

TEST_CASE("the tokens of a custom cloud may be made for something else than its suffix") {
  Cloud cloud = test::public_cloud();
  cloud.vault_resource = "keys.example";
  const std::string own = with_resource("https://keys.example");
  CHECK(judged(own, "demo.vault.azure.net", StoreKind::kVault, "", cloud).resource ==
        "https://keys.example");
  const auto refused = [&](const std::string& header, const std::string& host) {
    return failure_of([&] { judged(header, host, StoreKind::kVault, "", cloud); }).condition;
  };
  CHECK(refused(own, "demo.keys.example") == "ChallengeRejected");
  CHECK(refused(with_resource("https://vault.azure.net"), "demo.vault.azure.net") ==
        "ChallengeRejected");
  CHECK(condition(own) == "ChallengeRejected");  // in any other cloud
}

TEST_CASE("an authority on a foreign host is not trusted") {
  for (const std::string& authority :
       {"https://evil.example/" + kTenant,
        "https://login.microsoftonline.com.evil.example/" + kTenant,
        "https://login.microsoftonline.com@evil.example/" + kTenant,
        "https://evil.example\\@login.microsoftonline.com/" + kTenant,
        "https://evil.example#login.microsoftonline.com/" + kTenant,
        "https://evillogin.microsoftonline.com/" + kTenant,
        "https://sub.login.microsoftonline.com/" + kTenant,
        "https://login.microsoftonline.us/" + kTenant,
        "http://login.microsoftonline.com/" + kTenant,
        "https://login.microsoftonline.com:8443/" + kTenant,
        "https://login.microsoftonline.com./" + kTenant, "login.microsoftonline.com/" + kTenant,
        "https:///" + kTenant, std::string(), "//login.microsoftonline.com/" + kTenant,
        "https://login%2emicrosoftonline.com/" + kTenant,
        "https://login.microsoftonline.com/" + kTenant + "?x=y"}) {
    CAPTURE(authority);
    CHECK(condition(with_authority(authority)) == "AuthorityNotTrusted");
  }
}

TEST_CASE("a tenant is a GUID, or the one that the job names") {
  const std::string host = "https://login.microsoftonline.com/";
  for (const std::string& tenant :
       {std::string(), std::string("common"), std::string("organizations"),
        std::string("contoso.onmicrosoft.com"), "{" + kTenant + "}", kTenant + "0",
        "/" + kTenant}) {
    CAPTURE(tenant);
    CHECK(condition(with_authority(host + tenant)) == "ChallengeRejected");
  }
  CHECK(judged(with_authority(host + "Contoso.OnMicrosoft.com"), "demo.vault.azure.net",
               StoreKind::kVault, "contoso.onmicrosoft.com")
            .tenant == "contoso.onmicrosoft.com");
}

TEST_CASE("a tenant other than the pinned one is a mismatch") {
  const std::string good = "Bearer " + kAuthority + ", " + kResource;
  const std::string host = "demo.vault.azure.net";
  CHECK(condition(good, host, StoreKind::kVault, kTenant).empty());
  CHECK(condition(good, host, StoreKind::kVault, "99999999-2222-3333-4444-555555555555") ==
        "TenantMismatch");
  CHECK(condition(good, host, StoreKind::kVault, "contoso.onmicrosoft.com") == "TenantMismatch");
}

TEST_CASE("a challenge that two readers could understand differently is refused") {
  for (const std::string& header :
       {"Bearer " + kAuthority + ", " + kResource + ", resource=\"https://other.example\"",
        "Bearer " + kAuthority + ", " + kAuthority + ", " + kResource,
        "Bearer " + kAuthority + ", authorization_uri=\"https://evil.example/x\", " + kResource,
        "Bearer " + kAuthority + ", " + kResource + ", scope=\"https://other.example/.default\""}) {
    CAPTURE(header);
    CHECK(condition(header) == "ChallengeRejected");
  }
}

TEST_CASE("without a usable Bearer challenge there is no sign-in") {
  for (const std::string& header :
       {std::string(), std::string("Bearer"), std::string("Basic realm=\"x\""),
        "PoP " + kAuthority + ", " + kResource, "Bearer " + kAuthority, "Bearer " + kResource,
        kAuthority + ", " + kResource, "Bearerx " + kAuthority + ", " + kResource}) {
    CAPTURE(header);
    CHECK(condition(header) == "ChallengeRejected");
  }
}

TEST_CASE("a damaged header is refused, and read to its end without harm") {
  CHECK_THROWS_AS(parse({"Bearer realm=\"no end"}), FormatError);
  CHECK_THROWS_AS(parse({"Bearer realm=\"no end\\"}), FormatError);
  CHECK_THROWS_AS(parse({"Bearer " + std::string(17'000, 'a')}), FormatError);
  CHECK_THROWS_AS(parse({std::string(9'000, 'a'), std::string(9'000, 'b')}), FormatError);
  std::string many = "Bearer ";
  for (int i = 0; i < 65; ++i) many += "a" + std::to_string(i) + "=b,";
  CHECK_THROWS_AS(parse({many}), FormatError);
  CHECK(parse({"=,=\"x\" = \"y\", = Bearer a=b"}).size() == 1);
  CHECK(parse({" , ,\t"}).empty());

  http::Response response;
  response.headers = {{"www-authenticate", "Bearer \""}};
  CHECK(failure_of([&] { (void)challenges_of(response); }).condition == "ChallengeRejected");
}

TEST_CASE("all WWW-Authenticate headers of a response are read, and no other") {
  http::Response response;
  response.headers = {{"server", "x"},
                      {"www-authenticate", "PoP a=b"},
                      {"date", "Bearer c=d"},
                      {"www-authenticate", "Bearer e=\"f\\\"g\""}};
  const auto challenges = challenges_of(response);
  REQUIRE(challenges.size() == 2);
  CHECK(challenges[0].scheme == "pop");
  CHECK(challenges[1].parameter("e") == "f\"g");
  CHECK_FALSE(challenges[1].parameter("a"));
}

TEST_CASE("a challenge for more claims hands them on") {
  const std::string claims = R"({"access_token":{"nbf":{"essential":true,"value":"1726077595"}}})";
  for (const std::string& text : {base64(as_bytes(claims)), base64url(as_bytes(claims))}) {
    const std::string header = "Bearer " + kAuthority + ", " + kResource +
                               ", error=\"insufficient_claims\", claims=\"" + text + "\"";
    CHECK(judged(header).claims == claims);
    // Without a resource only the claims can be used.
    const auto alone =
        parse({"Bearer realm=\"\", authorization_uri=\"https://login."
               "microsoftonline.com/common/oauth2/authorize\", "
               "error=\"insufficient_claims\", claims=\"" +
               text + "\""});
    CHECK(claims_of(alone) == claims);
  }
  CHECK(claims_of(parse({"Bearer " + kAuthority})).empty());
}

TEST_CASE("claims that are no JSON object in base64 are refused") {
  for (const std::string& claims :
       {std::string("!!!"), std::string("AAA"), base64(as_bytes("[]")), base64(as_bytes("x")),
        base64(as_bytes("{\"a\":1,\"a\":2}")), std::string(),
        base64(as_bytes("{\"a\":\"" + std::string(4096, 'x') + "\"}"))}) {
    CAPTURE(claims);
    CHECK(condition("Bearer " + kAuthority + ", " + kResource + ", claims=\"" + claims + "\"") ==
          "ChallengeRejected");
  }
}

TEST_CASE("a hostile challenge cannot act on the terminal or fill the screen") {
  const std::string hostile = "https://\x1b]0;x\x07" + std::string(3000, 'A');
  for (const std::string& header : {with_resource(hostile), with_authority(hostile)}) {
    const std::string message = failure_of([&] { judged(header); }).message;
    CAPTURE(message);
    CHECK(message.size() < 400);
    CHECK(message.find('\x1b') == std::string::npos);
    CHECK(message.find("AAAAAAAAAA") == std::string::npos);
  }
}
