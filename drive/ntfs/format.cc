#include "drive/ntfs/format.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>

#include "base/posix.h"
#include "base/subprocess.h"
#include "drive/block/aligned_buffer.h"
#include "drive/ntfs/bit_runs.h"
#include "drive/ntfs/file_pieces.h"
#include "drive/ntfs/volume_reader.h"

namespace driveprep::ntfs {
namespace {

constexpr const char* kMkntfs = "/usr/sbin/mkntfs";
constexpr const char* kImageName = "the memory file of mkntfs";
constexpr std::uint64_t kPiece = 4 * kMiB;
constexpr std::uint32_t kMaxCluster = 64 * 1024;  // larger needs Windows 10 1709
constexpr std::uint32_t kMinCluster = 4096;       // smaller ones would share a cache block
constexpr std::uint16_t kSectorsPerTrack = 63;    // what Windows writes on every disk
constexpr std::uint16_t kHeads = 255;

// The memory file as a device, for the reader. pread into buffers: mapping it would count as ours.
class ImageDevice : public block::ReadableDevice {
 public:
  ImageDevice(int fd, std::uint64_t size, SectorSize sector)
      : fd_(fd), size_(size), sector_(sector) {}
  std::uint64_t size() const override { return size_; }
  SectorSize sector_size() const override { return sector_; }
  std::string name() const override { return kImageName; }
  void read(std::uint64_t offset, MutableByteView out) const override {
    posix::pread_exact(fd_, offset, out, kImageName, ErrorKind::kInternal);
  }

 private:
  int fd_;
  std::uint64_t size_;
  SectorSize sector_;
};

void check_request(const FormatRequest& request) {
  const auto printable = [](char c) { return c >= 0x20 && c < 0x7F; };
  if (request.label.size() > 32 || !std::ranges::all_of(request.label, printable)) {
    throw Error(ErrorKind::kUsage, "volume-label",
                "the volume label has " + std::to_string(request.label.size()) +
                    " characters or some that are not printable ASCII",
                "Use at most 32 letters, digits, spaces and ASCII punctuation.");
  }
  if (request.cluster_size) {
    const std::uint32_t size = *request.cluster_size;
    if (!std::has_single_bit(size) || size < kMinCluster || size > kMaxCluster) {
      throw Error(ErrorKind::kUsage, "cluster-size",
                  "a cluster of " + std::to_string(size) + " bytes is not possible",
                  "Use 4096, 8192, 16384, 32768 or 65536, or leave it out.");
    }
  }
  require(request.volume_bytes % request.sector.bytes() == 0,
          "a volume is not a whole number of sectors");
  if (request.volume_bytes < kMinVolumeBytes) {
    throw Error(ErrorKind::kUsage, "volume-too-small",
                "a volume of " + std::to_string(request.volume_bytes) +
                    " bytes is too small for NTFS",
                "Use a larger drive.");
  }
  const std::uint64_t largest = request.cluster_size.value_or(kMaxCluster);
  if (request.volume_bytes / largest > std::numeric_limits<std::uint32_t>::max()) {
    throw Error(ErrorKind::kUsage, "volume-too-large",
                "a volume of " + std::to_string(request.volume_bytes) + " bytes has more than 2^32" +
                    " clusters of " + std::to_string(largest) + " bytes",
                "Leave the cluster size out, or use a smaller drive.");
  }
}

void run_mkntfs(const FormatRequest& request, int fd) {
  std::vector<std::string> arguments = {
      "-q", "-F", "-Q", "-I", "-s", std::to_string(request.sector.bytes()),
      "-S", std::to_string(kSectorsPerTrack), "-H", std::to_string(kHeads)};
  if (request.cluster_size) {
    arguments.insert(arguments.end(), {"-c", std::to_string(*request.cluster_size)});
  }
  if (!request.label.empty()) arguments.insert(arguments.end(), {"-L", request.label});
  // The field has 32 bits; beyond them mkntfs refuses, and nothing but booting reads it.
  const bool fits = request.partition_start.value <= std::numeric_limits<std::uint32_t>::max();
  arguments.insert(arguments.end(), {"-p", std::to_string(fits ? request.partition_start.value : 0)});
  arguments.push_back("/proc/self/fd/" + std::to_string(fd));
  const SubprocessResult result = run_subprocess(kMkntfs, arguments, {fd});
  if (result.exit_status != 0) {
    throw Error(ErrorKind::kInternal, "mkntfs-failed",
                "mkntfs ended with status " + std::to_string(result.exit_status) +
                    " for a volume of " + std::to_string(request.volume_bytes) +
                    " bytes: " + result.output,
                "Check the free memory: the file system is built there first.");
  }
}

[[noreturn]] void wrong_result(const std::string& what) {
  throw Error(ErrorKind::kInternal, "mkntfs-result", "mkntfs made another volume than asked: " + what,
              "Check which version of ntfs-3g is installed.");
}

void check_result(const FormatRequest& request, const Geometry& geometry, ByteView boot,
                  ByteView backup) {
  if (geometry.sector != request.sector) wrong_result("its sector size differs");
  if (request.cluster_size && geometry.cluster_size != *request.cluster_size) {
    wrong_result("its cluster size differs");
  }
  if (geometry.cluster_size < kMinCluster || geometry.cluster_size > kMaxCluster) {
    wrong_result("its clusters have " + std::to_string(geometry.cluster_size) + " bytes");
  }
  ByteReader reader(boot);
  reader.skip(0x18);
  if (reader.u16() != kSectorsPerTrack || reader.u16() != kHeads) {
    wrong_result("its disk geometry differs");
  }
  const std::uint64_t hidden = reader.u32();
  const std::uint64_t start = request.partition_start.value;
  if (hidden != (start <= std::numeric_limits<std::uint32_t>::max() ? start : 0)) {
    wrong_result("its number of hidden sectors is " + std::to_string(hidden));
  }
  reader.skip(0x28 - reader.position());
  // The last sector of the partition holds the backup of the boot sector and is not counted.
  if (reader.u64() != request.volume_bytes / request.sector.bytes() - 1) {
    wrong_result("it has another number of sectors");
  }
  if (!std::ranges::equal(boot, backup)) wrong_result("the backup boot sector differs");
}

std::vector<ByteRange> data_extents(int fd, std::uint64_t size) {
  std::vector<ByteRange> extents;
  std::uint64_t at = 0;
  while (at < size) {
    const off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    const off_t hole = data < 0 ? -1 : ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0) {
      throw Error::from_errno(ErrorKind::kInternal, "mkntfs-result",
                              std::string("find the data in ") + kImageName, errno);
    }
    const std::uint64_t end = std::min(static_cast<std::uint64_t>(hole), size);
    extents.push_back({static_cast<std::uint64_t>(data), end - static_cast<std::uint64_t>(data)});
    at = static_cast<std::uint64_t>(hole);
  }
  return extents;
}

// Runs of used clusters, from the $Bitmap of the fresh volume: 488 MB for 16 TB, nearly all zeros.
std::vector<ByteRange> used_clusters(const ImageDevice& image, const Geometry& geometry) {
  VolumeReader reader(image);
  const std::optional<FileInfo> bitmap = reader.open(u"$Bitmap");
  if (!bitmap || bitmap->resident || bitmap->size < (geometry.total_clusters + 7) / 8) {
    wrong_result("its $Bitmap is too small");
  }
  std::vector<ByteRange> used;
  BitRunScanner scanner(true, [&](std::uint64_t first, std::uint64_t count) {
    used.push_back({first * geometry.cluster_size, count * geometry.cluster_size});
    return true;
  });
  std::uint64_t bit = 0;
  read_pieces(image, *bitmap, (geometry.total_clusters + 7) / 8, [&](ByteView piece) {
    const std::uint64_t bits =
        std::min<std::uint64_t>(piece.size() * 8, geometry.total_clusters - bit);
    scanner.feed(bit, piece, bits);
    bit += bits;
    return true;
  });
  scanner.finish();
  return used;
}

}  // namespace

