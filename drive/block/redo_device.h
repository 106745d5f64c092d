// A device that holds writes back in a redo file until they can all be made at once.
//
// A checkpoint of the file system is many scattered writes that must happen together. Between
// begin() and apply() every write goes to the redo file instead of the device below. When seal()
// has returned, the file is durable: from then on the writes can be repeated at will (they are
// idempotent), so a crash while they are made is harmless. The redo device sits *below* the
// encryption, so the file holds ciphertext only.
//
// Redo file (our own format, version 2; integers little-endian):
//   header   magic "DPREDO\0\2", u64 checkpoint number, u64 record count, u64 total bytes,
//            32 bytes digest
//   record   u64 offset, u64 length, then `length` bytes
// The digest is the SHA-256 of, for each record, its offset, its length and the MD5 of each 64 KiB
// of its data: those are computed side by side in vector lanes, and a checkpoint waits for them. It
// tells a torn or foreign file; it is no protection against forgery.
#pragma once

#include <filesystem>
#include <vector>

#include "base/digest.h"
#include "base/unique_fd.h"
#include "drive/block/block_device.h"

namespace driveprep::block {

class RedoDevice : public BlockDevice {
 public:
  // `below` must outlive this. The file at `redo_path` is created (0600) when first needed.
  RedoDevice(BlockDevice& below, std::filesystem::path redo_path);

  std::uint64_t size() const override { return below_.size(); }
  SectorSize sector_size() const override { return below_.sector_size(); }
  std::string name() const override { return below_.name(); }
  // Reads see the device below: whoever writes during a recording must not read it back.
  void read(std::uint64_t offset, MutableByteView out) const override { below_.read(offset, out); }
  void write(std::uint64_t offset, ByteView data) override;
  void flush() override { below_.flush(); }

  // Starts recording checkpoint `number`.
  void begin(std::uint64_t number);
  // The redo file is complete and durable. Returns the digest in its header.
  Sha256 seal();
  // Makes the recorded writes on the device below and flushes it; recording ends.
  void apply();
  // Forgets the recording (nothing of it has reached the device) and empties the file.
  void abandon();

  // After a crash: applies the redo file if it is complete and holds exactly checkpoint `number`
  // with `digest`. Returns false when the file is absent, torn, or another checkpoint.
  bool replay(std::uint64_t number, const Sha256& digest);

 private:
  struct Record {
    std::uint64_t offset;
    std::uint64_t length;
    std::uint64_t file_position;
  };
  void copy_to_device(const std::vector<Record>& records);

  BlockDevice& below_;
  std::filesystem::path path_;
  UniqueFd file_;
  bool recording_ = false;
  std::uint64_t number_ = 0;
  std::uint64_t position_ = 0;
  std::vector<Record> records_;
  Digest digest_{Digest::Algorithm::kSha256};
};

}  // namespace driveprep::block
