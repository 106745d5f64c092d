// Memory aligned for direct input and output.
#pragma once

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/bytes.h"

namespace driveprep::block {

// What O_DIRECT wants of buffer addresses, offsets and lengths on every device we accept.
inline constexpr std::size_t kDirectAlignment = 4096;

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // `size` bytes, not initialised; rounded up to the alignment.
  explicit AlignedBuffer(std::size_t size)
      : data_(static_cast<std::byte*>(
            std::aligned_alloc(kDirectAlignment, round_up(size, kDirectAlignment)))),
        size_(size) {
    if (size != 0 && data_ == nullptr) throw std::bad_alloc();
  }

  std::size_t size() const { return size_; }
  MutableByteView span() { return {data_.get(), size_}; }
  ByteView span() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

inline bool is_direct_aligned(std::uint64_t offset, ByteView data) {
  return offset % kDirectAlignment == 0 && data.size() % kDirectAlignment == 0 &&
         std::bit_cast<std::uintptr_t>(data.data()) % kDirectAlignment == 0;
}

}  // namespace driveprep::block
