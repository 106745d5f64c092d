// The volume header parser takes any bytes.
#include <bit>
#include <cstdint>
#include <cstdlib>

#include "bitlocker/volume_header.h"

using namespace driveprep;
using namespace driveprep::bitlocker;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const VolumeHeader header = parse_volume_header(std::as_bytes(std::span(data, size)));
  if (header.cluster_size != 0 && !std::has_single_bit(header.cluster_size)) std::abort();
  return 0;
}
