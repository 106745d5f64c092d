#include "agent/intake/tags.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace driveprep::intake {
namespace {

constexpr std::string_view kMagic = "DRVPTAG1";
constexpr std::size_t kCrcAt = 40;
constexpr std::size_t kFillerAt = 48;  // 44 to 47 are zeros

static_assert(std::endian::native == std::endian::little);

void put(MutableByteView sector, std::size_t at, std::uint64_t value) {
  std::memcpy(sector.data() + at, &value, sizeof value);
}

std::uint64_t get(ByteView sector, std::size_t at) {
  std::uint64_t value = 0;
  std::memcpy(&value, sector.data() + at, sizeof value);
  return value;
}

// Steele, Lea, Flood: SplitMix64.
std::uint64_t next(std::uint64_t& state) {
  std::uint64_t z = state += 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

std::uint32_t checksum(ByteView sector) {
  constexpr std::array<std::byte, 4> zeros{};
  uLong crc = ::crc32_z(0, uchars(sector), kCrcAt);
  crc = ::crc32_z(crc, uchars(ByteView(zeros)), zeros.size());
  const ByteView rest = sector.subspan(kCrcAt + zeros.size());
  return static_cast<std::uint32_t>(::crc32_z(crc, uchars(rest), rest.size()));
}

void fill_sector(MutableByteView sector, const Tag& tag) {
  std::ranges::copy(as_bytes(kMagic), sector.begin());
  std::ranges::copy(tag.run.on_disk(), sector.begin() + 8);
  put(sector, 24, tag.offset);
  put(sector, 32, tag.place);
  put(sector, kCrcAt, 0);
  std::uint64_t state = get(tag.run.on_disk(), 0) ^ tag.offset;
  for (std::size_t at = kFillerAt; at < sector.size(); at += 8) put(sector, at, next(state));
  put(sector, kCrcAt, checksum(sector));
}

}  // namespace

void fill_with_tags(MutableByteView out, SectorSize sector, const Tag& first) {
  require(out.size() % sector.bytes() == 0, "whole sectors");
  Tag tag = first;
  for (std::size_t at = 0; at < out.size(); at += sector.bytes()) {
    tag.offset = first.offset + at;
    fill_sector(out.subspan(at, sector.bytes()), tag);
  }
}

std::optional<Tag> tag_of(ByteView sector) {
  if (sector.size() < kFillerAt || as_text(sector.first(kMagic.size())) != kMagic) {
    return std::nullopt;
  }
  if (get(sector, kCrcAt) != checksum(sector)) return std::nullopt;
  return Tag{Guid::from_disk(sector.subspan(8, Guid::kSize)), get(sector, 24), get(sector, 32)};
}

}  // namespace driveprep::intake
