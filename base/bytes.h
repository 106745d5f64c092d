// Byte spans and little-endian cursors: every on-disk structure is parsed and built with these.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace driveprep {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;
using MutableByteView = std::span<std::byte>;

inline ByteView as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// For C interfaces that speak of unsigned char or char: the only place where the type changes.
inline unsigned char* uchars(MutableByteView bytes) {
  return static_cast<unsigned char*>(static_cast<void*>(bytes.data()));
}
inline const unsigned char* uchars(ByteView bytes) {
  return static_cast<const unsigned char*>(static_cast<const void*>(bytes.data()));
}
// The same memory seen as text; nothing is copied.
inline std::string_view as_text(ByteView bytes) {
  return {static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()};
}

inline std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
inline std::uint64_t round_down(std::uint64_t value, std::uint64_t multiple) {
  return value / multiple * multiple;
}

// Reads little-endian values from a span, front to back. Reading past the end throws `FormatError`,
// which the caller turns into an Error that names the object.
class FormatError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : bytes_(bytes) {}

  std::size_t position() const { return position_; }
  std::size_t remaining() const { return bytes_.size() - position_; }

  std::uint8_t u8() { return static_cast<std::uint8_t>(integer(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(integer(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(integer(4)); }
  std::uint64_t u64() { return integer(8); }

  ByteView take(std::size_t count) {
    if (count > remaining()) throw FormatError("the data ends too early");
    ByteView taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }
  void skip(std::size_t count) { (void)take(count); }

 private:
  std::uint64_t integer(std::size_t width) {
    ByteView raw = take(width);
    std::uint64_t value = 0;
    for (std::size_t i = width; i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(raw[i]);
    return value;
  }

  ByteView bytes_;
  std::size_t position_ = 0;
};

// Appends little-endian values to a growing buffer.
class ByteWriter {
 public:
  ByteWriter() = default;
  // Room for so many bytes at once.
  explicit ByteWriter(std::size_t expected) { out_.reserve(expected); }

  ByteWriter& u8(std::uint8_t value) { return integer(value, 1); }
  ByteWriter& u16(std::uint16_t value) { return integer(value, 2); }
  ByteWriter& u32(std::uint32_t value) { return integer(value, 4); }
  ByteWriter& u64(std::uint64_t value) { return integer(value, 8); }
  ByteWriter& bytes(ByteView data) {
    const std::size_t at = out_.size();
    out_.resize(at + data.size());
    std::copy(data.begin(), data.end(), out_.begin() + static_cast<std::ptrdiff_t>(at));
    return *this;
  }
  ByteWriter& zeros(std::size_t count) {
    out_.resize(out_.size() + count);
    return *this;
  }
  // Zeros up to `offset` from the start; writing past it already is a bug.
  ByteWriter& pad_to(std::size_t offset) {
    require(out_.size() <= offset, "ByteWriter::pad_to goes backwards");
    return zeros(offset - out_.size());
  }

  std::size_t size() const { return out_.size(); }
  const Bytes& view() const { return out_; }
  Bytes take() { return std::move(out_); }

 private:
  ByteWriter& integer(std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) {
      out_.push_back(static_cast<std::byte>(value & 0xFF));
      value >>= 8;
    }
    return *this;
  }

  Bytes out_;
};

}  // namespace driveprep
