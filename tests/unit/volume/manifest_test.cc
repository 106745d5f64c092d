#include <catch2/catch.hpp>

#include "agent/volume/extract.h"
#include "tests/support/scratch.h"
#include "tests/unit/volume/own_volume.h"

using namespace driveprep;
using namespace driveprep::volume;
using driveprep::ntfs::test::content_of;
using driveprep::test::ScratchDirectory;
using driveprep::volume::test::bytes_of;
using driveprep::volume::test::manifest_of;
using driveprep::volume::test::OwnVolume;

namespace {

using Files = std::map<std::string, Bytes>;

const Files kFiles = {{"s/a/one", content_of(100, 1)},
                      {"s/a/two", content_of(70'000, 2)},
                      {"s/b/large", content_of(21'000'000, 3)},
                      {"s/b/nothing", {}}};

Files with(Files files, const std::string& path, Bytes content) {
  files[path] = std::move(content);
  return files;
}

ExtractReport extract_all(const OwnVolume& own, const ScratchDirectory& scratch,
                          const std::string& path = "", bool verify = true) {
  ntfs::FileTree tree(own.device);
  ExtractRequest request;
  request.path = path;
  request.output = scratch / "out";
  request.verify = verify;
  return extract(tree, request);
}

Bytes content_at(const std::filesystem::path& path) {
  return bytes_of(posix::read_file(path, kGiB, ErrorKind::kInternal));
}

std::string replaced(const Bytes& text, const std::string& from, const std::string& with_text) {
  std::string changed(as_text(text));
  REQUIRE(changed.find(from) != std::string::npos);
  changed.replace(changed.find(from), from.size(), with_text);
  return changed;
}

}  // namespace

TEST_CASE("files that the manifest names are compared as they are extracted") {
  OwnVolume own;
  own.write(
      with(with(kFiles, "DriveManifest.xml", manifest_of(kFiles)), "s/extra", content_of(9, 9)));
  const ScratchDirectory scratch;
  const ExtractReport report = extract_all(own, scratch);
  CHECK(report.ok());
  CHECK(report.files == 6);
  CHECK(report.directories == 3);
  REQUIRE(report.manifest.has_value());
  CHECK(report.manifest->complete);
  CHECK(report.manifest->compared == 4);
  CHECK(report.manifest->unnamed == 1);
  CHECK(report.manifest->differing_files == 0);
  CHECK(report.manifest->uncovered_bytes == 0);
  for (const auto& [path, content] : kFiles)
    CHECK(content_at(scratch / ("out/" + path)) == content);
  CHECK(content_at(scratch / "out/DriveManifest.xml") == manifest_of(kFiles));
}

TEST_CASE("a block that differs is told by file and offset, and the file is there all the same") {
  OwnVolume own;
  own.write(with(kFiles, "DriveManifest.xml", manifest_of(kFiles)));
  own.damage("s/b/large", 9'000'000);
  own.damage("s/b/large", 20'999'999);
  own.damage("s/a/two", 1);
  const ScratchDirectory scratch;
  const ExtractReport report = extract_all(own, scratch);
  CHECK_FALSE(report.ok());
  CHECK(report.failed == 0);
  CHECK(report.differing == 3);
  CHECK(report.manifest->differing_files == 2);
  CHECK(report.manifest->differing_blocks == 3);
  REQUIRE(report.problems.size() == 3);
  CHECK(report.problems[0].path == "s/a/two");
  CHECK(report.problems[0].offset == 0);
  CHECK(report.problems[1].path == "s/b/large");
  CHECK(report.problems[1].offset == 8 * kMiB);
  CHECK(report.problems[1].kind == ProblemKind::kDiffers);
  CHECK(report.problems[1].code == "blocks-differ");
  CHECK_THAT(report.problems[1].message, Catch::Contains("expected MD5"));
  CHECK(report.problems[2].offset == 20 * kMiB);
  CHECK(std::filesystem::file_size(scratch / "out/s/b/large") == 21'000'000);
}

TEST_CASE("files that are missing or have another size than the manifest says are told") {
  Files claimed = kFiles;
  claimed["s/gone"] = content_of(10, 5);
  claimed["s/a/one"] = content_of(101, 1);
  OwnVolume own;
  own.write(with(kFiles, "DriveManifest.xml", manifest_of(claimed)));
  const ScratchDirectory scratch;
  const ExtractReport report = extract_all(own, scratch);
  CHECK(report.manifest->missing == 1);
  CHECK(report.manifest->differing_files == 1);
  bool gone = false;
  bool size = false;
  for (const ExtractProblem& problem : report.problems) {
    gone |= problem.code == "file-missing" && problem.path == "s/gone";
    size |= problem.path == "s/a/one" && problem.message.find("100 bytes") != std::string::npos;
  }
  CHECK(gone);
  CHECK(size);
}

TEST_CASE("only what is asked for is compared") {
  OwnVolume own;
  own.write(with(kFiles, "DriveManifest.xml", manifest_of(kFiles)));
  own.damage("s/b/large", 0);
  const ScratchDirectory scratch;
  const ExtractReport one = extract_all(own, scratch, "S/A");
  CHECK(one.ok());
  CHECK(one.manifest->compared == 2);
  CHECK(one.files == 2);
  CHECK_FALSE(std::filesystem::exists(scratch / "out/s"));
  CHECK(content_at(scratch / "out/a/two") == content_of(70'000, 2));
  const ScratchDirectory other;
  const ExtractReport file = extract_all(own, other, "s/b/large");
  CHECK(file.differing == 1);
  CHECK(file.manifest->compared == 1);
  CHECK(std::filesystem::exists(other / "out/large"));
  const ScratchDirectory third;
  const ExtractReport unverified = extract_all(own, third, "s/b/large", false);
  CHECK(unverified.ok());
  CHECK_FALSE(unverified.manifest.has_value());
}

TEST_CASE("a manifest that cannot be read is told, and everything is extracted without it") {
  OwnVolume own;
  Bytes cut = manifest_of(kFiles);
  cut.resize(cut.size() / 2);
  own.write(with(kFiles, "DriveManifest.xml", cut));
  const ScratchDirectory scratch;
  const ExtractReport report = extract_all(own, scratch);
  CHECK(report.failed == 1);
  CHECK(report.problems.back().code == "manifest-invalid");
  CHECK_FALSE(report.manifest->complete);
  CHECK(report.manifest->compared + report.manifest->unnamed == 4);
  for (const auto& [path, content] : kFiles)
    CHECK(content_at(scratch / ("out/" + path)) == content);
}

TEST_CASE("a file that became two blobs is extracted once and compared twice") {
  OwnVolume own;
  Files twice = kFiles;
  twice["t/copy of two"] = kFiles.at("s/a/two");
  const std::string xml = replaced(manifest_of(twice), "\\t\\copy of two", "\\S\\A\\TWO");
  own.write(with(kFiles, "DriveManifest.xml", bytes_of(xml)));
  own.damage("s/a/two", 5);
  const ScratchDirectory scratch;
  const ExtractReport report = extract_all(own, scratch);
  CHECK(report.files == 5);
  CHECK(report.manifest->compared == 4);
  CHECK(report.differing == 2);
}

TEST_CASE("metadata files are compared whole, empty ranges of page blobs are counted") {
  Bytes disk(10 * kMiB);
  std::ranges::copy(content_of(4 * kMiB, 7), disk.begin() + 4 * kMiB);
  const Bytes metadata = bytes_of("<Metadata><a>b</a></Metadata>");
  Bytes xml;
  manifest::ManifestWriter writer(
      [&](ByteView part) { xml.insert(xml.end(), part.begin(), part.end()); },
      {std::string(manifest::kManifestVersion), "SERIAL", "driveprep"});
  manifest::BlobList list;
  list.metadata = manifest::AttachedFile{"\\s\\metadata-1.xml", md5(metadata)};
  writer.begin_list(list);
  manifest::BlobHeader header;
  header.blob_path = "container/disk.vhd";
  header.file_path = "\\s\\disk.vhd";
  header.length = disk.size();
  header.type = manifest::BlobType::kPage;
  header.properties = manifest::AttachedFile{"\\s\\properties-1.xml", md5(as_bytes("other"))};
  writer.begin_blob(header);
  writer.piece(4 * kMiB, 4 * kMiB, md5(ByteView(disk).subspan(4 * kMiB, 4 * kMiB)));
  writer.end_blob();
  writer.end_list();
  writer.finish();
  OwnVolume own;
  own.write({{"s/disk.vhd", disk},
             {"s/metadata-1.xml", metadata},
             {"s/properties-1.xml", bytes_of("something else")},
             {"DriveManifest.xml", xml}});
  const ScratchDirectory scratch;
  const ExtractReport report = extract_all(own, scratch);
  CHECK(report.manifest->compared == 3);
  CHECK(report.manifest->unnamed == 0);
  CHECK(report.manifest->uncovered_bytes == 6 * kMiB);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].path == "s/properties-1.xml");
  CHECK(content_at(scratch / "out/s/disk.vhd") == disk);
}
