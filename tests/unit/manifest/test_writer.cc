#include <catch2/catch.hpp>
#include <ctime>

#include "base/encoding.h"
#include "base/subprocess.h"
#include "base/atomic_file.h"
#include "tests/unit/manifest/worked_example.h"

namespace driveprep::manifest {
namespace {

// Cuts a file into pieces of 4 MiB and hashes them, as the copy does.
void write_pieces(ManifestWriter& writer, ByteView data) {
  for (std::size_t at = 0; at < data.size(); at += kPieceLength) {
    const ByteView piece = data.subspan(at, std::min<std::size_t>(kPieceLength, data.size() - at));
    writer.piece(at, static_cast<std::uint32_t>(piece.size()), md5(piece));
  }
}

BlobHeader blob(std::string blob_path, std::string file_path, std::uint64_t length,
                std::optional<Disposition> disposition = {}, BlobType type = BlobType::kBlock) {
  BlobHeader header;
  header.blob_path = std::move(blob_path);
  header.file_path = std::move(file_path);
  header.length = length;
  header.disposition = disposition;
  header.type = type;
  return header;
}

ManifestWriter::Sink into(std::string& text) {
  return [&text](ByteView data) { text += as_text(data); };
}

ManifestHeader sample_header() { return {std::string(kManifestVersion), "ZC1A0F7K", ""}; }

TEST_CASE("the worked example is reproduced byte by byte from its data") {
  const Bytes a = counting_bytes(10 * kMiB);
  const Bytes disk = worked_example_disk();
  std::string xml;
  ManifestWriter writer(into(xml), {std::string(kManifestVersion), "ZC1A0F7K", "example-prep 1.0"});
  writer.begin_list({"photos#1-0", AttachedFile{"\\photos#1\\meta.xml", md5(as_bytes(kMetadataXml))},
                     AttachedFile{"\\photos#1\\props.xml", md5(as_bytes(kPropertiesXml))}});
  writer.begin_blob(blob("pictures/2023/a.bin", "\\photos#1\\2023\\a.bin", a.size(),
                         Disposition::kNoOverwrite));
  write_pieces(writer, a);
  writer.end_blob();
  writer.begin_blob(
      blob("pictures/readme.txt", "\\photos#1\\readme.txt", kReadme.size(), Disposition::kRename));
  write_pieces(writer, as_bytes(kReadme));
  writer.end_blob();
  writer.end_list();
  writer.begin_list({"vhds#1-0", {}, {}});
  writer.begin_blob(blob("vhds/disk0.vhd", "\\vhds#1\\disk0.vhd", disk.size(),
                         Disposition::kOverwrite, BlobType::kPage));
  const ByteView view(disk);
  writer.piece(0, kPieceLength, md5(view.first(kPieceLength)));
  writer.piece(disk.size() - 512, 512, md5(view.last(512)));
  writer.end_blob();
  writer.end_list();
  const ManifestSummary summary = writer.finish();

  CHECK(xml == kWorkedExample);
  CHECK(summary.bytes == xml.size());
  CHECK(summary.md5 == md5(as_bytes(xml)));
  CHECK(summary.md5_hex == hex_upper(md5(as_bytes(xml))));
  CHECK(summary.lists == 2);
  CHECK(summary.blobs == 3);
  CHECK(summary.pieces == 6);
}

TEST_CASE("xmllint finds a manifest with odd names well-formed and reads the names back") {
  if (!std::filesystem::exists("/usr/bin/xmllint")) {
    WARN("skipped: xmllint is not installed");
    return;
  }
  const std::string odd = "c/a&b<c>\"d'\t\n\r]]> \xC3\xA4 \xF0\x9F\x98\x80 \xEE\x80\x80";
  const test::ScratchDirectory directory;
  std::string xml;
  ManifestWriter writer(into(xml), sample_header());
  writer.begin_list({"s&\"<\t#1-0", {}, {}});
  writer.begin_blob(blob(odd, "\\s\\x", 0));
  writer.end_blob();
  writer.end_list();
  writer.finish();
  const auto file = directory.path() / "m.xml";
  write_file_atomically(file, as_bytes(xml), 0600);
  CHECK(run_subprocess("/usr/bin/xmllint", {"--noout", file.string()}).exit_status == 0);
  CHECK(run_subprocess("/usr/bin/xmllint", {"--xpath", "string(//BlobPath)", file.string()}).output ==
        odd + "\n");
  CHECK(run_subprocess("/usr/bin/xmllint", {"--xpath", "string(//BlobList/@Id)", file.string()})
            .output == "s&\"<\t#1-0\n");
}

TEST_CASE("block ids count in 32-bit little-endian base64") {
  std::string xml;
  ManifestWriter writer(into(xml), sample_header());
  writer.begin_list({"s#1-0", {}, {}});
  const std::uint64_t blocks = 1000;
  writer.begin_blob(blob("c/b", "\\s\\b", blocks * kPieceLength));
  for (std::uint64_t i = 0; i < blocks; ++i) writer.piece(i * kPieceLength, kPieceLength, {});
  writer.end_blob();
  writer.end_list();
  writer.finish();
  for (std::uint32_t i = 0; i < blocks; ++i) {
    const std::string expected = "Offset=\"" + std::to_string(i * kPieceLength) +
                                 "\" Length=\"4194304\" Id=\"" +
                                 base64(ByteWriter().u32(i).take()) + "\"";
    INFO(expected);
    REQUIRE(xml.find(expected) != std::string::npos);
  }
}

TEST_CASE("a list without blobs is left out, a manifest without blobs is refused") {
  std::string xml;
  ManifestWriter writer(into(xml), sample_header());
  writer.begin_list({"gone#1-0", {}, {}});
  writer.end_list();
  SECTION("no list with blobs") {
    CHECK(error_of([&] { writer.finish(); }) == "usage/manifest-empty");
  }
  SECTION("another list has one") {
    writer.begin_list({"here#1-0", {}, {}});
    writer.begin_blob(blob("c/b", "\\s\\b", 0));
    writer.end_blob();
    writer.end_list();
    CHECK(writer.finish().lists == 1);
    CHECK(xml.find("gone") == std::string::npos);
    CHECK(xml.find("here#1-0") != std::string::npos);
  }
}

TEST_CASE("values that a manifest cannot hold are refused") {
  std::string xml;
  const std::string code = "usage/manifest-invalid-value";
  const auto header = [&](std::string id, std::string creator = "") {
    return error_of([&] {
      ManifestWriter(into(xml), {std::string(kManifestVersion), std::move(id), std::move(creator)});
    });
  };
  CHECK(header("") == code);
  CHECK(header("AB CD") == code);
  CHECK(header("AB\x01") == code);
  CHECK(header("AB", "\xFF") == code);
  CHECK(error_of([&] { ManifestWriter(into(xml), {"2099-01-01", "AB", ""}); }) == code);

  const auto one_blob = [&](const BlobHeader& header_of_blob) {
    return error_of([&] {
      ManifestWriter writer(into(xml), sample_header());
      writer.begin_list({"s#1-0", {}, {}});
      writer.begin_blob(header_of_blob);
    });
  };
  CHECK(one_blob(blob("c/b", "\\s\\b", 0)) == "");
  for (const char* path : {"", "c", "/c/b", "c/", "c/\x01", "c/\x1F", "c/\x80", "c/\xC0\x80",
                           "c/\xED\xA0\x80", "c/\xEF\xBF\xBE", "c/\xEF\xBF\xBF", "c/\xF4\x90\x80\x80",
                           "c/\xE2\x82", "c/\xF8\x88\x80\x80\x80"}) {
    INFO(path);
    CHECK(one_blob(blob(path, "\\s\\b", 0)) == code);
  }
  for (const char* path : {"", "s\\b", "\\", "\\s\\", "\\s\\\\b", "\\s/b", "\\s\\..\\b", "\\.",
                           "\\s\\b\x02"}) {
    INFO(path);
    CHECK(one_blob(blob("c/b", path, 0)) == code);
  }
  BlobHeader attached = blob("c/b", "\\s\\b", 0);
  attached.metadata = AttachedFile{"meta.xml", {}};
  CHECK(one_blob(attached) == code);
  BlobHeader data = blob("c/b", "\\s\\b", 0);
  data.client_data = "\x7F is fine, \x0B is not";
  CHECK(one_blob(data) == code);

  ManifestWriter writer(into(xml), sample_header());
  CHECK(error_of([&] { writer.begin_list({"\x01", {}, {}}); }) == code);
  CHECK(error_of([&] { writer.begin_list({"", {}, AttachedFile{"x", {}}}); }) == code);
}

TEST_CASE("the error of a bad name says which and where") {
  std::string xml;
  ManifestWriter writer(into(xml), sample_header());
  writer.begin_list({"s#1-0", {}, {}});
  try {
    writer.begin_blob(blob("pictures/a\x01z", "\\s\\b", 0));
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) ==
          "BlobPath 'pictures/a...' has 0x01 at byte 10, which XML cannot hold");
    CHECK_FALSE(error.remedy().empty());
  }
}

