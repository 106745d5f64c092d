#include "agent/job/dataset.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/support/scratch.h"

using namespace driveprep;
using driveprep::test::error_of;
using job::Disposition;
using job::ItemType;

namespace {

const std::string kItems =
    "BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile\n";

job::Dataset parse(const std::string& text) { return job::parse_dataset(text, "/jobs/one/dataset.csv"); }
job::DatasetRow row(const std::string& text) { return parse(kItems + text + "\n").rows.at(0); }
std::string refusal(const std::string& text) {
  return error_of([&] { row(text); });
}

}  // namespace

TEST_CASE("the three header families are recognised") {
  const auto blobs = parse(
      "BasePath,DstBlobPathOrPrefix,BlobType,Disposition,MetadataFile,PropertiesFile\n"
      "/a/,data/,BlockBlob,rename,None,None\n");
  CHECK(blobs.family == job::HeaderFamily::kBlobs);
  const auto items = parse(kItems + "/a/,data/,PageBlob,no-overwrite,,\n");
  CHECK(items.family == job::HeaderFamily::kItems);
  CHECK(items.rows[0].disposition == Disposition::kNoOverwrite);
  const auto short_form = parse("BasePath,DstItemPathOrPrefix,ItemType\n/a/,share/,file\n");
  CHECK(short_form.family == job::HeaderFamily::kItemsShort);
  CHECK(short_form.rows[0].disposition == Disposition::kOverwrite);
  CHECK(short_form.rows[0].type == ItemType::kFile);
}

TEST_CASE("headers between the families are refused") {
  const auto refused = [](const std::string& text) { return error_of([&] { parse(text); }); };
  CHECK(refused("BasePath,DstBlobPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile\n") ==
        "usage/csv-unknown-column");
  CHECK(refused("BasePath,DstItemPathOrPrefix,ItemType,Disposition\n") ==
        "usage/csv-missing-column");
  CHECK(refused("BasePath,DstItemPathOrPrefix,ItemType,Colour\n") == "usage/csv-unknown-column");
  CHECK(refused(kItems) == "usage/csv-no-rows");
}

TEST_CASE("the slash at the end of BasePath decides between directory and file") {
  const auto directory = row("/srv/pictures/,pictures/2025/,blockblob,,none,None");
  CHECK(directory.is_directory);
  CHECK(directory.base_path == "/srv/pictures");
  CHECK(directory.container == "pictures");
  CHECK(directory.name == "2025/");
  CHECK(directory.type == ItemType::kBlockBlob);
  CHECK(directory.disposition == Disposition::kRename);
  CHECK(directory.line == 2);
  const auto file = row("/srv/a.vhd,vhds/x/a.vhd,PAGEBLOB,overwrite,,");
  CHECK_FALSE(file.is_directory);
  CHECK(file.name == "x/a.vhd");
  CHECK(file.type == ItemType::kPageBlob);
  CHECK(row("\"/srv/pictures\\\",data/,BlockBlob,,,").is_directory);
  CHECK(row("/,data/,BlockBlob,,,").base_path == "/");
}

TEST_CASE("relative paths start at the job directory") {
  CHECK(row("data/,data/,BlockBlob,,,").base_path == "/jobs/one/data");
  CHECK(row("../x/./y,data/y,BlockBlob,,,").base_path == "/jobs/x/y");
}

TEST_CASE("bad values of a row are refused at their place") {
  CHECK(refusal(",data/,BlockBlob,,,") == "usage/csv-base-path");
  CHECK(refusal("\"F:\\dir\\\",data/,BlockBlob,,,") == "usage/csv-windows-path");
  CHECK(refusal("\"\\\\server\\share\\\",data/,BlockBlob,,,") == "usage/csv-windows-path");
  CHECK(refusal("/a/,data/,BlockBlog,,,") == "usage/csv-item-type");
  CHECK(refusal("/a/,data/,BlockBlob,Rename,,") == "usage/csv-disposition");
  CHECK(refusal("/a/,,BlockBlob,,,") == "usage/csv-destination");
  CHECK(refusal("/a/,/data/,BlockBlob,,,") == "usage/csv-destination");
  CHECK(refusal("/a,data,BlockBlob,,,") == "usage/csv-destination");
  CHECK(refusal("/a/,data/prefix,BlockBlob,,,") == "usage/csv-destination-kind");
  CHECK(refusal("/a,data/prefix/,BlockBlob,,,") == "usage/csv-destination-kind");
  CHECK(refusal("/a/,Data/,BlockBlob,,,") == "usage/container-name");
  CHECK(refusal("/a/,data/x//,BlockBlob,,,") == "usage/blob-name");
  CHECK(refusal("/a/,data/../x/,BlockBlob,,,") == "usage/blob-name");
  CHECK(refusal("/a/,$root/x/,BlockBlob,,,") == "usage/blob-name");
  CHECK(refusal("/a,$root/x/y,BlockBlob,,,") == "usage/blob-name");
  CHECK(refusal("/a/,$root/,BlockBlob,,,").empty());
  CHECK(refusal("/a/,data/,BlockBlob,,/no/such.xml,") == "usage/open-failed");
  CHECK(refusal("/a/,data/,BlockBlob,,/dev/zero,") == "usage/blob-file-kind");
  try {
    row("/a/,data/,BlockBlog,,,");
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).starts_with("/jobs/one/dataset.csv:2:11: "));
  }
}

TEST_CASE("metadata and properties files are read once and shared") {
  const test::ScratchDirectory scratch;
  std::ofstream(scratch / "m.xml") << "<Metadata><A>b</A></Metadata>";
  std::ofstream(scratch / "p.xml") << "<Properties><Content-MD5>" << std::string(22, 'A')
                                   << "==</Content-MD5></Properties>";
  const auto parse_here = [&](const std::string& rest) {
    return job::parse_dataset(kItems + rest, scratch / "dataset.csv");
  };
  const auto dataset = parse_here("/a/,data/,BlockBlob,,m.xml,\n/b/,data/,BlockBlob,,m.xml,\n");
  REQUIRE(dataset.rows[0].metadata);
  CHECK(dataset.rows[0].metadata == dataset.rows[1].metadata);
  CHECK(dataset.rows[0].metadata->entries.at(0).second == "b");
  CHECK_FALSE(dataset.rows[0].properties);
  CHECK(parse_here("/a,data/b,BlockBlob,,,p.xml\n").rows[0].properties);
  CHECK(error_of([&] { parse_here("/a/,data/,BlockBlob,,,p.xml\n"); }) ==
        "usage/property-content-md5");
  CHECK(error_of([&] { parse_here("/a/,data/,BlockBlob,,p.xml,\n"); }) == "usage/xml-root");
}
