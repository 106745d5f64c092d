// Any bytes where a record of $MFT, a list of its attributes, permissions or an index belong are
// either refused as malformed, or what is read from them stays inside of them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "drive/ntfs/check/descriptor.h"
#include "drive/ntfs/check/finding.h"
#include "drive/ntfs/check/index_walk.h"
#include "drive/ntfs/check/record_lists.h"

namespace {

using namespace driveprep;
using namespace driveprep::ntfs;
using namespace driveprep::ntfs::check;

constexpr std::size_t kRecord = 1024;
constexpr std::size_t kBlock = 4096;
constexpr std::size_t kRoot = 256;
constexpr std::size_t kMostBlocks = 16;

// There are no clusters: all attributes are inside of their records.
class NoStorage : public library::Storage {
 public:
  std::uint64_t size() const override { return 0; }
  void read(std::uint64_t, MutableByteView) override { throw FormatError("there is nothing"); }
  void write(std::uint64_t, ByteView) override { internal_error("a check writes"); }
};

RawAttribute resident(ByteView value) {
  RawAttribute attribute;
  attribute.resident = true;
  attribute.value = value;
  return attribute;
}

void look_at_record(ByteView input) {
  Bytes bytes(kRecord);
  std::copy_n(input.begin(), std::min(input.size(), bytes.size()), bytes.begin());
  RawRecord record;
  parse_record(bytes, record);
  for (const RawAttribute& attribute : record.attributes) {
    if (!attribute.resident) (void)cluster_spans(attribute);
  }
}

// The update sequences are put right first, or nothing else of a block would ever be looked at.
void put_strides_right(MutableByteView block) {
  ByteWriter head;
  head.bytes(as_bytes("INDX")).u16(0x28).u16(kBlock / 512 + 1);
  std::ranges::copy(head.view(), block.begin());
  for (std::size_t end = 512; end <= block.size(); end += 512) {
    std::ranges::copy(block.subspan(0x28, 2), block.subspan(end - 2).begin());
  }
}

void look_at_index(ByteView input) {
  Index index;
  index.root.resize(kRoot);
  std::copy_n(input.begin(), std::min(input.size(), kRoot), index.root.begin());
  Bytes blocks(round_up(input.size() - std::min(input.size(), kRoot), kBlock));
  std::ranges::copy(input.subspan(std::min(input.size(), kRoot)), blocks.begin());
  blocks.resize(std::min(blocks.size(), kMostBlocks * kBlock));
  for (std::size_t at = 0; at < blocks.size(); at += kBlock) {
    put_strides_right(MutableByteView(blocks).subspan(at, kBlock));
  }
  const Bytes bitmap(kMostBlocks / 8, std::byte{0xFF});
  index.blocks.add(resident(blocks), {});
  index.bitmap.add(resident(bitmap), {});
  Geometry geometry;
  geometry.cluster_size = 4096;
  NoStorage none;
  static const std::vector<char16_t> kUpcase(0x10000);
  walk_index(index, none, geometry, order_of_names(kUpcase), [](const RawIndexEntry&) {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input = std::as_bytes(std::span(data, size));
  if (input.empty()) return 0;
  const ByteView rest = input.subspan(1);
  try {
    switch (std::to_integer<int>(input[0]) & 3) {
      case 0: look_at_record(rest); break;
      case 1: look_at_index(rest); break;
      case 2: check_descriptor(rest); break;
      default: {
        RecordLists lists;
        lists.add_list(5, rest);
        lists.check(4096);
      }
    }
  } catch (const FormatError&) {
  } catch (const Inconsistency&) {
  }
  return 0;
}
