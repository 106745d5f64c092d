// Any bytes where the tables of a disk belong are either refused with "gpt-invalid", or are a layout
// whose partition lies inside the disk. The checksums are put right first, or nothing else would ever
// be looked at.
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "drive/block/memory_device.h"
#include "drive/layout/gpt.h"

namespace {

using namespace driveprep;

constexpr std::uint64_t kDisk = 4 * kMiB;
constexpr std::size_t kTable = 128 * 128;
constexpr std::size_t kHeader = 92;

void put_u32(MutableByteView at, std::uint32_t value) {
  ByteWriter writer;
  writer.u32(value);
  std::ranges::copy(writer.view(), at.begin());
}

std::uint32_t crc(ByteView bytes) {
  return static_cast<std::uint32_t>(
      ::crc32(0, uchars(bytes), static_cast<uInt>(bytes.size())));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input = std::as_bytes(std::span(data, size));
  if (input.empty()) return 0;
  const SectorSize sector((std::to_integer<int>(input[0]) & 1) != 0 ? 4096 : 512);

  // MBR, two headers, one table for both: what of it the input does not reach is zero.
  Bytes parts(512 + 2 * kHeader + kTable);
  std::copy_n(input.begin() + 1, std::min(input.size() - 1, parts.size()), parts.begin());
  const MutableByteView all(parts);
  const MutableByteView table = all.subspan(512 + 2 * kHeader);
  for (int copy = 0; copy < 2; ++copy) {
    const MutableByteView header = all.subspan(512 + copy * kHeader, kHeader);
    put_u32(header.subspan(88), crc(table));
    put_u32(header.subspan(16), 0);
    put_u32(header.subspan(16), crc(header));
  }
  block::MemoryDevice disk(kDisk, sector);
  disk.write(0, all.first(512));
  disk.write(sector.bytes(), all.subspan(512, kHeader));
  disk.write(kDisk - sector.bytes(), all.subspan(512 + kHeader, kHeader));
  disk.write(2 * sector.bytes(), table);
  disk.write(kDisk - sector.bytes() - kTable, table);

  try {
    const layout::GptLayout layout = layout::read_gpt(disk);
    require(layout.partition.length > 0 && layout.partition.length <= kDisk &&
                layout.partition.offset <= kDisk - layout.partition.length,
            "a partition outside the disk");
  } catch (const Error& error) {
    if (error.code() != "gpt-invalid") throw;
  }
  return 0;
}
