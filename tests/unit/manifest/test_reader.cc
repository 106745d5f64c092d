#include <catch2/catch.hpp>

#include "base/posix.h"
#include "tests/unit/manifest/worked_example.h"

namespace driveprep::manifest {
namespace {

struct Everything {
  ManifestHeader header;
  std::vector<BlobList> lists;
  std::vector<Blob> blobs;
};

Everything read_all(const std::string& text, std::size_t run = 1 << 20) {
  ManifestReader reader(text_source(text, run), "M");
  Everything all;
  Blob blob;
  while (reader.next(blob)) all.blobs.push_back(blob);
  CHECK(reader.bytes() == text.size());
  CHECK(reader.md5() == md5(as_bytes(text)));
  all.header = reader.header();
  all.lists = reader.lists();
  return all;
}

// The message with which the text is refused; "" when it is read.
std::string refusal(const std::string& text) {
  try {
    ManifestReader reader(text_source(text), "M");
    Blob blob;
    while (reader.next(blob)) {
    }
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kVerification);
    CHECK(error.code() == "manifest-invalid");
    CHECK_FALSE(error.remedy().empty());
    return error.what();
  }
  return "";
}

std::string refusal(std::string_view from, std::string_view to) {
  return refusal(replaced(kWorkedExample, from, to));
}

void check_worked_example(const Everything& all) {
  CHECK(all.header.version == "2014-11-01");
  CHECK(all.header.drive_id == "ZC1A0F7K");
  CHECK(all.header.client_creator == "example-prep 1.0");
  REQUIRE(all.lists.size() == 2);
  CHECK(all.lists[0].id == "photos#1-0");
  CHECK(all.lists[0].metadata ==
        AttachedFile{"\\photos#1\\meta.xml", md5(as_bytes(kMetadataXml))});
  CHECK(all.lists[0].properties ==
        AttachedFile{"\\photos#1\\props.xml", md5(as_bytes(kPropertiesXml))});
  CHECK(all.lists[1] == BlobList{"vhds#1-0", {}, {}});
  REQUIRE(all.blobs.size() == 3);
  CHECK(all.blobs[0].list == 0);
  CHECK(all.blobs[0].header.blob_path == "pictures/2023/a.bin");
  CHECK(all.blobs[0].header.file_path == "\\photos#1\\2023\\a.bin");
  CHECK(all.blobs[0].header.length == 10 * kMiB);
  CHECK(all.blobs[0].header.disposition == Disposition::kNoOverwrite);
  CHECK(all.blobs[0].header.type == BlobType::kBlock);
  CHECK(all.blobs[0].with_ids);
  REQUIRE(all.blobs[0].pieces.size() == 3);
  CHECK(all.blobs[0].pieces[2] ==
        Piece{8 * kMiB, 2 * kMiB, md5(ByteView(counting_bytes(10 * kMiB)).subspan(8 * kMiB))});
  CHECK(all.blobs[1].list == 0);
  CHECK_FALSE(all.blobs[1].with_ids);
  CHECK(all.blobs[1].pieces == std::vector<Piece>{{0, 14, md5(as_bytes(kReadme))}});
  CHECK(all.blobs[2].list == 1);
  CHECK(all.blobs[2].header.type == BlobType::kPage);
  REQUIRE(all.blobs[2].pieces.size() == 2);
  CHECK(all.blobs[2].pieces[1].offset == 8388096);
}

TEST_CASE("the worked example is read, however its bytes arrive") {
  for (const std::size_t run : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 20}) {
    INFO(run);
    check_worked_example(read_all(std::string(kWorkedExample), run));
  }
  check_worked_example(read_all("\xEF\xBB\xBF" + std::string(kWorkedExample)));
}

TEST_CASE("a manifest is read from a file") {
  const test::ScratchDirectory directory;
  const auto path = directory.path() / "m.xml";
  const UniqueFd fd = posix::open(path, O_RDWR | O_CREAT, ErrorKind::kWrite);
  posix::write_all(fd.get(), as_bytes(kWorkedExample), "m", ErrorKind::kWrite);
  ManifestReader reader(file_source(fd.get(), path.string()), path.string());
  Blob blob;
  int blobs = 0;
  while (reader.next(blob)) ++blobs;
  CHECK(blobs == 3);
  CHECK(reader.md5() == md5(as_bytes(kWorkedExample)));
}

TEST_CASE("the header is there before the first blob is asked for") {
  ManifestReader reader(text_source(std::string(kWorkedExample)), "M");
  CHECK(reader.header().drive_id == "ZC1A0F7K");
  CHECK(reader.lists().size() >= 1);
}

