#include "base/guid.h"

#include <catch2/catch.hpp>
#include <set>

#include "base/encoding.h"

using namespace driveprep;

TEST_CASE("the first three fields of a GUID are little-endian on disk") {
  const auto guid = Guid::parse("4967d63b-2e29-4ad8-8399-f6a339e3d001");
  REQUIRE(guid.has_value());
  CHECK(hex_lower(guid->on_disk()) == "3bd66749292ed84a8399f6a339e3d001");
  CHECK(guid->lower() == "4967d63b-2e29-4ad8-8399-f6a339e3d001");
  CHECK(guid->upper() == "4967D63B-2E29-4AD8-8399-F6A339E3D001");
  CHECK(Guid::from_disk(guid->on_disk()) == *guid);
  CHECK(Guid::parse("{4967D63B-2e29-4ad8-8399-F6A339E3D001}") == guid);
}

TEST_CASE("what is not a GUID is refused") {
  for (const char* text : {
           "", "{}", "4967d63b-2e29-4ad8-8399-f6a339e3d00", "4967d63b-2e29-4ad8-8399-f6a339e3d0011",
           "4967d63b2e294ad88399f6a339e3d001", "4967d63b-2e29-4ad8-8399-f6a339e3d00g",
           "{4967d63b-2e29-4ad8-8399-f6a339e3d001", "4967d63b-2e29-4ad8-8399f-6a339e3d001",
           "(4967d63b-2e29-4ad8-8399-f6a339e3d001)"}) {
    CAPTURE(text);
    CHECK_FALSE(Guid::parse(text).has_value());
  }
  CHECK_THROWS_AS(Guid::from_disk(Bytes(15)), FormatError);
}

TEST_CASE("random GUIDs are of version 4 and do not repeat") {
  std::set<Guid> seen;
  for (int i = 0; i < 1000; ++i) {
    const Guid guid = Guid::random();
    const std::string text = guid.lower();
    CHECK(text[14] == '4');
    CHECK(std::string("89ab").find(text[19]) != std::string::npos);
    seen.insert(guid);
  }
  CHECK(seen.size() == 1000);
}
