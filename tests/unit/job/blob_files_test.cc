#include "agent/job/blob_files.h"

#include <catch2/catch.hpp>

#include "agent/job/blob_names.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using driveprep::test::error_of;
using job::BlobFileKind;

namespace {

std::string metadata(const std::string& inner) {
  return error_of([&] {
    job::parse_blob_file(BlobFileKind::kMetadata, "<Metadata>" + inner + "</Metadata>", "m.xml");
  });
}
std::string properties(const std::string& inner) {
  return error_of([&] {
    job::parse_blob_file(BlobFileKind::kProperties, "<Properties>" + inner + "</Properties>",
                         "p.xml");
  });
}

}  // namespace

TEST_CASE("metadata and properties are read in their order, the text as it is") {
  const std::string text =
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<!-- why -->\r\n<Metadata>\r\n"
      "  <UploadMethod>DiskImport</UploadMethod>\r\n  <_x1>a &amp; <![CDATA[<b>]]></_x1>\r\n"
      "  <Empty/>\r\n</Metadata>\r\n";
  const auto file = job::parse_blob_file(BlobFileKind::kMetadata, text, "m.xml");
  CHECK(file.content == text);
  REQUIRE(file.entries.size() == 3);
  CHECK(*file.find("UploadMethod") == "DiskImport");
  CHECK(*file.find("_x1") == "a & <b>");
  CHECK(file.find("Empty")->empty());
  CHECK(file.find("other") == nullptr);
  CHECK(properties("<Content-Type>text/plain</Content-Type><Cache-Control>no-cache</Cache-Control>"
                   "<Content-Encoding>gzip</Content-Encoding><Content-Language>en</Content-Language>"
                   "<Content-MD5>AAAAAAAAAAAAAAAAAAAAAA==</Content-MD5>")
            .empty());
}

TEST_CASE("metadata that the service would not take is refused") {
  CHECK(metadata("<a-b>x</a-b>") == "usage/metadata-name");
  CHECK(metadata("<a.b>x</a.b>") == "usage/metadata-name");
  CHECK(metadata("<\xC3\xA4>x</\xC3\xA4>") == "usage/metadata-name");
  CHECK(metadata("<a>x</a><A>y</A>") == "usage/xml-repeated-name");
  CHECK(metadata("<a>two\nlines</a>") == "usage/xml-value");
  CHECK(metadata("<a> space</a>") == "usage/xml-value");
  CHECK(metadata("<a>\xC3\xA4</a>") == "usage/xml-value");
  CHECK(metadata("<a>" + std::string(8191, 'x') + "</a>").empty());
  CHECK(metadata("<a>" + std::string(8192, 'x') + "</a>") == "usage/metadata-too-large");
}

TEST_CASE("a file may have the encoding that Windows editors give it") {
  std::string wide = "\xFF\xFE";
  for (const char c : std::string("<Metadata><a>x</a></Metadata>")) wide += {c, '\0'};
  const auto file = job::parse_blob_file(BlobFileKind::kMetadata, wide, "m.xml");
  CHECK(file.content == wide);
  REQUIRE(file.find("a") != nullptr);
  CHECK(*file.find("a") == "x");
}

TEST_CASE("properties that an import cannot set are refused") {
  CHECK(properties("<Last-Modified>x</Last-Modified>") == "usage/property-export-only");
  CHECK(properties("<Etag>x</Etag>") == "usage/property-export-only");
  CHECK(properties("<content-type>x</content-type>") == "usage/property-name");
  CHECK(properties("<Content-MD5>AAAA</Content-MD5>") == "usage/property-value");
  CHECK(properties("<Content-Type>a</Content-Type><Content-Type>b</Content-Type>") ==
        "usage/xml-repeated-name");
}

TEST_CASE("XML of another shape is refused with the line") {
  const auto parse = [](const std::string& text) {
    return error_of([&] { job::parse_blob_file(BlobFileKind::kMetadata, text, "m.xml"); });
  };
  CHECK(parse("") == "usage/xml-malformed");
  CHECK(parse("<Metadata><a></Metadata>") == "usage/xml-malformed");
  CHECK(parse("<Properties/>") == "usage/xml-root");
  CHECK(parse("<Metadata/>").empty());
  CHECK(metadata("<a b=\"c\">x</a>") == "usage/xml-attribute");
  CHECK(metadata("<a><b>x</b></a>") == "usage/xml-nesting");
  CHECK(metadata("<a xmlns=\"urn:x\">x</a>") == "usage/xml-attribute");
  CHECK(metadata("stray<a>x</a>") == "usage/xml-text");
  try {
    job::parse_blob_file(BlobFileKind::kMetadata, "<Metadata>\n<a>x</a>\n<a>y</a>\n</Metadata>",
                         "m.xml");
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).starts_with("m.xml:3: "));
  }
}