FormattedVolume format_volume(const FormatRequest& request) {
  check_request(request);
  FormattedVolume volume;
  volume.volume_bytes_ = request.volume_bytes;
  volume.image_ = UniqueFd(::memfd_create("driveprep-ntfs", MFD_CLOEXEC));
  if (!volume.image_.valid()) {
    throw Error::from_errno(ErrorKind::kInternal, "mkntfs-failed",
                            std::string("make ") + kImageName, errno);
  }
  const int fd = volume.image_.get();
  posix::ftruncate(fd, request.volume_bytes, kImageName, ErrorKind::kInternal);
  run_mkntfs(request, fd);

  const ImageDevice image(fd, request.volume_bytes, request.sector);
  volume.boot_sector_.resize(request.sector.bytes());
  image.read(0, volume.boot_sector_);
  volume.geometry_ = parse_boot_sector(volume.boot_sector_);
  Bytes backup(request.sector.bytes());
  image.read(request.volume_bytes - backup.size(), backup);
  check_result(request, volume.geometry_, volume.boot_sector_, backup);

  volume.occupied_ = used_clusters(image, volume.geometry_);
  volume.free_clusters_ = volume.geometry_.total_clusters;
  for (const ByteRange& range : volume.occupied_) {
    volume.free_clusters_ -= range.length / volume.geometry_.cluster_size;
  }
  volume.data_ = data_extents(fd, request.volume_bytes);
  return volume;
}

std::uint64_t FormattedVolume::data_bytes() const {
  std::uint64_t total = 0;
  for (const ByteRange& extent : data_) total += extent.length;
  return total;
}

void FormattedVolume::copy_to(block::BlockDevice& volume,
                              const std::function<void(std::uint64_t)>& progress) const {
  require(volume.size() >= volume_bytes_, "the volume is smaller than what was formatted");
  std::vector<ByteRange> pieces;
  for (const ByteRange& extent : data_) {
    for (std::uint64_t at = extent.offset; at < extent.end();) {
      // Pieces end at multiples of 4 MiB, so that all but the first of an extent are aligned.
      const std::uint64_t end = std::min(round_down(at, kPiece) + kPiece, extent.end());
      pieces.push_back({at, end - at});
      at = end;
    }
  }

  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // guards written, failure and the call of progress
  std::uint64_t written = 0;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      block::AlignedBuffer buffer(kPiece);
      for (std::size_t i = next++; i < pieces.size(); i = next++) {
        const MutableByteView part = buffer.span().first(pieces[i].length);
        posix::pread_exact(image_.get(), pieces[i].offset, part, kImageName, ErrorKind::kInternal);
        volume.write(pieces[i].offset, part);
        const std::scoped_lock lock(mutex);
        written += part.size();
        if (progress) progress(written);
      }
    } catch (...) {
      next = pieces.size();
      const std::scoped_lock lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    const std::jthread second(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace driveprep::ntfs
