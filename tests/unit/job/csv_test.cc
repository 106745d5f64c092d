#include "agent/job/csv.h"

#include <catch2/catch.hpp>

#include "tests/support/scratch.h"

using namespace driveprep;
using driveprep::test::error_of;
using job::CsvReader;
using job::CsvTable;

namespace {

std::vector<std::vector<std::string>> rows(std::string_view text) {
  CsvReader reader(text, "x.csv");
  std::vector<std::vector<std::string>> result;
  while (auto row = reader.next()) {
    result.emplace_back();
    for (const auto& field : *row) result.back().push_back(field.text);
  }
  return result;
}

std::string message(std::string_view text) {
  try {
    rows(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

using Rows = std::vector<std::vector<std::string>>;

}  // namespace

TEST_CASE("rows are read with LF and with CRLF, with and without a last line end") {
  const Rows expected = {{"a", "b"}, {"c", ""}};
  CHECK(rows("a,b\nc,\n") == expected);
  CHECK(rows("a,b\r\nc,\r\n") == expected);
  CHECK(rows("a,b\nc,") == expected);
  CHECK(rows("\xEF\xBB\xBF" "a,b\nc,\n") == expected);
  CHECK(rows("").empty());
}

TEST_CASE("a file in UTF-16 is called by its name") {
  CHECK(message({"\xFF\xFE" "B\0a\0", 6}) == "x.csv:1:1: the file is UTF-16");
  CHECK(message({"\xFE\xFF\0B\0a", 6}) == "x.csv:1:1: the file is UTF-16");
}

TEST_CASE("quotes hold commas, quotes, spaces, line ends and backslashes") {
  CHECK(rows("\"a,b\",\"say \"\"hi\"\"\",\" x \",\"F:\\dir\\\"\n") ==
        Rows{{"a,b", "say \"hi\"", " x ", "F:\\dir\\"}});
  CHECK(rows("\"two\r\nlines\",\"\"\n") == Rows{{"two\r\nlines", ""}});
}

TEST_CASE("lines that begin with # are skipped, others with # are not") {
  CHECK(rows("# one\n\n\r\na#b,#c\n#end") == Rows{{"a#b", "#c"}});
  CHECK(rows("\"#a\"\n") == Rows{{"#a"}});
}

TEST_CASE("every value knows its line and column, in characters") {
  CsvReader reader("# comment\n\xC3\xA4\xC3\xB6,b,\"c\nd\",e\nf\n", "x.csv");
  const auto first = reader.next().value();
  CHECK(first[0].line == 2);
  CHECK(first[0].column == 1);
  CHECK(first[1].column == 4);
  CHECK(first[2].column == 6);
  CHECK(first[3].line == 3);
  CHECK(first[3].column == 4);
  CHECK(reader.next().value()[0].line == 4);
}

TEST_CASE("what is not strict CSV is refused at its place") {
  CHECK(error_of([] { rows("a,b\"c\n"); }) == "usage/csv-quote");
  CHECK(message("a,b\"c\n").starts_with("x.csv:1:4: "));
  CHECK(error_of([] { rows("\"a\"b\n"); }) == "usage/csv-quote");
  CHECK(message("a\n\"b\n\nc").starts_with("x.csv:2:1: "));
  CHECK(error_of([] { rows("a, b\n"); }) == "usage/csv-space");
  CHECK(error_of([] { rows("a ,b\n"); }) == "usage/csv-space");
  CHECK(error_of([] { rows("a\rb\n"); }) == "usage/csv-control-character");
  CHECK(error_of([] { rows(std::string_view("a\0b\n", 4)); }) == "usage/csv-control-character");
  CHECK(error_of([] { rows("\"a\x01\"\n"); }) == "usage/csv-control-character");
  CHECK(error_of([] { rows("ok,\xFF\n"); }) == "usage/csv-encoding");
  CHECK(message("ok,\xFF\n").starts_with("x.csv:1:4: "));
}

TEST_CASE("a table finds values by column and refuses headers it does not know") {
  const auto table = [](const char* text) {
    CsvTable result(text, "x.csv");
    result.expect({"A", "B"}, {"C"});
    return result;
  };
  CsvTable good = table("B,A\n1,2\n");
  REQUIRE(good.next());
  CHECK(good.value("A").text == "2");
  CHECK(good.value("B").text == "1");
  CHECK(good.value("C").text.empty());
  CHECK(good.line() == 2);
  CHECK_FALSE(good.next());
  CHECK(error_of([&] { table(""); }) == "usage/csv-empty");
  CHECK(error_of([&] { table("# only a comment\n"); }) == "usage/csv-empty");
  CHECK(error_of([&] { table("A,B,D\n"); }) == "usage/csv-unknown-column");
  CHECK(error_of([&] { table("a,B\n"); }) == "usage/csv-unknown-column");
  CHECK(error_of([&] { table("A,B,A\n"); }) == "usage/csv-repeated-column");
  CHECK(error_of([&] { table("A,C\n"); }) == "usage/csv-missing-column");
  CHECK(error_of([&] { table("A,B\n1\n").next(); }) == "usage/csv-value-count");
  CHECK(error_of([&] { table("A,B\n1,2,3\n").next(); }) == "usage/csv-value-count");
}
