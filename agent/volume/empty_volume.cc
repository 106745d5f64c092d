#include "agent/volume/empty_volume.h"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <utility>

#include "base/utf16.h"
#include "drive/block/aligned_buffer.h"
#include "drive/block/remembering_device.h"
#include "drive/ntfs/direct_sink.h"
#include "drive/ntfs/volume_writer.h"

namespace driveprep::volume {
namespace {

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

// A reader would not miss all that NTFS needs: a lost write to its bitmap shows when files are
// written over each other.
void require_kept(const block::RememberingDevice& place) {
  if (const std::optional<std::uint64_t> at = place.first_difference()) {
    throw Error(ErrorKind::kVerification, "create-differs",
                place.name() + " does not hold what was written at byte " + std::to_string(*at),
                "Use another drive: this one does not keep what is written to it.");
  }
}

}  // namespace

std::string default_description(const std::string& label) {
  const std::string date = FileTime::now().iso8601().substr(0, 10);
  return host_name() + " " + (label.empty() ? date : label + " " + date);
}

EmptyVolume make_empty_volume(const ntfs::FormatRequest& format,
                              const std::function<bitlocker::NewVolume()>& make_keys) {
  std::future<bitlocker::NewVolume> keys = std::async(std::launch::async, make_keys);
  ntfs::FormattedVolume formatted = ntfs::format_volume(format);
  bitlocker::VolumeLayout layout = bitlocker::place_metadata(
      format.volume_bytes, format.sector, formatted.geometry().cluster_size, formatted.occupied());
  bitlocker::CreatedVolume created = keys.get().place(layout);
  return {std::move(formatted), std::move(layout), std::move(created)};
}

void write_empty_volume(const EmptyVolume& volume, block::BlockDevice& place,
                        bitlocker::EncryptedDevice& plain) {
  bitlocker::erase_volume_header(place);
  bitlocker::write_metadata(place, volume.layout, volume.created.metadata);
  volume.formatted.copy_to(plain);
  if (volume.layout.reserved) {
    // Windows keeps it for later use: encrypted zeros, and nothing of what the disk held before.
    block::AlignedBuffer zeros(bitlocker::kReservedSize);
    std::ranges::fill(zeros.span(), std::byte{0});
    plain.write(*volume.layout.reserved, zeros.span());
  }
  place.flush();
}

std::vector<ntfs::ReservedFile> reserved_files(const bitlocker::VolumeLayout& layout) {
  std::vector<ntfs::ReservedFile> files;
  for (const bitlocker::ReservedFile& owned : layout.reserved_files()) {
    files.push_back({utf16_from_utf8(owned.name).value(), owned.range});
  }
  return files;
}

void write_whole_volume(const EmptyVolume& volume, block::BlockDevice& target) {
  block::RememberingDevice place(target);
  const auto cipher = std::make_shared<const bitlocker::SectorCipher>(
      volume.created.cipher, volume.created.fvek.clone(), volume.layout.sector_size);
  bitlocker::EncryptedDevice plain(place, volume.layout, cipher);
  write_empty_volume(volume, place, plain);
  require_kept(place);
  {
    ntfs::DirectSink sink(plain);
    ntfs::VolumeWriter writer(plain, sink, {.free_clusters = volume.formatted.free_clusters()});
    writer.reserve(reserved_files(volume.layout));
    writer.flush_data();
    writer.finish();
    writer.checkpoint_done();
    writer.close();
  }
  place.flush();
  require_kept(place);
  Bytes boot_sector(volume.layout.sector_size.bytes());
  plain.read(0, boot_sector);
  bitlocker::write_boot_region(place, volume.layout, boot_sector);
  require_kept(place);
}

}  // namespace driveprep::volume
