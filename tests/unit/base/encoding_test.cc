#include "base/encoding.h"

#include <array>
#include <catch2/catch.hpp>

using namespace driveprep;

namespace {

Bytes bytes_of(std::string_view text) {
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

}  // namespace

TEST_CASE("secrets in base64url never leave locked memory, and read as the others do") {
  for (const std::string_view text : {"", "f", "fo", "foo", "foob", "\xFF\xFE\xFD"}) {
    const SecretBytes encoded = secret_base64url(as_bytes(text));
    CHECK(encoded.text() == base64url(as_bytes(text)));
    const auto decoded = secret_from_base64url(encoded.text());
    REQUIRE(decoded);
    CHECK(decoded->text() == text);
  }
  for (const std::string_view bad : {"A", "Zg==", "Zh", "Zm 9", "Zm+v"}) {
    CHECK_FALSE(secret_from_base64url(bad));
  }
}

TEST_CASE("hexadecimal is written in the case asked for and read in either") {
  const Bytes bytes = {std::byte{0x00}, std::byte{0x7F}, std::byte{0xAB}, std::byte{0xFF}};
  CHECK(hex_lower(bytes) == "007fabff");
  CHECK(hex_upper(bytes) == "007FABFF");
  CHECK(from_hex("007fABff") == bytes);
  CHECK(from_hex("") == Bytes());
}

TEST_CASE("hexadecimal text fills exactly the bytes that are asked for") {
  std::array<std::byte, 2> bytes{};
  CHECK(from_hex("0aFF", bytes));
  CHECK(bytes == std::array{std::byte{0x0A}, std::byte{0xFF}});
  for (const char* text : {"", "0a", "0aF", "0aFF0", "0aFF00", "0aFg"}) {
    CAPTURE(text);
    CHECK_FALSE(from_hex(text, bytes));
  }
}

TEST_CASE("hexadecimal of odd length or with another character is refused") {
  for (const char* text : {"0", "0g", "0 ", "0x12", "-1", "\xC3\xA4"}) {
    CAPTURE(text);
    CHECK_FALSE(from_hex(text).has_value());
  }
}

TEST_CASE("base64 gives the vectors of RFC 4648 section 10") {
  const auto [plain, encoded] = GENERATE(table<std::string, std::string>({
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
  }));
  CHECK(base64(as_bytes(plain)) == encoded);
  CHECK(from_base64(encoded) == bytes_of(plain));
  const std::string unpadded = encoded.substr(0, encoded.find('='));
  CHECK(base64url(as_bytes(plain)) == unpadded);
  CHECK(from_base64url(unpadded) == bytes_of(plain));
}

TEST_CASE("the two alphabets differ in the last two characters only") {
  const Bytes bytes = {std::byte{0xFB}, std::byte{0xEF}, std::byte{0xFF}};
  CHECK(base64(bytes) == "++//");
  CHECK(base64url(bytes) == "--__");
  CHECK_FALSE(from_base64("--__").has_value());
  CHECK_FALSE(from_base64url("++//").has_value());
}

TEST_CASE("base64url refuses padding, white space and bits that mean nothing") {
  for (const char* text : {"Zg==", "Zm9v ", "Zm\n9v", "Z", "Zh", "Zm9"}) {
    CAPTURE(text);
    CHECK_FALSE(from_base64url(text).has_value());
  }
}

TEST_CASE("base64 refuses missing, surplus and misplaced padding") {
  for (const char* text : {"Zg", "Zg=", "Z===", "====", "=Zg=", "Zg==Zg==", "Zh=="}) {
    CAPTURE(text);
    CHECK_FALSE(from_base64(text).has_value());
  }
}

TEST_CASE("every length up to 300 comes back as it was") {
  Bytes bytes;
  for (int length = 0; length < 300; ++length) {
    REQUIRE(from_base64(base64(bytes)) == bytes);
    REQUIRE(from_base64url(base64url(bytes)) == bytes);
    REQUIRE(from_hex(hex_lower(bytes)) == bytes);
    bytes.push_back(static_cast<std::byte>(length * 37));
  }
}
