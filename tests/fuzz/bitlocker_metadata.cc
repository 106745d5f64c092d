// Whatever the metadata parser accepts serialises to the same 64 KiB.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "bitlocker/metadata.h"
#include "bitlocker/protector.h"
#include "bitlocker/relocation.h"

using namespace driveprep;
using namespace driveprep::bitlocker;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kBlock = 64 * 1024;
  Bytes block(kBlock);
  const ByteView input = std::as_bytes(std::span(data, size));
  std::copy_n(input.begin(), std::min(size, kBlock), block.begin());
  try {
    const Metadata metadata = parse_metadata(block);
    if (serialise(metadata) != block) std::abort();
    if (parse_metadata(serialise(metadata)) != metadata) std::abort();
    (void)crc_matches(metadata, block);
    (void)metadata.description();
    for (const Entry& entry : metadata.entries) {
      (void)protector_facts(entry);
      (void)parse_relocation(entry);
      (void)open_clear(entry);
    }
  } catch (const FormatError&) {
  }
  return 0;
}
