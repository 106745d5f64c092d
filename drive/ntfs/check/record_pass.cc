#include "drive/ntfs/check/record_pass.h"

#include <algorithm>

#include "drive/ntfs/check/descriptor.h"
#include "drive/ntfs/check/finding.h"
#include "drive/ntfs/file_pieces.h"

namespace driveprep::ntfs::check {
namespace {

constexpr std::size_t kSecurityId = 52;  // in $STANDARD_INFORMATION, where that is long enough
constexpr const char16_t* kOfNames = u"$I30";

bool of_index(const RawAttribute& attribute) {
  return attribute.type == kIndexRoot || attribute.type == kIndexAllocation ||
         (attribute.type == kBitmap && !attribute.name.empty());
}

}  // namespace

RecordPass::RecordPass(const block::ReadableDevice& volume, library::Storage& pieces,
                       const Geometry& geometry, const Order& order, const FileInfo& mft)
    : volume_(volume),
      pieces_(pieces),
      geometry_(geometry),
      order_(order),
      mft_(mft),
      gathered_(mft.size / geometry.record_size) {}

void RecordPass::run(const std::atomic<bool>* stop) {
  const std::uint64_t records = mft_.valid_length / geometry_.record_size;
  std::uint64_t number = 0;
  bool stopped = false;
  read_pieces(volume_, mft_, records * geometry_.record_size, [&](MutableByteView piece) {
    for (std::size_t at = 0; at < piece.size(); at += geometry_.record_size) {
      look_at(number++, piece.subspan(at, geometry_.record_size));
    }
    stopped = stop != nullptr && *stop;
    return !stopped;
  });
  demand(stopped || number == records, "$MFT has fewer clusters than records");
}

void RecordPass::look_at(std::uint64_t number, MutableByteView record) {
  gathered_.in_use[number] = says_in_use(record);
  try {
    restore_strides(record, "FILE");
    if (!gathered_.in_use[number]) return;
    parse_record(record, record_);
    if (record_.number != (number & 0xFFFFFFFF)) throw FormatError("it is another one's");
    record_.number = number;
    const bool has_list =
        record_.base != 0 || std::ranges::any_of(record_.attributes, [](const RawAttribute& each) {
          return each.type == kAttributeList;
        });
    for (const RawAttribute& attribute : record_.attributes) take(attribute, has_list);
  } catch (const FormatError& error) {
    throw Inconsistency("record " + std::to_string(number) + " of $MFT: " + error.what());
  }
}

void RecordPass::take(const RawAttribute& attribute, bool has_list) {
  const std::uint64_t owner = record_.owner();
  std::vector<ClusterSpan> spans;
  if (!attribute.resident) {
    spans = cluster_spans(attribute);
    take_clusters(attribute, spans);
  }
  if (has_list && attribute.type != kAttributeList) {
    gathered_.lists.add_listed(owner, record_.reference(), attribute);
  }
  if (of_index(attribute)) return take_index(attribute, spans);
  switch (attribute.type) {
    case kAttributeList: return take_list(attribute, spans);
    case kFileName: return gathered_.names.in_record(owner, attribute.value);
    case kStandardInformation:
      if (attribute.value.size() >= kSecurityId + 4) {
        ByteReader reader(attribute.value.subspan(kSecurityId));
        gathered_.security_ids.insert(reader.u32());
      }
      return;
    case kSecurityDescriptor: {
      StoredAttribute descriptor;
      descriptor.add(attribute, spans);
      return check_descriptor(descriptor.read_all(pieces_, geometry_.cluster_size));
    }
    case kBitmap:
      if (record_number(owner) == kRecordOfMft) gathered_.record_bitmap.add(attribute, spans);
      return;
    case kData:
      if (record_number(owner) == kRecordOfSecure && attribute.name == u"$SDS") {
        gathered_.security.add(attribute, spans);
      }
      return;
    default: return;
  }
}

void RecordPass::take_clusters(const RawAttribute& attribute,
                               const std::vector<ClusterSpan>& spans) {
  for (const ClusterSpan& span : spans) {
    if (!span.first) continue;
    if (*span.first > geometry_.total_clusters ||
        span.count > geometry_.total_clusters - *span.first) {
      throw FormatError("it has clusters behind the end of the volume");
    }
    const ByteRange clusters{*span.first, span.count};
    if (gathered_.clusters.overlaps(clusters)) {
      throw FormatError("it has clusters, from byte " +
                        std::to_string(*span.first * geometry_.cluster_size) +
                        " on, that another file has");
    }
    gathered_.clusters.add(clusters);
  }
  const bool whole = attribute.first_vcn == 0 && !attribute.sparse_or_compressed() &&
                     (attribute.last_vcn + 1) * geometry_.cluster_size == attribute.allocated;
  if (!whole) gathered_.lists.add_part(record_.owner(), attribute);
}

void RecordPass::take_index(const RawAttribute& attribute, const std::vector<ClusterSpan>& spans) {
  const std::uint64_t owner = record_.owner();
  // Those of $Secure are compared with what they lead to.
  const bool kept = record_number(owner) == kRecordOfSecure;
  if (attribute.type == kIndexRoot && !has_blocks(attribute.value) && !kept) {
    LargeIndex small{owner, {}};
    small.index.root.assign(attribute.value.begin(), attribute.value.end());
    return walk_names(small, attribute.name, pieces_, geometry_, order_, gathered_.names);
  }
  LargeIndex& large = gathered_.indexes[{record_number(owner), attribute.name}];
  large.owner = owner;
  if (attribute.type == kIndexRoot) {
    large.index.root.assign(attribute.value.begin(), attribute.value.end());
  } else if (attribute.type == kIndexAllocation) {
    large.index.blocks.add(attribute, spans);
  } else {
    large.index.bitmap.add(attribute, spans);
  }
}

void RecordPass::take_list(const RawAttribute& attribute, const std::vector<ClusterSpan>& spans) {
  if (record_.base != 0) throw FormatError("it continues another one and has a list of attributes");
  StoredAttribute list;
  list.add(attribute, spans);
  gathered_.lists.add_list(record_.reference(), list.read_all(pieces_, geometry_.cluster_size));
}

void walk_names(const LargeIndex& large, const std::u16string& name, library::Storage& pieces,
                const Geometry& geometry, const Order& order, NameBalance& names) {
  static const Order kNoOrder;
  const bool of_names = name == kOfNames;
  walk_index(large.index, pieces, geometry, of_names ? order : kNoOrder,
             [&](const RawIndexEntry& entry) {
               if (!of_names) return;
               if (parent_of(entry.key) != large.owner) {
                 throw FormatError("an entry of its directory belongs to another one");
               }
               names.in_directory(entry.reference, entry.key);
             });
}

}  // namespace driveprep::ntfs::check
