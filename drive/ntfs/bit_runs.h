// Finds runs of equal bits in a bitmap that is read piece by piece, a 64-bit word at a time.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/bytes.h"

namespace driveprep::ntfs {

// Bit n of a bitmap is bit n % 8 of byte n / 8; behind its end none is set.
inline bool is_marked(ByteView bitmap, std::uint64_t n) {
  return n / 8 < bitmap.size() && (std::to_integer<unsigned>(bitmap[n / 8]) >> (n % 8) & 1) != 0;
}

// Calls emit(first, count) for each maximal run of bits that are `wanted`, in ascending order. Bit
// n of the bitmap is bit n % 8 of byte n / 8. emit returns false to stop the scan.
template <typename Emit>
class BitRunScanner {
 public:
  BitRunScanner(bool wanted, Emit emit) : wanted_(wanted), emit_(std::move(emit)) {}

  // Feeds bits [first, first + count); pieces come in ascending order without gaps. `first` is a
  // multiple of 8 and is bit 0 of `bytes`. Returns false when emit stopped the scan.
  bool feed(std::uint64_t first, ByteView bytes, std::uint64_t count) {
    for (std::uint64_t at = 0; at < count; at += 64) {
      const std::uint64_t width = count - at < 64 ? count - at : 64;
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at / 8, (width + 7) / 8);
      if (!wanted_) word = ~word;
      if (width < 64) word &= (std::uint64_t{1} << width) - 1;
      if (word == 0) {
        if (!close(first + at)) return false;
      } else if (word == ~std::uint64_t{0}) {
        open(first + at);
      } else if (!mixed(first + at, word, width)) {
        return false;
      }
    }
    end_ = first + count;
    return true;
  }

  // Bits of the run that reaches the end of what was fed.
  std::uint64_t pending() const { return start_ == kNone ? 0 : end_ - start_; }

  // Emits that run.
  void finish() { close(end_); }

 private:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  void open(std::uint64_t at) {
    if (start_ == kNone) start_ = at;
  }

  bool close(std::uint64_t at) {
    if (start_ == kNone) return true;
    const std::uint64_t start = std::exchange(start_, kNone);
    return emit_(start, at - start);
  }

  bool mixed(std::uint64_t base, std::uint64_t word, std::uint64_t width) {
    std::uint64_t at = 0;
    while (at < width) {
      const std::uint64_t rest = word >> at;
      if (rest & 1) {
        open(base + at);
        at += static_cast<std::uint64_t>(std::countr_one(rest));
      } else {
        if (!close(base + at)) return false;
        if (rest == 0) return true;
        at += static_cast<std::uint64_t>(std::countr_zero(rest));
      }
    }
    return true;
  }

  const bool wanted_;
  Emit emit_;
  std::uint64_t start_ = kNone;
  std::uint64_t end_ = 0;
};

}  // namespace driveprep::ntfs
