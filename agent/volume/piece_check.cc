#include "agent/volume/piece_check.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/md5_lanes.h"

namespace driveprep::volume {

void PieceCheck::add(ByteView part) {
  const std::uint64_t begin = position_;
  const std::uint64_t end = begin + part.size();
  position_ = end;
  std::vector<const manifest::Piece*> whole;
  std::vector<ByteView> views;
  for (; next_ < pieces_.size() && pieces_[next_].offset < end; ++next_) {
    const manifest::Piece& piece = pieces_[next_];
    const std::uint64_t piece_end = piece.offset + piece.length;
    const std::uint64_t from = std::max(begin, piece.offset);
    const ByteView inside = part.subspan(from - begin, std::min(end, piece_end) - from);
    covered_ += inside.size();
    if (inside.size() == piece.length) {
      whole.push_back(&piece);
      views.push_back(inside);
      continue;
    }
    if (!begun_) begun_.emplace(Digest::Algorithm::kMd5);
    begun_->update(inside);
    if (piece_end > end) break;
    Md5 found;
    std::ranges::copy(begun_->finish(), found.begin());
    begun_.reset();
    compare(piece, found);
  }
  std::vector<Md5> found(views.size());
  md5_lanes(views, found);
  for (std::size_t i = 0; i < found.size(); ++i) compare(*whole[i], found[i]);
}

void PieceCheck::finish() {
  for (; next_ < pieces_.size(); ++next_) {
    const manifest::Piece& piece = pieces_[next_];
    if (piece.length == 0) {
      compare(piece, md5({}));
    } else {
      on_mismatch_(piece.offset, "the file ends at " + std::to_string(position_));
    }
  }
}

void PieceCheck::compare(const manifest::Piece& piece, const Md5& found) {
  if (found == piece.hash) return;
  on_mismatch_(piece.offset,
               "expected MD5 " + hex_upper(piece.hash) + ", found " + hex_upper(found));
}

}  // namespace driveprep::volume