TEST_CASE("elements may come in another order, and unknown ones are passed over") {
  const Everything all = read_all(R"(<?xml version='1.0'?><!-- c --><DriveManifest Extra='1'
  Version='2011-10-01'><Future><Deep>text</Deep><Blob/></Future><?pi x?><Drive><DriveId>A1</DriveId>
  <StorageAccountKey>not ours</StorageAccountKey>
  <BlobList><Blob><PageRangeList><PageRange Hash='00000000000000000000000000000000' Length='512'
  New='n' Offset='512'/><Other/></PageRangeList><Snapshot>2014-01-01T00:00:00Z</Snapshot>
  <Length>1024</Length><PropertiesPath Hash='0123456789abcdefABCDEF0123456789'>\p</PropertiesPath>
  <ClientData>a<![CDATA[<b>]]>&amp;&#x63;<!-- no --></ClientData><FilePath>\f</FilePath><BlobPath>$root/b</BlobPath>
  </Blob><MetadataPath Hash='00000000000000000000000000000000'>\m</MetadataPath></BlobList>
  <ClientCreator>later</ClientCreator></Drive></DriveManifest>)");
  CHECK(all.header == ManifestHeader{"2011-10-01", "A1", "later"});
  REQUIRE(all.lists.size() == 1);
  CHECK(all.lists[0].metadata == AttachedFile{"\\m", {}});
  REQUIRE(all.blobs.size() == 1);
  const BlobHeader& header = all.blobs[0].header;
  CHECK(header.client_data == "a<b>&c");
  CHECK(header.snapshot == "2014-01-01T00:00:00Z");
  CHECK(header.length == 1024);
  CHECK_FALSE(header.disposition);
  CHECK(header.properties->path == "\\p");
  CHECK(header.properties->hash[5] == std::byte{0xAB});
  CHECK(all.blobs[0].pieces == std::vector<Piece>{{512, 512, {}}});
}

TEST_CASE("escaped characters come back in texts and attributes") {
  const Everything all = read_all(
      replaced(replaced(kWorkedExample, "Id=\"vhds#1-0\"", "Id=\"a&amp;b&quot;&#10;&lt;\""),
               "vhds/disk0.vhd", "v/a&amp;b&#13;&gt;"));
  CHECK(all.lists[1].id == "a&b\"\n<");
  CHECK(all.blobs[2].header.blob_path == "v/a&b\r>");
}

TEST_CASE("a refusal names the line and the element") {
  CHECK(refusal("Length=\"2097152\"", "Length=\"2,097\"") ==
        "M, line 17: attribute Length of Block, '2,097', is not a number of bytes");
  CHECK(refusal("<Length>14</Length>", "<Length>-14</Length>") ==
        "M, line 23: the text of Length, '-14', is not a number of bytes");
}

