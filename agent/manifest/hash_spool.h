// The hash spool keeps the block hashes of copied files until the manifest is written, so that
// they need neither memory nor a second reading. One file a drive, append-only.
//
// Format (our own, version 1; integers little-endian): 8 bytes "DPHASH\0\1", then records:
//   u64 file number; u8 status: 1 done, 2 failed, 3 part; u8 kind: 0 block, 1 page; u16 0;
//   u32 piece length; u64 length; u64 begin;
//   unless failed: for kind page ceil(n / 8) bytes with bit i (lowest first) set when piece i is
//   present; then 16 bytes MD5 for each (present) piece,
// where n = number of pieces of [begin, length). `length` is the whole file's for done; for part it
// is where the part ends, a multiple of the piece length. `begin` is the end of the file's parts
// before it: parts make a long file resumable in its middle, and begin = 0 starts the file over.
// The records of one file are neighbours.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "agent/manifest/manifest_format.h"
#include "base/bytes.h"
#include "base/unique_fd.h"

namespace driveprep::manifest {

enum class SpoolStatus : std::uint8_t { kDone = 1, kFailed = 2, kPart = 3 };

// One record. From the reader: a whole file, its parts joined (`begin` is 0, status done or
// failed).
struct FileHashes {
  std::uint64_t number = 0;
  SpoolStatus status = SpoolStatus::kDone;
  BlobType type = BlobType::kBlock;
  std::uint32_t piece_length = kPieceLength;
  std::uint64_t length = 0;
  std::uint64_t begin = 0;
  std::vector<Md5> hashes;  // one for each piece of [begin, length) that is not left out
  // Page blobs: present[i] != 0 when piece i has a hash, 0 when it is all zeros and left out.
  std::vector<std::uint8_t> present;

  std::uint64_t piece_count() const;
};

class HashSpoolWriter {
 public:
  // Opens or creates the file (0600) and cuts it to `committed_length` bytes (0: starts anew): what
  // lies behind belongs to no checkpoint. kJournalMismatch "hash-spool-short" when it has fewer.
  HashSpoolWriter(const std::filesystem::path& path, std::uint64_t committed_length);

  // Buffered. Memory stays small; errors of the file are of kind kWrite.
  void append(const FileHashes& file);
  void append_failed(std::uint64_t number);
  // Everything appended is durable; returns the length to put into the checkpoint.
  std::uint64_t sync();

 private:
  void drain();

  std::string name_;
  UniqueFd fd_;
  std::uint64_t written_ = 0;
  ByteWriter buffer_;
};

class HashSpoolReader {
 public:
  // Reads the first `committed_length` bytes; what lies behind is ignored.
  HashSpoolReader(const std::filesystem::path& path, std::uint64_t committed_length);

  // The next finished or failed file in the order of the spool (a file that failed and was copied
  // later appears twice); false at the end. A file of which only parts are there does not appear.
  // kJournalMismatch "hash-spool-malformed" with the offset for anything that is not as above.
  bool next(FileHashes& file);

 private:
  void read_hashes(FileHashes& file, std::uint64_t at, std::uint64_t pieces);
  void fill(MutableByteView out);
  [[noreturn]] void malformed(std::uint64_t at, const char* problem) const;

  std::string name_;
  UniqueFd fd_;
  std::uint64_t end_;
  std::uint64_t position_ = 0;      // of the next byte to hand out
  std::uint64_t buffer_start_ = 0;  // file offset of buffer_[0]
  Bytes buffer_;
  std::size_t buffered_ = 0;
};

}  // namespace driveprep::manifest
