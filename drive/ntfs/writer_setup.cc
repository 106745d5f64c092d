// How a WriterSession begins: the volume is checked, its zones are sized.
#include <algorithm>
#include <bit>

#include "drive/ntfs/bit_runs.h"
#include "drive/ntfs/file_layout.h"
#include "drive/ntfs/format.h"
#include "drive/ntfs/writer_session.h"

namespace driveprep::ntfs {
namespace {

// Clusters marked ahead for file data: 1 GiB.
constexpr std::uint64_t kPortionBytes = kGiB;
constexpr std::uint64_t kMinZoneClusters = 64;
// Records to expect without a plan, at most; on small volumes one for every 32 clusters.
constexpr std::uint64_t kUnplanned = 1'000'000;

Geometry read_geometry(block::BlockDevice& device) {
  Bytes boot(512);
  device.read(0, boot);
  const Geometry geometry = parse_boot_sector(boot);
  if (geometry.cluster_size < BlockCache::kBlock) {
    throw Error(ErrorKind::kUsage, "cluster-size",
                "the volume on " + device.name() + " has clusters of " +
                    std::to_string(geometry.cluster_size) + " bytes, less than 4096",
                "Format with clusters of 4096 bytes or more.");
  }
  return geometry;
}

}  // namespace

WriterSession::WriterSession(block::BlockDevice& device, DataSink& sink,
                             const WriterOptions& options)
    : cache_(device, options.cache_cap),
      storage_(cache_),
      mount_(storage_, device.name(), library::Access::kReadWrite),
      geometry_(read_geometry(device)),
      sink_(sink),
      packer_(sink, geometry_.cluster_size),
      most_ahead_(options.cache_cap / 2),
      planned_records_(options.planned_records) {
  refuse_used_log();
  count_free_clusters(device, options);
  set_zones(options);
  complete_mft_inode();
  open_.push_back({FILE_root, nullptr});
  reopen_directories();
  // From now on with its sequence number: entries and records of the root's files name it.
  open_[0].reference = MK_MREF(FILE_root, le16_to_cpu(current()->mrec->sequence_number));
  choose_security();
}

// The library mounts $MFT without reading times, flags and owner, and would write zeros back.
void WriterSession::complete_mft_inode() {
  const library::Inode read(ntfs_inode_open(volume(), FILE_MFT));
  if (!read) mount_.fail("open $MFT");
  ntfs_inode* mft = volume()->mft_ni;
  mft->flags = read->flags;
  mft->creation_time = read->creation_time;
  mft->last_data_change_time = read->last_data_change_time;
  mft->last_mft_change_time = read->last_mft_change_time;
  mft->last_access_time = read->last_access_time;
  mft->owner_id = read->owner_id;
  mft->security_id = read->security_id;
  mft->quota_charged = read->quota_charged;
  mft->usn = read->usn;
  if (test_nino_flag(read.get(), v3_Extensions)) set_nino_flag(mft, v3_Extensions);
}

// mkntfs fills the log with 0xFF and nothing of ours writes it, so anything else there means that
// Windows has had the volume mounted since, and our journal no longer describes it.
void WriterSession::refuse_used_log() {
  const library::Inode inode(ntfs_inode_open(volume(), FILE_LogFile));
  if (!inode) mount_.fail("open $LogFile");
  const library::Attribute log(ntfs_attr_open(inode.get(), AT_DATA, AT_UNNAMED, 0));
  Bytes start(8192);
  if (!log || ntfs_attr_pread(log.get(), 0, static_cast<s64>(start.size()), start.data()) !=
                  static_cast<s64>(start.size())) {
    mount_.fail("read $LogFile");
  }
  if (std::ranges::all_of(start, [](std::byte b) { return b == std::byte{0xFF}; })) return;
  throw Error(ErrorKind::kVerification, "volume-mount",
              "the NTFS volume on " + mount_.name() +
                  " was used by another system since it was written: its log is not empty",
              "Prepare the drive again from the start.");
}

// Past the cache: $Bitmap of 16 TB is 488 MB.
void WriterSession::count_free_clusters(block::BlockDevice& device, const WriterOptions& options) {
  ntfs_volume* volume = mount_.volume();
  if (options.free_clusters) {
    volume->free_clusters = static_cast<s64>(*options.free_clusters);
  } else {
    std::uint64_t free = 0;
    std::uint64_t bit = 0;
    block::AlignedBuffer buffer(kMiB);
    for (const ByteRange& range : library::read_ranges(mount_, volume->lcnbmp_na)) {
      for (std::uint64_t done = 0; done < range.length && bit < bitmap_.total_clusters();) {
        const std::uint64_t length = std::min<std::uint64_t>(buffer.size(), range.length - done);
        device.read(range.offset + done, buffer.span().first(length));
        const std::uint64_t bits = std::min(length * 8, bitmap_.total_clusters() - bit);
        for (std::uint64_t at = 0; at < bits; at += 64) {
          std::uint64_t word = 0;
          const std::uint64_t width = std::min<std::uint64_t>(64, bits - at);
          std::memcpy(&word, buffer.span().data() + at / 8, (width + 7) / 8);
          if (width < 64) word &= (std::uint64_t{1} << width) - 1;
          free += width - static_cast<std::uint64_t>(std::popcount(word));
        }
        bit += bits;
        done += length;
      }
    }
    volume->free_clusters = static_cast<s64>(free);
  }
  volume->free_mft_records = ntfs_attr_get_free_bits(volume->mftbmp_na);
  NVolSetFreeSpaceKnown(volume);
}

// The library keeps an eighth of the volume for $MFT and puts everything else behind it. The zones
// are sized from the plan instead: records first, then the indexes of directories, then data.
void WriterSession::set_zones(const WriterOptions& options) {
  ntfs_volume* volume = mount_.volume();
  const std::uint64_t total = bitmap_.total_clusters();
  const auto zone = [&](double bytes, std::uint64_t most) {
    const auto clusters = static_cast<std::uint64_t>(bytes / geometry_.cluster_size) + 1;
    return std::min(std::max(clusters, kMinZoneClusters), std::max<std::uint64_t>(most, 1));
  };
  const auto records = static_cast<double>(
      options.planned_records != 0 ? options.planned_records : std::min(total / 32, kUnplanned));
  const std::uint64_t record_zone = zone(records * geometry_.record_size * 1.1, total / 8 * 3);
  // One index entry: 16 bytes of header, 66 of the name's attribute, the name twice a unit, at 60 %
  // fill of the blocks.
  const std::uint64_t index_zone =
      zone(records * (88 + 2.0 * options.average_name_units) / 0.6, total / 8);
  const std::uint64_t zone_end = std::min(geometry_.mft.value + record_zone, total / 2);
  volume->mft_zone_end = static_cast<LCN>(zone_end);
  volume->data1_zone_pos = volume->mft_zone_end;
  index_position_ = volume->data1_zone_pos;
  index_zone_end_ = volume->mft_zone_end + static_cast<LCN>(index_zone);
  mark_zone_fresh(geometry_.mft.value, zone_end + index_zone);
  extend_record_bitmap(static_cast<std::uint64_t>(records * 1.1) + 64);
  const std::uint64_t portion =
      std::min(kPortionBytes / geometry_.cluster_size, std::max<std::uint64_t>(total / 64, 1));
  allocator_.emplace(bitmap_, zone_end + index_zone, portion);
  records_.emplace(mount_, geometry_, planned_records_,
                   [this](std::uint64_t wanted, std::uint64_t clusters) {
                     return clusters_for_records(wanted, clusters);
                   });
}

// The library takes the next cluster of $MFT's own bitmap from right behind $MFT, every 32768
// records, and then continues $MFT 4096 clusters further on. So the bitmap gets all it will need
// now, at the start of the index zone.
void WriterSession::extend_record_bitmap(std::uint64_t records) {
  ntfs_attr* bitmap = volume()->mftbmp_na;
  const auto held = static_cast<std::uint64_t>(bitmap->allocated_size);
  if (!NAttrNonResident(bitmap) || records / 8 <= held) return;
  const std::uint64_t wanted = clusters_for(records / 8 - held);
  const auto from = static_cast<std::uint64_t>(index_position_);
  const std::optional<ClusterRun> run = find_free_run(
      from, std::min(static_cast<std::uint64_t>(index_zone_end_), from + 16 * wanted + 8), wanted);
  if (!run) return;  // only locality is lost
  bitmap_.mark(run->first, run->count, true);
  library::extend_allocation(mount_, bitmap, bytes_of(*run));
}

// $MFT and indexes grow into clusters that are free now: what they hold is nothing, and need not be
// read; what they will hold, no checkpoint refers to yet.
void WriterSession::mark_zone_fresh(std::uint64_t first, std::uint64_t end) {
  first = round_down(first, 8);
  Bytes bits((end - first + 7) / 8);
  bitmap_.read(first / 8, bits);
  BitRunScanner scanner(false, [&](std::uint64_t at, std::uint64_t count) {
    cache_.set_fresh({at * geometry_.cluster_size, count * geometry_.cluster_size});
    return true;
  });
  scanner.feed(first, bits, end - first);
  scanner.finish();
}

// One descriptor for all files and one for all directories, inherited from the root.
void WriterSession::choose_security() {
  SECURITY_CONTEXT context{};
  context.vol = volume();
  file_security_ = ntfs_inherited_id(&context, current(), FALSE);
  directory_security_ = ntfs_inherited_id(&context, current(), TRUE);
  if (file_security_ == 0 || directory_security_ == 0) mount_.fail("inherit the root's security");
  pack_indexes();
}

}  // namespace driveprep::ntfs