TEST_CASE("lines are right beyond 65535") {
  const std::string text =
      replaced(kWorkedExample, "  <Drive>", std::string(200'000, '\n') + "  <Drive>");
  CHECK(refusal(replaced(text, "<Length>14<", "<Length>x<")).starts_with("M, line 200023: "));
}

TEST_CASE("values that break a rule are refused") {
  struct Change {
    const char* from;
    const char* to;
    const char* problem;
  };
  const Change changes[] = {
      {"2014-11-01", "2099-01-01", "attribute Version of DriveManifest, '2099-01-01', is not a known"},
      {" Version=\"2014-11-01\"", "", "element DriveManifest has no attribute Version"},
      {"ZC1A0F7K", "ZC1A 0F7K", "the text of DriveId, 'ZC1A 0F7K', has white space"},
      {"ZC1A0F7K", "", "the text of DriveId, '', is empty"},
      {"    <DriveId>ZC1A0F7K</DriveId>\n", "", "DriveId does not precede the first BlobList"},
      {"</DriveId>", "</DriveId><DriveId>B</DriveId>", "a second DriveId in one Drive"},
      {"<Length>14</Length>", "", "element Blob has no Length"},
      {"<Length>14</Length>", "<Length>14</Length><Length>14</Length>", "a second Length in one Blob"},
      {"<Length>14</Length>", "<Length>14<x/></Length>", "element x stands in the text of Length"},
      {"<Length>14</Length>", "<Length>13</Length>", "a piece ends behind the end of the blob"},
      {"<Length>14</Length>", "<Length>15</Length>", "the blocks do not cover the whole blob"},
      {"<Length>14</Length>", "<Length>99999999999999999999</Length>", "is not a number of bytes"},
      {"<Length>14</Length>", "<Length></Length>", "is not a number of bytes"},
      {"<Length>8388608</Length>", "<Length>8388609</Length>",
       "the length of a page blob is not a multiple of 512"},
      {"<BlobPath>pictures/readme.txt</BlobPath>", "", "element Blob has no BlobPath"},
      {"pictures/readme.txt<", "/readme.txt<", "the text of BlobPath, '/readme.txt', begins with"},
      {"<FilePath>\\photos#1\\readme.txt</FilePath>", "", "element Blob has no FilePath"},
      {"\\photos#1\\readme.txt", "\\photos#1\\..\\..\\x", "has a component '.' or '..'"},
      {"\\photos#1\\readme.txt", "C:\\x", "does not begin with a backslash"},
      {">rename<", ">Rename<", "the text of ImportDisposition, 'Rename', is not rename, no-overwrite"},
      {" Hash=\"D5A7478C30950E85DEDFAC9ABF3E7D65\"", "", "element Block has no attribute Hash"},
      {"D5A7478C30950E85DEDFAC9ABF3E7D65", "D5A7", "attribute Hash of Block, 'D5A7', is not an MD5"},
      {"D5A7478C30950E85DEDFAC9ABF3E7D65", "G5A7478C30950E85DEDFAC9ABF3E7D65", "is not an MD5"},
      {"Offset=\"4194304\" ", "", "element Block has no attribute Offset"},
      {"Offset=\"4194304\"", "Offset=\"4194305\"", "does not begin where the one before it ends"},
      {"Length=\"14\"", "Length=\"4194304001\"", "is longer than any piece may be"},
      {"Length=\"14\"", "Length=\"0\"", "a piece of length 0"},
      {" Id=\"AQAAAA==\"", "", "only some blocks of a Blob have an Id"},
      {"AQAAAA==", "AQAA*A==", "attribute Id of Block, 'AQAA*A==', is not base64 of 1 to 64 bytes"},
      {"AQAAAA==", "", "is not base64 of 1 to 64 bytes"},
      {"AQAAAA==", "AQAAAAAA", "has another length than the blob's first Id"},
      {"Offset=\"8388096\"", "Offset=\"8388095\"", "a page range is not aligned to 512 bytes"},
      {"Offset=\"8388096\"", "Offset=\"4193792\"", "a page range overlaps the one before it"},
      {"41C5D8C1DF77D7B787A20821798B7742", "41C5", "attribute Hash of MetadataPath, '41C5', is not"},
      {" Hash=\"41C5D8C1DF77D7B787A20821798B7742\"", "",
       "element MetadataPath has no attribute Hash"},
      {"\\photos#1\\meta.xml", "meta.xml", "the text of MetadataPath, 'meta.xml', does not begin"},
      {"<PageRangeList>", "<BlockList></BlockList><PageRangeList>",
       "a Blob has both a BlockList and a PageRangeList"},
      {"<BlobList Id=\"vhds#1-0\">", "<BlobList Id=\"x\"/><BlobList Id=\"vhds#1-0\">",
       "element BlobList has no Blob"},
      {"<Blob>", "stray<Blob>", "text in BlobList, which has only elements"},
  };
  for (const Change& change : changes) {
    INFO(change.from << " -> " << change.to);
    const std::string message = refusal(change.from, change.to);
    INFO(message);
    CHECK(message.starts_with("M, line "));
    CHECK(message.find(change.problem) != std::string::npos);
  }
}

TEST_CASE("a length behind the pieces is held to the same rules") {
  const std::string moved = replaced(replaced(kWorkedExample, "<Length>14</Length>", ""),
                                     "</BlockList>\n      </Blob>\n    </BlobList>",
                                     "</BlockList><Length>14</Length></Blob></BlobList>");
  CHECK(refusal(moved) == "");
  CHECK(refusal(replaced(moved, "<Length>14<", "<Length>15<"))
            .find("the blocks do not cover the whole blob") != std::string::npos);
}

TEST_CASE("a blob without pieces, an empty manifest, another document are refused") {
  CHECK(refusal(replaced(replaced(kWorkedExample, "<PageRangeList>", "<Nothing>"),
                         "</PageRangeList>", "</Nothing>"))
            .find("neither a BlockList nor a PageRangeList") != std::string::npos);
  CHECK(refusal("<DriveManifest Version='2014-11-01'><Drive><DriveId>A</DriveId></Drive></DriveManifest>")
            .find("element Drive has no BlobList") != std::string::npos);
  CHECK(refusal("<DriveManifest Version='2014-11-01'/>").find("DriveManifest has no Drive") !=
        std::string::npos);
  CHECK(refusal("<Other/>").find("the document element is Other, not DriveManifest") !=
        std::string::npos);
  CHECK(refusal("").find("not well-formed") != std::string::npos);
  CHECK(refusal("not xml").find("not an XML document in UTF-8") != std::string::npos);
}

TEST_CASE("more than 64 MiB in blocks needs ids") {
  const auto manifest = [](bool with_ids, std::uint64_t length) {
    std::string text = "<DriveManifest Version='2014-11-01'><Drive><DriveId>A</DriveId><BlobList><Blob>"
                       "<BlobPath>c/b</BlobPath><FilePath>\\b</FilePath><Length>" +
                       std::to_string(length) + "</Length><BlockList>";
    for (std::uint64_t at = 0; at < length; at += kPieceLength) {
      text += "<Block Offset='" + std::to_string(at) + "' Length='" +
              std::to_string(std::min(kPieceLength, length - at)) + "'" +
              (with_ids ? " Id='AAAA'" : "") + " Hash='00000000000000000000000000000000'/>";
    }
    return text + "</BlockList></Blob></BlobList></Drive></DriveManifest>";
  };
  CHECK(refusal(manifest(false, 64 * kMiB)) == "");
  CHECK(refusal(manifest(true, 64 * kMiB + 1)) == "");
  CHECK(refusal(manifest(false, 64 * kMiB + 1)).find("need an Id") != std::string::npos);
}

TEST_CASE("a torn or damaged document is refused wherever it ends") {
  const std::string whole(kWorkedExample);
  const std::size_t last = whole.rfind('>');
  for (std::size_t size = 0; size < last; size += 13) {
    INFO(size);
    REQUIRE_FALSE(refusal(whole.substr(0, size)).empty());
  }
  CHECK_FALSE(refusal(whole + "<more/>").empty());
  CHECK_FALSE(refusal("</Drive>", "</Drives>").empty());
}

TEST_CASE("document types, entities and other encodings are refused") {
  const std::string declaration = "<?xml version=\"1.0\" encoding=\"utf-8\"?>";
  CHECK(refusal(declaration, declaration + "<!DOCTYPE DriveManifest>")
            .find("a document type is not allowed") != std::string::npos);
  CHECK(refusal(declaration,
                declaration + "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>")
            .find("a document type is not allowed") != std::string::npos);
  CHECK(refusal(declaration, declaration + "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">")
            .find("a document type is not allowed") != std::string::npos);
  CHECK_FALSE(refusal("pictures/readme.txt", "pictures/&unknown;").empty());
  CHECK(refusal("encoding=\"utf-8\"", "encoding=\"iso-8859-1\"").find("not UTF-8") !=
        std::string::npos);
  CHECK_FALSE(refusal("pictures/readme.txt", "pictures/\xFF").empty());
  std::string wide;
  for (const char c : kWorkedExample) wide += std::string{c, '\0'};
  CHECK(refusal(wide).find("not an XML document in UTF-8") != std::string::npos);
  CHECK(refusal("\xFF\xFE" + wide).find("not an XML document in UTF-8") != std::string::npos);
}

TEST_CASE("depth, text length and attributes are capped") {
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "<x>";
  CHECK(refusal("<Blob>", deep).find("nested more than 32 deep") != std::string::npos);
  CHECK(refusal("example-prep 1.0", std::string(128 * 1024, 'x')) == "");
  CHECK(refusal("example-prep 1.0", std::string(128 * 1024 + 1, 'x'))
            .find("the text of ClientCreator is longer than 128 KiB") != std::string::npos);
  std::string many;
  for (int i = 0; i < 40; ++i) many += " a" + std::to_string(i) + "='1'";
  CHECK(refusal("<Blob>", "<Blob" + many + ">").find("too many attributes") != std::string::npos);
}

TEST_CASE("an error of the source comes through unchanged") {
  ManifestReader reader(
      [text = text_source(std::string(kWorkedExample), 700), calls = 0](
          MutableByteView out) mutable -> std::size_t {
        if (++calls == 3) throw Error(ErrorKind::kBusy, "drive-vanished", "gone");
        return text(out);
      },
      "M");
  Blob blob;
  CHECK(error_of([&] {
          while (reader.next(blob)) {
          }
        }) == "busy/drive-vanished");
}

}  // namespace
}  // namespace driveprep::manifest
