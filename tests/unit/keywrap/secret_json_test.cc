#include "keywrap/secret_json.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "keywrap/strict_json.h"

namespace driveprep::keywrap {
namespace {

TEST_CASE("what the secret writer writes is read as the same values by another reader") {
  const unsigned indent = GENERATE(0U, 2U);
  const std::string odd = "a\"b\\c\n\x01\x1f/\xC3\xA9";
  const std::string large(5000, 'x');
  SecretJsonWriter writer(indent);
  writer.begin_object().member("text", odd).member("large", large).key("list").begin_array();
  writer.integer(-5).boolean(true).boolean(false).begin_object().end_object();
  writer.begin_array().end_array().end_array();
  writer.key("nested").begin_object().member(odd, "value").end_object().end_object();
  const SecretBytes text = writer.finish();
  const auto read = nlohmann::json::parse(text.text());
  const nlohmann::json expected = {
      {"text", odd},
      {"large", large},
      {"list", {-5, true, false, nlohmann::json::object(), nlohmann::json::array()}},
      {"nested", {{odd, "value"}}}};
  CHECK(read == expected);
  // nlohmann keeps no order of its own for equality; the writer's order shows in the text.
  CHECK(text.text().find("\"text\"") < text.text().find("\"large\""));
}

TEST_CASE("a document that is not finished is a bug that is told") {
  SecretJsonWriter open;
  open.begin_object();
  CHECK_THROWS_AS(open.finish(), Error);
  SecretJsonWriter keyless;
  keyless.begin_object();
  CHECK_THROWS_AS(keyless.string("x"), Error);
  SecretJsonWriter crossed;
  crossed.begin_object();
  CHECK_THROWS_AS(crossed.end_array(), Error);
}

TEST_CASE("strict JSON refuses what two readers could understand differently") {
  CHECK(parse_strict_json("{\"a\":{\"x\":1},\"b\":{\"x\":1}}", 100).size() == 2);
  const auto bad = GENERATE(as<std::string>(), "", "{\"a\":1,\"a\":2}",
                            "{\"a\":{\"b\":1,\"c\":[],\"b\":1}}", "[{\"a\":1,\"\\u0061\":2}]",
                            "{} {}", "{\"a\":\"\xC3\"}", "{\"a\":1}//x", "[[[[[[[[[[1]]]]]]]]]]");
  CAPTURE(bad);
  CHECK_THROWS_AS(parse_strict_json(bad, 1000), FormatError);
  CHECK_THROWS_AS(parse_strict_json("[1, 2, 3]", 8), FormatError);
  using namespace std::string_view_literals;
  for (const std::string_view text : {"{}\0"sv, "{}\0{}"sv, "\xEF\xBB\xBF{}"sv}) {
    CHECK_THROWS_AS(parse_strict_json(text, 100), FormatError);
  }
}

}  // namespace
}  // namespace driveprep::keywrap
