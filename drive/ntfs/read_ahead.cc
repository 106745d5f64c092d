#include "drive/ntfs/read_ahead.h"

#include <algorithm>

namespace driveprep::ntfs {

ReadAhead::ReadAhead(const block::ReadableDevice& device)
    : device_(device), window_(kPiece * kSequential) {}

void ReadAhead::read(std::uint64_t offset, MutableByteView out) {
  check_range(device_, offset, out.size(), "read metadata");
  for (std::size_t done = 0; done < out.size();) {
    const std::uint64_t at = offset + done;
    const std::size_t inside = at % kPiece;
    const std::size_t count = std::min(kPiece - inside, out.size() - done);
    std::memcpy(out.data() + done, piece(at / kPiece).data() + inside, count);
    done += count;
  }
}

void ReadAhead::write(std::uint64_t, ByteView) { internal_error("a volume opened to read was written"); }

const Bytes& ReadAhead::piece(std::uint64_t number) {
  if (!pieces_.empty() && pieces_.front().number == number) return pieces_.front().data;
  const auto found = places_.find(number);
  if (found != places_.end()) {
    pieces_.splice(pieces_.begin(), pieces_, found->second);
    return pieces_.front().data;
  }

  const bool sequential = number != 0 && places_.contains(number - 1);
  const std::uint64_t begin = number * kPiece;
  const std::uint64_t end =
      std::min<std::uint64_t>(begin + kPiece * (sequential ? kSequential : 1), device_.size());
  device_.read(begin, window_.span().first(end - begin));

  // Last to first, so that the piece that was asked for ends up in front.
  const std::uint64_t count = (end - begin + kPiece - 1) / kPiece;
  for (std::uint64_t i = count; i-- > 0;) {
    const auto old = places_.find(number + i);
    if (old != places_.end()) {
      pieces_.splice(pieces_.begin(), pieces_, old->second);
      continue;
    }
    if (pieces_.size() >= kCapacity) {
      places_.erase(pieces_.back().number);
      pieces_.splice(pieces_.begin(), pieces_, std::prev(pieces_.end()));
    } else {
      pieces_.emplace_front();
    }
    Piece& fresh = pieces_.front();
    fresh.number = number + i;
    fresh.data.resize(kPiece);
    const std::uint64_t from = i * kPiece;
    const std::size_t length = std::min<std::uint64_t>(kPiece, end - begin - from);
    std::memcpy(fresh.data.data(), window_.span().data() + from, length);
    places_[fresh.number] = pieces_.begin();
  }
  return pieces_.front().data;
}

}  // namespace driveprep::ntfs
