#include "keywrap/pkcs11/pkcs11_uri.h"

#include <catch2/catch.hpp>

#include "keywrap/key_error.h"

namespace driveprep::keywrap::pkcs11 {
namespace {

std::string text_of(const std::optional<Bytes>& bytes) {
  return bytes ? std::string(as_text(*bytes)) : "(none)";
}

// The message of the KeyError that parsing throws.
std::string refusal_of(const std::string& text) {
  try {
    (void)Pkcs11Uri::parse(text);
  } catch (const KeyError& error) {
    CHECK(error.condition() == Condition::kUriInvalid);
    CHECK_FALSE(error.remedy().empty());
    return error.what();
  }
  return "";
}

TEST_CASE("a PIN in an identifier is in no message") {
  for (const char* uri : {"pkcs11:object=o?pin-value=123456", "pkcs11:object=o;pin-value=123456",
                          " pkcs11:object=o?pin-value=123456", "x;pin-value=123456"}) {
    CAPTURE(uri);
    const std::string message = refusal_of(uri);
    CHECK_FALSE(message.empty());
    CHECK(message.find("123456") == std::string::npos);
  }
}

// Section 3 of RFC 7512.
TEST_CASE("the examples of RFC 7512 are read") {
  const Pkcs11Uri token = Pkcs11Uri::parse(
      "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;"
      "model=1.0;object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial="
      "?pin-source=file:/etc/token_pin");
  CHECK(token.token == "The Software PKCS#11 Softtoken");
  CHECK(token.manufacturer == "Snake Oil, Inc.");
  CHECK(token.model == "1.0");
  CHECK(token.serial == "");
  CHECK(token.object == "my-certificate");
  CHECK(token.type == "private");
  CHECK(text_of(token.id) == "\x69\x95\x3E\x5C\xF4\xBD\xEC\x91");
  CHECK(token.pin_source == "/etc/token_pin");

  const Pkcs11Uri slot = Pkcs11Uri::parse(
      "pkcs11:slot-description=Sun%20Metaslot;slot-manufacturer=Acme;slot-id=327;"
      "library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;"
      "library-version=1.23;object=my-key");
  CHECK(slot.slot_description == "Sun Metaslot");
  CHECK(slot.slot_manufacturer == "Acme");
  CHECK(slot.slot_id == 327u);
  CHECK(slot.library_manufacturer == "Snake Oil, Inc.");
  CHECK(slot.library_description == "Soft Token Library");
  CHECK(slot.library_version == "1.23");

  CHECK(Pkcs11Uri::parse("pkcs11:") == Pkcs11Uri());
  CHECK(Pkcs11Uri::parse("PKCS11:?") == Pkcs11Uri());
  CHECK(Pkcs11Uri::parse("pkcs11:object=my-pubkey;type=public").type == "public");
  // Characters that may stand there as they are, and others that must not.
  CHECK(Pkcs11Uri::parse("pkcs11:token=Software%20PKCS%2311%20softtoken;object=a:[]@!$'()*+,=&b")
            .object == "a:[]@!$'()*+,=&b");
}

TEST_CASE("pin-source is a file, however it is written") {
  for (const char* written : {"file:/run/pin", "/run/pin", "file:///run/pin",
                              "file://localhost/run/pin", "FILE:/run/pin", "file:%2Frun%2Fpin"}) {
    CAPTURE(written);
    CHECK(Pkcs11Uri::parse(std::string("pkcs11:?pin-source=") + written).pin_source == "/run/pin");
  }
  CHECK(refusal_of("pkcs11:?pin-source=|/usr/lib/pinomatic").find("program") != std::string::npos);
  CHECK_FALSE(refusal_of("pkcs11:?pin-source=pin").empty());
  CHECK_FALSE(refusal_of("pkcs11:?pin-source=file:pin").empty());
  CHECK_FALSE(refusal_of("pkcs11:?pin-source=file://host/pin").empty());
  CHECK_FALSE(refusal_of("pkcs11:?pin-source=").empty());
}

TEST_CASE("a PIN in the URI is refused and not repeated") {
  for (const char* text :
       {"pkcs11:object=k?pin-value=s3cret", "pkcs11:object=k?module-path=/x&pin-value=s3cret",
        "pkcs11:object=k?pin-value=s3cret&pin-value=s3cret", "pkcs11:object=k?pin-value=%"}) {
    CAPTURE(text);
    const std::string refusal = refusal_of(text);
    CHECK(refusal.find("pin-value") != std::string::npos);
    CHECK(refusal.find("s3cret") == std::string::npos);
  }
}

TEST_CASE("equal URIs have one text") {
  const std::string text = "pkcs11:token=A%20b;serial=9f1a;object=kek;id=%01%AB";
  CHECK(Pkcs11Uri::parse(text).to_string() == text);
  CHECK(Pkcs11Uri::parse("pkcs11:id=%01%ab;object=%6Bek;serial=9f1a;token=A%20b").to_string() ==
        text);
  const std::string whole =
      "pkcs11:object=a%3Bb%3F%2F?module-path=/usr/lib/a%20b.so"
      "&pin-source=file:///run/pin";
  CHECK(Pkcs11Uri::parse(whole).to_string() == whole);
  CHECK(Pkcs11Uri::parse(whole).object == "a;b?/");
  CHECK(Pkcs11Uri::parse(whole).has_query());
}

TEST_CASE("what is no PKCS#11 URI, or is not done here, is refused") {
  const auto bad = GENERATE(
      as<std::string>(), "", "pkcs11", "pkcs12:", " pkcs11:", "https://x/", "pkcs11:object",
      "pkcs11:object=a;", "pkcs11:;object=a", "pkcs11:object=a;;token=b", "pkcs11:=a",
      "pkcs11:object=a;object=a", "pkcs11:id=%01;id=%01", "pkcs11:object=a b", "pkcs11:object=a/b",
      "pkcs11:object=a#b", "pkcs11:object=%", "pkcs11:object=%2", "pkcs11:object=%2g",
      "pkcs11:object=%00", "pkcs11:object=\xC3\xBC", "pkcs11:slot-id=", "pkcs11:slot-id=1x",
      "pkcs11:slot-id=-1", "pkcs11:slot-id=99999999999999999999999", "pkcs11:type=cert",
      "pkcs11:type=secret-key", "pkcs11:nonsense=a", "pkcs11:x-vendor=a", "pkcs11:Object=a",
      "pkcs11:pin-source=/a", "pkcs11:?object=a", "pkcs11:?module-path=a.so",
      "pkcs11:?module-path=", "pkcs11:?module-name=softhsm2", "pkcs11:?x=y", "pkcs11:?a",
      "pkcs11:n\xC3\xBCl=%", "pkcs11:?\x1B[2J=%", "pkcs11:?module-path=/a&module-path=/a",
      "pkcs11:?module-path=/a;b=c");
  CAPTURE(bad);
  CHECK_FALSE(refusal_of(bad).empty());
}

TEST_CASE("a URI that is too long is refused") {
  CHECK(refusal_of("pkcs11:object=" + std::string(4082, 'a')).empty());
  CHECK_FALSE(refusal_of("pkcs11:object=" + std::string(4083, 'a')).empty());
}

}  // namespace
}  // namespace driveprep::keywrap::pkcs11
