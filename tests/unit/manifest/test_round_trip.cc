// The relation of the fuzz target, on inputs that need no fuzzer.
#include <catch2/catch.hpp>
#include <random>

#include "tests/unit/manifest/worked_example.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace driveprep::manifest {
namespace {

void relate(const std::string& text) {
  (void)LLVMFuzzerTestOneInput(uchars(as_bytes(text)), text.size());
}

TEST_CASE("reading, writing and reading again gives the same, or the input is refused") {
  relate(std::string(kWorkedExample));
  // Repeatable noise: bytes changed, cut out and doubled.
  std::mt19937 random(20260101);
  const auto below = [&](std::size_t limit) { return random() % limit; };
  for (int round = 0; round < 3000; ++round) {
    std::string text(kWorkedExample);
    for (std::size_t change = below(4) + 1; change > 0; --change) {
      const std::size_t at = below(text.size() - 40);
      switch (below(4)) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text[at] = "<>&\"/ 0\\#"[below(9)]; break;
        case 2: text.erase(at, below(40)); break;
        default: text.insert(below(text.size()), text.substr(at, below(40))); break;
      }
    }
    relate(text);
  }
}

TEST_CASE("a manifest of many files comes back as it was written") {
  std::string xml;
  ManifestWriter writer([&](ByteView data) { xml += as_text(data); },
                        {std::string(kManifestVersion), "SERIAL", "driveprep"});
  std::vector<Blob> written;
  for (std::size_t list = 0; list < 3; ++list) {
    writer.begin_list({"s#1-" + std::to_string(list), {}, {}});
    for (std::uint64_t file = 0; file < 5000; ++file) {
      Blob blob;
      blob.list = list;
      blob.header.blob_path = "c/dir & <" + std::to_string(file) + "> \xC3\xA9";
      blob.header.file_path = "\\s\\" + std::to_string(list) + "\\" + std::to_string(file);
      blob.header.length = file * 3001;
      if (file % 2 == 0) blob.header.metadata = AttachedFile{"\\s\\m", md5(as_bytes("m"))};
      writer.begin_blob(blob.header);
      for (std::uint64_t at = 0; at < blob.header.length; at += kPieceLength) {
        const auto length =
            static_cast<std::uint32_t>(std::min(kPieceLength, blob.header.length - at));
        const Md5 hash = md5(as_bytes(std::to_string(file + at)));
        blob.pieces.push_back({at, length, hash});
        writer.piece(at, length, hash);
      }
      writer.end_blob();
      written.push_back(blob);
    }
    writer.end_list();
  }
  const ManifestSummary summary = writer.finish();
  CHECK(summary.blobs == written.size());

  ManifestReader reader(text_source(xml), "M");
  Blob blob;
  std::size_t index = 0;
  while (reader.next(blob)) {
    REQUIRE(index < written.size());
    REQUIRE(blob.list == written[index].list);
    REQUIRE(blob.header == written[index].header);
    REQUIRE(blob.pieces == written[index].pieces);
    ++index;
  }
  CHECK(index == written.size());
  CHECK(reader.md5() == summary.md5);
}

}  // namespace
}  // namespace driveprep::manifest
