#include "base/digest.h"

#include <catch2/catch.hpp>

#include "base/encoding.h"

using namespace driveprep;

TEST_CASE("digests are those of RFC 1321 and FIPS 180-4") {
  CHECK(hex_lower(md5({})) == "d41d8cd98f00b204e9800998ecf8427e");
  CHECK(hex_lower(md5(as_bytes("abc"))) == "900150983cd24fb0d6963f7d28e17f72");
  CHECK(hex_lower(sha256({})) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex_lower(sha256(as_bytes("abc"))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a digest in pieces is the digest of the whole") {
  Digest md5_pieces(Digest::Algorithm::kMd5);
  Digest sha_pieces(Digest::Algorithm::kSha256);
  for (const char* piece : {"", "a", "b", "c"}) {
    md5_pieces.update(as_bytes(piece));
    sha_pieces.update(as_bytes(piece));
  }
  Digest moved = std::move(sha_pieces);
  CHECK(hex_lower(md5_pieces.finish()) == hex_lower(md5(as_bytes("abc"))));
  CHECK(hex_lower(moved.finish()) == hex_lower(sha256(as_bytes("abc"))));
}
