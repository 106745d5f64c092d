#include "drive/ntfs/consistency.h"

#include "drive/ntfs/bit_runs.h"
#include "drive/ntfs/check/finding.h"
#include "drive/ntfs/check/record_pass.h"
#include "drive/ntfs/check/system_files.h"
#include "drive/ntfs/file_pieces.h"

namespace driveprep::ntfs {
namespace {

using check::demand;
using check::Inconsistency;

class Consistency {
 public:
  Consistency(const block::ReadableDevice& volume, VolumeReader& reader,
              const std::atomic<bool>* stop)
      : volume_(volume),
        reader_(reader),
        geometry_(reader.geometry()),
        stop_(stop),
        pieces_(volume),
        upcase_(library::default_upcase_table()),
        order_(check::order_of_names(upcase_)),
        mft_(system_file(u"$MFT", "$MFT")),
        pass_(volume, pieces_, geometry_, order_, mft_) {}

  void run() {
    check::check_boot_sector(volume_);
    check::check_mirror(volume_, reader_);
    check::check_upcase(volume_, reader_, upcase_);
    check::check_definitions(volume_, reader_);
    check::check_log(volume_, reader_);
    pass_.run(stop_);
    if (stopped()) return;
    check_clusters();
    check_records();
    pass_.gathered().lists.check(geometry_.cluster_size);
    check_security();
    check_names();
  }

 private:
  bool stopped() const { return stop_ != nullptr && *stop_; }

  FileInfo system_file(const std::u16string& name, const std::string& shown) {
    std::optional<FileInfo> file = reader_.open(name);
    demand(file && !file->resident, "there is no " + shown);
    return std::move(*file);
  }

  // Runs of marked clusters are the stretches that have owners, one by one.
  void check_clusters() {
    const FileInfo bitmap = system_file(u"$Bitmap", "$Bitmap");
    demand(bitmap.valid_length >= (geometry_.total_clusters + 7) / 8, "$Bitmap is too short");
    const IntervalSet& owned = pass_.gathered().clusters;
    auto next = owned.begin();
    std::optional<std::uint64_t> wrong;
    BitRunScanner scanner(true, [&](std::uint64_t first, std::uint64_t count) {
      if (next != owned.end() && next->first == first && next->second == first + count) {
        ++next;
        return true;
      }
      // Where the two begin to differ: the first cluster that only one of them has.
      wrong = next == owned.end() || first != next->first
                  ? std::min(first, next == owned.end() ? first : next->first)
                  : std::min(first + count, next->second);
      return false;
    });
    std::uint64_t bit = 0;
    read_pieces(volume_, bitmap, (geometry_.total_clusters + 7) / 8, [&](ByteView piece) {
      const std::uint64_t bits =
          std::min<std::uint64_t>(piece.size() * 8, geometry_.total_clusters - bit);
      const bool same = scanner.feed(bit, piece, bits);
      bit += bits;
      return same;
    });
    if (!wrong) scanner.finish();
    if (!wrong && next != owned.end()) wrong = next->first;
    demand(!wrong, "$Bitmap and the files do not agree on whether cluster " +
                       std::to_string(wrong.value_or(0)) + " is in use");
  }

  void check_records() {
    const std::vector<bool>& in_use = pass_.gathered().in_use;
    Bytes bitmap;
    within("the bitmap of $MFT", [&] {
      bitmap = pass_.gathered().record_bitmap.read_all(pieces_, geometry_.cluster_size);
    });
    const std::uint64_t count = std::max<std::uint64_t>(in_use.size(), bitmap.size() * 8);
    for (std::uint64_t number = 0; number < count; ++number) {
      demand(is_marked(bitmap, number) == (number < in_use.size() && in_use[number]),
             "$MFT and its bitmap do not agree on whether record " + std::to_string(number) +
                 " is in use");
    }
  }

  void check_security() {
    auto& indexes = pass_.gathered().indexes;
    const auto by_id = indexes.find({check::kRecordOfSecure, u"$SII"});
    demand(by_id != indexes.end(), "$Secure has no index $SII");
    check::check_security(pass_.gathered().security, by_id->second.index,
                          pass_.gathered().security_ids, pieces_, geometry_);
  }

  void check_names() {
    for (const auto& [attribute, large] : pass_.gathered().indexes) {
      if (stopped()) return;
      within("the index of record " + std::to_string(attribute.first) + " of $MFT", [&] {
        check::walk_names(large, attribute.second, pieces_, geometry_, order_,
                          pass_.gathered().names);
      });
    }
    const std::optional<std::uint64_t> differs = pass_.gathered().names.first_difference();
    demand(!differs, "record " + std::to_string(differs.value_or(0)) +
                         " of $MFT and the directories do not agree on its name");
  }

  template <typename Step>
  static void within(const std::string& where, Step step) {
    try {
      step();
    } catch (const FormatError& error) {
      throw Inconsistency(where + ": " + error.what());
    }
  }

  const block::ReadableDevice& volume_;
  VolumeReader& reader_;
  const Geometry& geometry_;
  const std::atomic<bool>* stop_;
  ReadAhead pieces_;
  const std::vector<char16_t> upcase_;
  const check::Order order_;
  const FileInfo mft_;
  check::RecordPass pass_;
};

}  // namespace

std::optional<std::string> find_inconsistency(const block::ReadableDevice& volume,
                                              VolumeReader& reader, const std::atomic<bool>* stop) {
  try {
    Consistency(volume, reader, stop).run();
  } catch (const Inconsistency& found) {
    return found.what();
  } catch (const FormatError& found) {
    return std::string("a structure is malformed: ") + found.what();
  }
  return std::nullopt;
}

}  // namespace driveprep::ntfs
