// Compares the content of one file with the pieces that a manifest names, as it passes.
//
// Pieces that lie whole in a part are hashed side by side (base/md5_lanes.h), so parts of many
// pieces are fast; others are hashed on their own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/manifest/manifest_format.h"
#include "base/digest.h"

namespace driveprep::volume {

class PieceCheck {
 public:
  // Where a piece begins, and how it differs: "expected MD5 ..., found ...".
  using OnMismatch = std::function<void(std::uint64_t offset, const std::string& what)>;

  // `pieces` are in order and do not overlap, as the manifest's reader promises; they must outlive
  // this.
  PieceCheck(const std::vector<manifest::Piece>& pieces, OnMismatch on_mismatch)
      : pieces_(pieces), on_mismatch_(std::move(on_mismatch)) {}

  // The next bytes of the file.
  void add(ByteView part);
  // The file has ended; pieces that it did not reach are mismatches.
  void finish();

  // Bytes that were compared.
  std::uint64_t covered() const { return covered_; }

 private:
  void compare(const manifest::Piece& piece, const Md5& found);

  const std::vector<manifest::Piece>& pieces_;
  OnMismatch on_mismatch_;
  std::uint64_t position_ = 0;   // in the file
  std::size_t next_ = 0;         // the first piece that is not finished
  std::optional<Digest> begun_;  // of that piece
  std::uint64_t covered_ = 0;
};

}  // namespace driveprep::volume
