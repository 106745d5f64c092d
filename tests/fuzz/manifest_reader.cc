// Whatever the input is, the reader either refuses it with "manifest-invalid" or understands it so
// well that writing what it read and reading that gives the same again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "agent/manifest/manifest_reader.h"
#include "agent/manifest/manifest_writer.h"

namespace {

using namespace driveprep;
using namespace driveprep::manifest;

struct Document {
  ManifestHeader header;
  std::vector<BlobList> lists;
  std::vector<Blob> blobs;
};

ManifestReader::Source source_over(ByteView data) {
  return [data](MutableByteView out) mutable {
    const std::size_t count = std::min(out.size(), data.size());
    std::copy_n(data.begin(), count, out.begin());
    data = data.subspan(count);
    return count;
  };
}

Document read(ByteView data) {
  ManifestReader reader(source_over(data), "the input");
  Document document;
  Blob blob;
  while (reader.next(blob)) document.blobs.push_back(blob);
  document.header = reader.header();
  document.lists = reader.lists();
  return document;
}

std::string write(const Document& document) {
  std::string xml;
  ManifestWriter writer([&](ByteView data) { xml += as_text(data); }, document.header);
  std::size_t next = 0;
  for (std::size_t list = 0; list < document.lists.size(); ++list) {
    writer.begin_list(document.lists[list]);
    for (; next < document.blobs.size() && document.blobs[next].list == list; ++next) {
      const Blob& blob = document.blobs[next];
      writer.begin_blob(blob.header);
      for (const Piece& piece : blob.pieces) writer.piece(piece.offset, piece.length, piece.hash);
      writer.end_blob();
    }
    writer.end_list();
  }
  writer.finish();
  return xml;
}

[[noreturn]] void broken(const std::string& what) {
  std::cerr << what << '\n';
  std::abort();
}

void expect_equal(const Document& a, const Document& b) {
  if (a.header != b.header) broken("another header came back");
  if (a.lists != b.lists) broken("other lists came back");
  if (a.blobs.size() != b.blobs.size()) broken("another number of blobs came back");
  for (std::size_t i = 0; i < a.blobs.size(); ++i) {
    if (a.blobs[i].list != b.blobs[i].list || a.blobs[i].header != b.blobs[i].header ||
        a.blobs[i].pieces != b.blobs[i].pieces) {
      broken("another blob came back");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Document document;
  try {
    document = read(std::as_bytes(std::span(data, size)));
  } catch (const Error& error) {
    if (error.code() != "manifest-invalid") broken(error.what());
    return 0;
  }
  try {
    expect_equal(document, read(as_bytes(write(document))));
  } catch (const Error& error) {
    broken("what was read cannot be written and read: " + std::string(error.what()));
  }
  return 0;
}
