#include "drive/ntfs/check/record_lists.h"

#include <algorithm>
#include <functional>

#include "base/utf16.h"
#include "drive/ntfs/check/finding.h"

namespace driveprep::ntfs::check {
namespace {

constexpr std::size_t kListEntry = 26;  // bytes before the name

std::uint64_t digest(std::uint32_t type, std::u16string_view name, std::uint64_t first_vcn,
                     std::uint64_t record, std::uint16_t instance) {
  return mixed(std::hash<std::u16string_view>()(name), {type, first_vcn, record, instance});
}

}  // namespace

void RecordLists::add_list(std::uint64_t base, ByteView list) {
  while (!list.empty()) {
    ByteReader entry(list);
    const std::uint32_t type = entry.u32();
    const std::size_t length = entry.u16();
    const std::size_t units = entry.u8();
    const std::size_t offset = entry.u8();
    const std::uint64_t first_vcn = entry.u64();
    const std::uint64_t record = entry.u64();
    const std::uint16_t instance = entry.u16();
    if (length < kListEntry || length % 8 != 0 || length > list.size() ||
        offset + 2 * units > length) {
      throw FormatError("its list of attributes is malformed");
    }
    const std::u16string name = from_utf16le(list.subspan(offset, 2 * units)).value();
    balance_[record_number(base)] += digest(type, name, first_vcn, record, instance);
    list = list.subspan(length);
  }
}

void RecordLists::add_listed(std::uint64_t base, std::uint64_t record,
                             const RawAttribute& attribute) {
  balance_[record_number(base)] -=
      digest(attribute.type, attribute.name, attribute.first_vcn, record, attribute.instance);
}

void RecordLists::add_part(std::uint64_t base, const RawAttribute& attribute) {
  parts_[{record_number(base), attribute.type, attribute.name}].push_back(
      {attribute.first_vcn, attribute.last_vcn, attribute.allocated,
       attribute.sparse_or_compressed()});
}

void RecordLists::check(std::uint32_t cluster_size) const {
  for (const auto& [base, sum] : balance_) {
    demand(sum == 0,
           "record " + std::to_string(base) + " of $MFT lists other attributes than the file has");
  }
  for (const auto& [attribute, found] : parts_) {
    std::vector<Part> parts = found;
    std::ranges::sort(parts, {}, &Part::first);
    std::uint64_t next = 0;
    bool whole = true;
    for (const Part& part : parts) {
      whole = whole && part.first == next;
      next = part.last + 1;
    }
    whole = whole && (parts.front().sparse || next * cluster_size == parts.front().allocated);
    demand(whole, "record " + std::to_string(std::get<0>(attribute)) +
                      " of $MFT has not all the clusters of its file");
  }
}

}  // namespace driveprep::ntfs::check