TEST_CASE("pieces that break the rules of coverage are a bug of the caller") {
  std::string xml;
  ManifestWriter writer(into(xml), sample_header());
  writer.begin_list({"s#1-0", {}, {}});
  writer.begin_blob(blob("c/b", "\\s\\b", 10));
  SECTION("a gap") { CHECK(error_of([&] { writer.piece(1, 9, {}); }) == "internal/internal"); }
  SECTION("too long") { CHECK(error_of([&] { writer.piece(0, 11, {}); }) == "internal/internal"); }
  SECTION("not covered") {
    writer.piece(0, 9, {});
    CHECK(error_of([&] { writer.end_blob(); }) == "internal/internal");
  }
  SECTION("order of calls") {
    CHECK(error_of([&] { writer.end_list(); }) == "internal/internal");
    CHECK(error_of([&] { writer.finish(); }) == "internal/internal");
    CHECK(error_of([&] { writer.begin_list({}); }) == "internal/internal");
    CHECK(error_of([&] { writer.begin_blob(blob("c/b", "\\b", 0)); }) == "internal/internal");
  }
}

// Processor time, so that a busy machine does not fail it.
TEST_CASE("a million blocks are written in less than a second") {
  std::uint64_t bytes = 0;
  const std::clock_t start = std::clock();
  ManifestWriter writer([&](ByteView data) { bytes += data.size(); }, sample_header());
  writer.begin_list({"s#1-0", {}, {}});
  for (int file = 0; file < 20; ++file) {
    writer.begin_blob(blob("c/b" + std::to_string(file), "\\s\\b", kMaxBlocks * kPieceLength));
    for (std::uint64_t i = 0; i < kMaxBlocks; ++i) writer.piece(i * kPieceLength, kPieceLength, {});
    writer.end_blob();
  }
  writer.end_list();
  const ManifestSummary summary = writer.finish();
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  CHECK(summary.pieces == 1'000'000);
  CHECK(summary.bytes == bytes);
  INFO(seconds);
#ifdef __SANITIZE_ADDRESS__
  WARN("skipped: the speed of an instrumented program says nothing");
#else
  CHECK(seconds < 1.0);
#endif
}

}  // namespace
}  // namespace driveprep::manifest
