#include "base/guid.h"

#include <openssl/rand.h>

#include <algorithm>

#include "base/encoding.h"

namespace driveprep {
namespace {

// Where byte i of the text form stands on disk: the first three fields are little-endian.
constexpr std::array<std::size_t, 16> kDiskPosition = {3, 2, 1,  0,  5,  4,  7,  6,
                                                       8, 9, 10, 11, 12, 13, 14, 15};

std::string dashed(const std::string& hex) {
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20);
}

std::array<std::byte, 16> text_order(ByteView raw) {
  std::array<std::byte, 16> ordered{};
  for (std::size_t i = 0; i < 16; ++i) ordered[i] = raw[kDiskPosition[i]];
  return ordered;
}

}  // namespace

Guid Guid::from_disk(ByteView raw) {
  if (raw.size() != kSize) throw FormatError("a GUID has 16 bytes");
  Guid guid;
  std::copy(raw.begin(), raw.end(), guid.raw_.begin());
  return guid;
}

std::optional<Guid> Guid::parse(std::string_view text) {
  if (text.size() == 38 && text.front() == '{' && text.back() == '}') {
    text = text.substr(1, 36);
  }
  if (text.size() != 36) return std::nullopt;
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash != (text[i] == '-')) return std::nullopt;
    if (!dash) digits.push_back(text[i]);
  }
  const std::optional<Bytes> bytes = from_hex(digits);
  if (!bytes) return std::nullopt;
  Guid guid;
  for (std::size_t i = 0; i < 16; ++i) guid.raw_[kDiskPosition[i]] = (*bytes)[i];
  return guid;
}

Guid Guid::random() {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) {
    throw Error(ErrorKind::kKey, "random-failed", "the random number generator failed");
  }
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);
  Guid guid;
  for (std::size_t i = 0; i < 16; ++i) guid.raw_[kDiskPosition[i]] = std::byte{bytes[i]};
  return guid;
}

std::string Guid::lower() const { return dashed(hex_lower(text_order(raw_))); }
std::string Guid::upper() const { return dashed(hex_upper(text_order(raw_))); }

}  // namespace driveprep
