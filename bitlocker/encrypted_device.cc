#include "bitlocker/encrypted_device.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kWriteChunk = kMiB;

enum class Place { kZeros, kRelocated, kEncrypted, kPlain };

// A run of logical bytes that are all found in the same way.
struct Run {
  Place place;
  std::uint64_t physical;  // where its first byte lies
  std::uint64_t length;
};

Run run_at(const VolumeLayout& layout, std::uint64_t offset, std::uint64_t length) {
  std::uint64_t end = offset + length;
  for (const ByteRange& hidden : layout.hidden_ranges()) {
    if (hidden.contains(offset))
      return {Place::kZeros, offset, std::min(end, hidden.end()) - offset};
    if (hidden.offset > offset) end = std::min(end, hidden.offset);
  }
  if (offset < layout.header_backup_size) {
    end = std::min(end, layout.header_backup_size);
    return {Place::kRelocated, layout.header_backup + offset, end - offset};
  }
  if (offset >= layout.volume_size) return {Place::kPlain, offset, end - offset};
  return {Place::kEncrypted, offset, std::min(end, layout.volume_size) - offset};
}

// Reads and decrypts whole sectors into the caller's memory, any others through one sector beside
// it.
void read_sectors(const block::ReadableDevice& partition, const SectorCipher& cipher,
                  std::uint64_t physical, MutableByteView out) {
  const std::uint64_t sector = cipher.sector_size().bytes();
  while (!out.empty()) {
    const std::size_t skip = physical % sector;
    std::size_t count;
    if (skip == 0 && out.size() >= sector) {
      count = round_down(out.size(), sector);
      partition.read(physical, out.first(count));
      cipher.decrypt(physical, out.first(count), out.first(count));
    } else {
      std::array<std::byte, 4096> buffer;
      const MutableByteView whole = std::span(buffer).first(sector);
      partition.read(physical - skip, whole);
      cipher.decrypt(physical - skip, whole, whole);
      count = std::min<std::size_t>(sector - skip, out.size());
      std::ranges::copy(whole.subspan(skip, count), out.begin());
    }
    physical += count;
    out = out.subspan(count);
  }
}

}  // namespace

DecryptedDevice::DecryptedDevice(const block::ReadableDevice& partition, VolumeLayout layout,
                                 std::shared_ptr<const SectorCipher> cipher)
    : partition_(partition), layout_(std::move(layout)), cipher_(std::move(cipher)) {
  require(cipher_->sector_size() == layout_.sector_size, "cipher and layout differ in sector size");
}

std::string DecryptedDevice::name() const { return partition_.name() + " (BitLocker volume)"; }

void DecryptedDevice::read(std::uint64_t offset, MutableByteView out) const {
  block::check_range(*this, offset, out.size(), "read");
  while (!out.empty()) {
    const Run run = run_at(layout_, offset, out.size());
    const MutableByteView part = out.first(run.length);
    switch (run.place) {
      case Place::kZeros: std::ranges::fill(part, std::byte{0}); break;
      case Place::kPlain: partition_.read(run.physical, part); break;
      case Place::kRelocated:
      case Place::kEncrypted: read_sectors(partition_, *cipher_, run.physical, part); break;
    }
    offset += run.length;
    out = out.subspan(run.length);
  }
}

EncryptedDevice::EncryptedDevice(block::BlockDevice& partition, VolumeLayout layout,
                                 std::shared_ptr<const SectorCipher> cipher)
    : partition_(partition),
      layout_(layout),
      cipher_(cipher),
      plain_(partition, std::move(layout), std::move(cipher)) {
  require(!has_elephant_diffuser(cipher_->cipher()), "volumes with the diffuser are only read");
  require(layout_.volume_size == partition_.size(), "the volume does not fill its partition");
}

void EncryptedDevice::check_writable(std::uint64_t offset, std::uint64_t length) const {
  const ByteRange range{offset, length};
  for (const ByteRange& hidden : layout_.hidden_ranges()) {
    if (range.overlaps(hidden)) {
      throw Error(ErrorKind::kInternal, "reserved-range-written",
                  "a write of " + std::to_string(length) + " bytes at offset " +
                      std::to_string(offset) + " of " + name() +
                      " would destroy BitLocker metadata at " + std::to_string(hidden.offset));
    }
  }
}

void EncryptedDevice::write(std::uint64_t offset, ByteView data) {
  block::check_range(*this, offset, data.size(), "write");
  check_writable(offset, data.size());
  const std::uint64_t sector = layout_.sector_size.bytes();
  while (!data.empty()) {
    const Run run = run_at(layout_, offset, data.size());
    const std::size_t skip = offset % sector;
    std::size_t count;
    if (skip == 0 && run.length >= sector) {
      count = round_down(run.length, sector);
      write_sectors(run.physical, data.first(count));
    } else {
      std::array<std::byte, 4096> buffer;
      const MutableByteView whole = std::span(buffer).first(sector);
      plain_.read(offset - skip, whole);
      count = std::min<std::size_t>(sector - skip, run.length);
      std::ranges::copy(data.first(count), whole.begin() + skip);
      write_sectors(run.physical - skip, whole);
    }
    offset += count;
    data = data.subspan(count);
  }
}

void EncryptedDevice::write_sectors(std::uint64_t physical, ByteView plain) {
  block::AlignedBuffer scratch = take_scratch();
  while (!plain.empty()) {
    const std::size_t count = std::min(plain.size(), scratch.size());
    const MutableByteView sealed = scratch.span().first(count);
    cipher_->encrypt(physical, plain.first(count), sealed);
    partition_.write(physical, sealed);
    physical += count;
    plain = plain.subspan(count);
  }
  give_back_scratch(std::move(scratch));
}

block::AlignedBuffer EncryptedDevice::take_scratch() {
  std::scoped_lock lock(mutex_);
  if (scratch_.empty()) return block::AlignedBuffer(kWriteChunk);
  block::AlignedBuffer buffer = std::move(scratch_.back());
  scratch_.pop_back();
  return buffer;
}

void EncryptedDevice::give_back_scratch(block::AlignedBuffer buffer) {
  std::scoped_lock lock(mutex_);
  scratch_.push_back(std::move(buffer));
}

void EncryptedDevice::encrypt(std::uint64_t offset, MutableByteView in_place) const {
  block::check_range(*this, offset, in_place.size(), "encrypt for");
  check_writable(offset, in_place.size());
  require(offset >= layout_.header_backup_size,
          "the first bytes of a volume are not in their place");
  cipher_->encrypt(offset, in_place, in_place);
}

}  // namespace driveprep::bitlocker
