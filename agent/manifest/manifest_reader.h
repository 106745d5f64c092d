// Reads a drive manifest as a stream, ours or another tool's.
//
// Elements may come in any order, except that DriveId precedes the first BlobList; unknown elements
// and attributes are passed over. Values are held to the rules of manifest_format.h. No document
// type, no entities, no network; nesting, text lengths and counts are capped. Every complaint is an
// Error of kind kVerification, code "manifest-invalid", with the line and the element; errors of
// the source pass through unchanged.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/manifest/manifest_format.h"
#include "base/bytes.h"

namespace driveprep::manifest {

struct Blob {
  std::size_t list = 0;  // index into ManifestReader::lists()
  BlobHeader header;
  bool with_ids = false;
  std::vector<Piece> pieces;
};

class ManifestReader {
 public:
  // Fills the front of the buffer and returns the count; 0 is the end.
  using Source = std::function<std::size_t(MutableByteView)>;

  // Reads up to the first BlobList. `name` appears in errors.
  ManifestReader(Source source, std::string name);
  ManifestReader(const ManifestReader&) = delete;
  ManifestReader& operator=(const ManifestReader&) = delete;
  ~ManifestReader();

  // Version and drive id are there from the start; the creator may follow the blobs.
  const ManifestHeader& header() const;
  // The next blob into `blob`, whose memory is used again; false after the last one, when the whole
  // document has been read and was well-formed.
  bool next(Blob& blob);
  // The lists met so far. What follows the blobs of a list is known once next() has passed it.
  const std::vector<BlobList>& lists() const;

  // Of the whole manifest; only after next() has returned false.
  Md5 md5();
  // Read so far.
  std::uint64_t bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// A source over an open file from its start; the descriptor must stay open.
ManifestReader::Source file_source(int fd, std::string name);

}  // namespace driveprep::manifest