TEST_CASE("document types and entities are refused, so nothing is fetched or multiplied") {
  const auto parse = [](const std::string& text) {
    return error_of([&] { job::parse_blob_file(BlobFileKind::kMetadata, text, "m.xml"); });
  };
  CHECK(parse("<!DOCTYPE Metadata [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>"
              "<Metadata><a>&x;</a></Metadata>") == "usage/xml-doctype");
  CHECK(parse("<Metadata><a>&x;</a></Metadata>") == "usage/xml-malformed");
  CHECK(parse(std::string(job::kMaxBlobFileBytes + 1, ' ')) == "usage/file-too-large");
}

TEST_CASE("container names") {
  for (const char* good : {"abc", "a-b-c", "123", "$root", "$web", "$logs"}) {
    CHECK_FALSE(job::check_container_name(good));
  }
  CHECK_FALSE(job::check_container_name(std::string(63, 'a')));
  for (const std::string& bad :
       {std::string("ab"), std::string(64, 'a'), std::string("Abc"), std::string("a--b"),
        std::string("-ab"), std::string("ab-"), std::string("a_b"), std::string("$other"),
        std::string("\xC3\xA4\xC3\xA4")}) {
    CAPTURE(bad);
    CHECK(job::check_container_name(bad));
  }
}

TEST_CASE("blob names") {
  const auto check = [](const std::string& name) {
    return job::check_blob_name("data", name).has_value();
  };
  CHECK_FALSE(check("a"));
  CHECK_FALSE(check("a/b c/\xC3\xA4:*?<>|\""));
  CHECK_FALSE(check("dot."));
  CHECK_FALSE(check("\xF0\x9F\x98\x80"));
  CHECK_FALSE(check(std::string(1024, 'x')));
  CHECK(check(std::string(1025, 'x')));
  CHECK(check(""));
  CHECK(check("a//b"));
  CHECK(check("a/"));
  CHECK(check("a/../b"));
  CHECK(check("a\\b"));
  CHECK(check("a\tb"));
  CHECK(check("a\x7F"));
  CHECK(check("a\xC2\x81"));
  CHECK(check("\xEE\x80\x80"));          // U+E000, private use
  CHECK(check("\xEF\xBF\xBE"));          // U+FFFE
  CHECK(check("\xF0\x9F\xBF\xBF"));      // U+1FFFF
  CHECK(check("\xF3\xB0\x80\x80"));      // U+F0000, private plane
  CHECK_THAT(*job::check_blob_name("data", "\xF3\xB0\x80\x80"), Catch::Contains("U+F0000,"));
  CHECK_THAT(*job::check_blob_name("data", "\xEE\x80\x80"), Catch::Contains("U+E000,"));
  CHECK(check("\xED\xA0\x80"));          // a lone surrogate
  std::string segments = "a";
  for (int i = 1; i < 254; ++i) segments += "/a";
  CHECK_FALSE(check(segments));
  CHECK(check(segments + "/a"));
  CHECK(job::check_blob_name("$root", "a/b"));
  CHECK_FALSE(job::check_blob_name("$root", "ab"));
  CHECK(job::has_segment_ending_in_dot("a./b"));
  CHECK(job::has_segment_ending_in_dot("a/b."));
  CHECK_FALSE(job::has_segment_ending_in_dot("a/.b"));
}

TEST_CASE("components of paths in a file share") {
  CHECK_FALSE(job::check_share_component("a b.txt"));
  CHECK_FALSE(job::check_share_component("COM10"));
  for (const std::string& bad :
       {std::string(""), std::string("."), std::string(".."), std::string("a:b"),
        std::string("a\"b"), std::string("nul"), std::string("COM1"), std::string("Clock$"),
        std::string("x."), std::string("x "), std::string("\x01"), std::string(256, 'x'),
        std::string("\xFF")}) {
    CAPTURE(bad);
    CHECK(job::check_share_component(bad));
  }
}
