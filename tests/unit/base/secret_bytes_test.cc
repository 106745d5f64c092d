#include "base/secret_bytes.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <sstream>
#include <type_traits>

using namespace driveprep;

namespace {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

}  // namespace

TEST_CASE("a secret can be moved, but neither copied nor printed") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<SecretBytes>);
  STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<SecretBytes>);
  STATIC_REQUIRE_FALSE(Printable<SecretBytes>);
  STATIC_REQUIRE(std::is_nothrow_move_constructible_v<SecretBytes>);
}

TEST_CASE("moving leaves the source empty") {
  SecretBytes first = SecretBytes::copy_of("correct horse");
  SecretBytes second = std::move(first);
  CHECK(first.empty());
  CHECK((second.text() == "correct horse"));
  SecretBytes third;
  third = std::move(second);
  CHECK((third.text() == "correct horse"));
}

TEST_CASE("secrets compare by contents, and different sizes are different") {
  CHECK((SecretBytes::copy_of("abc") == SecretBytes::copy_of("abc")));
  CHECK_FALSE((SecretBytes::copy_of("abc") == SecretBytes::copy_of("abd")));
  CHECK_FALSE((SecretBytes::copy_of("abc") == SecretBytes::copy_of("ab")));
  CHECK((SecretBytes() == SecretBytes(0)));
}

TEST_CASE("what is cut off is wiped at once") {
  SecretBytes secret = SecretBytes::copy_of("abcdef");
  const std::byte* memory = secret.span().data();
  secret.truncate(2);
  CHECK((secret.text() == "ab"));
  for (int i = 2; i < 6; ++i) CHECK(memory[i] == std::byte{0});
  CHECK_THROWS_AS(secret.truncate(3), Error);
}

TEST_CASE("new secrets are zero, random ones are not and do not repeat") {
  CHECK((SecretBytes(3).text() == std::string_view("\0\0\0", 3)));
  const SecretBytes one = SecretBytes::random(32);
  CHECK_FALSE((one == SecretBytes::random(32)));
  CHECK_FALSE((one == SecretBytes(32)));
  CHECK((one.clone() == one));
}

TEST_CASE("wiping leaves zeros") {
  Bytes bytes(8, std::byte{1});
  wipe(bytes);
  CHECK(bytes == Bytes(8));
  std::string text = "a secret that is longer than the small buffer of a string";
  wipe(text);
  CHECK(text.empty());
}

TEST_CASE("a protected process leaves no core and keeps secrets in the arena") {
  const SecretMemory memory = protect_process_memory();
  if (memory == SecretMemory::kNotLocked) WARN("the limit for locked memory is too small here");
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_CORE, &limit) == 0);
  CHECK(limit.rlim_cur == 0);
  CHECK((SecretBytes::copy_of("in the arena").text() == "in the arena"));
}

TEST_CASE("more than the arena holds is refused with a remedy") {
  protect_process_memory();
  try {
    SecretBytes(64 * 1024 * 1024);
    FAIL("not thrown");
  } catch (const Error& error) {
    CHECK(error.code() == "secret-memory-exhausted");
    CHECK(error.kind() == ErrorKind::kKey);
    CHECK_FALSE(error.remedy().empty());
  }
}
