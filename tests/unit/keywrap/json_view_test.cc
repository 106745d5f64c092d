#include "keywrap/json_view.h"

#include <catch2/catch.hpp>

#include "keywrap/excerpt.h"

using driveprep::FormatError;
using driveprep::keywrap::excerpt;
using driveprep::keywrap::JsonView;

namespace {

JsonView parse(std::string_view text) { return JsonView::parse(text, 1024 * 1024); }

std::string text_of(std::string_view json) { return parse(json).text().value(); }

}  // namespace

TEST_CASE("values of each kind are read, and as no other kind") {
  const JsonView json = parse(R"( {"s":"x","n":-12,"d":1.0e+2,"t":true,"f":false,"z":null,
                                   "a":[1,"2"],"o":{"s":"inner"},"e":"","ea":[],"eo":{}} )");
  REQUIRE(json.is_object());
  CHECK(json.find("s")->text() == "x");
  CHECK_FALSE(json.find("s")->integer());
  CHECK(json.find("n")->integer() == -12);
  CHECK_FALSE(json.find("n")->text());
  CHECK_FALSE(json.find("d")->integer());
  CHECK(json.find("d")->kind() == JsonView::Kind::kNumber);
  CHECK(json.find("t")->boolean() == true);
  CHECK(json.find("f")->boolean() == false);
  CHECK_FALSE(json.find("z")->boolean());
  CHECK(json.find("z")->kind() == JsonView::Kind::kNull);
  CHECK(json.find("a")->children().at(1).value.text() == "2");
  CHECK(json.find("o")->find("s")->text() == "inner");
  CHECK(json.find("e")->secret()->empty());
  CHECK(json.find("ea")->children().empty());
  CHECK(json.find("eo")->is_object());
  CHECK(json.find("absent") == nullptr);
  CHECK(json.find("s")->find("s") == nullptr);
  CHECK(json.find("a")->find("") == nullptr);
}

TEST_CASE("escapes become what they stand for, in names too") {
  CHECK(text_of(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
  CHECK(text_of(R"("A\u0041\u00e9\u20AC\ud83d\uDE00\u0000")") ==
        std::string("AA\u00e9\u20ac\U0001F600\0", 12));
  CHECK(text_of("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"") == "\u00e9\u20ac\U0001F600");
  CHECK(parse(R"({"\u0061b":1})").find("ab")->integer() == 1);
  CHECK(parse(R"("a\u002fb")").secret()->text() == "a/b");
}

TEST_CASE("what is no JSON is refused") {
  for (const char* text :
       {"",          " ",           "{",        "[",    "[1,]",  "{\"a\":1,}",
        "{\"a\"}",   "{a:1}",       "nul",      "True", "01",    "-",
        "1.",        ".5",          "1e",       "+1",   "\"",    "\"\\x\"",
        "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "1 2",  "[1 2]", "{\"a\":1 \"b\":2}",
        "[}",        "\"\\",        "'a'",      "NaN",  "[1]x",  "\xef\xbb\xbf{}"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse(text), FormatError);
  }
}

TEST_CASE("text that is no Unicode is refused") {
  for (const char* text :
       {"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xc3\"",
        "\"\xe2\x82\"", "\"\xe0\x80\x80\"", "\"\xf0\x80\x80\x80\"", "\"\\ud83d\"", "\"\\ude00\"",
        "\"\\ud83dx\"", "\"\\ud83d\\n\"", "\"\\ud83d\\u0041\""}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse(text), FormatError);
  }
}

TEST_CASE("a member that comes twice is refused, also when it is written in two ways") {
  CHECK_THROWS_AS(parse(R"({"a":1,"b":2,"a":3})"), FormatError);
  CHECK_THROWS_AS(parse(R"({"x":{"a":1,"\u0061":3}})"), FormatError);
  CHECK(parse(R"([{"a":1},{"a":2}])").children().size() == 2);
}

TEST_CASE("size, depth and number of values have limits") {
  CHECK_THROWS_AS(JsonView::parse("[1, 2]", 5), FormatError);
  CHECK(JsonView::parse("[1, 2]", 6).children().size() == 2);
  CHECK_NOTHROW(parse(std::string(16, '[') + std::string(16, ']')));
  CHECK_THROWS_AS(parse(std::string(17, '[') + std::string(17, ']')), FormatError);
  CHECK_THROWS_AS(parse(std::string(100'000, '[')), FormatError);
  std::string many = "[0";
  for (int i = 1; i < 16383; ++i) many += ",0";
  CHECK_NOTHROW(parse(many + "]"));
  CHECK_THROWS_AS(parse(many + ",0]"), FormatError);
}

TEST_CASE("integers that do not fit are none") {
  CHECK(parse("9223372036854775807").integer() == INT64_MAX);
  CHECK_FALSE(parse("9223372036854775808").integer());
  CHECK_FALSE(parse("1.0").integer());
}

TEST_CASE("foreign text in a message is short, printable and on one line") {
  CHECK(excerpt("plain text") == "plain text");
  CHECK(excerpt(" a\r\n\tb ") == "a b");
  CHECK(excerpt("\x1b[31mred\x07 caf\xc3\xa9") == "?[31mred? caf??");
  CHECK(excerpt("one two three", 7) == "one two...");
  CHECK(excerpt(std::string(5000, ' ')).empty());
  CHECK(excerpt("no 000011-000022-000033-000044-000055-000066-000077-720885, no") == "no (...), no");
  CHECK(excerpt("000011 000022 000033 000044\n000055 000066 000077 720885") == "(...)");
  CHECK(excerpt("x=000011000022000033000044000055000066000077720885") == "x=(...)");
  CHECK(excerpt(std::string(110, 'a') + "b 000011-000022-000033-000044-000055-000066-000077-720885") ==
        "(...) (...)");
  CHECK(excerpt("000011-000022-000033-000044-000055-000066-000077", 120).starts_with("000011"));
  CHECK(excerpt("token " + std::string(101, 'x') + " end") == "token (...) end");
  std::string words;
  for (int i = 0; i < 1000; ++i) words += "word ";
  CHECK(excerpt(words).size() == 123);
}
