// The plaintext of a BitLocker volume as a device: NTFS is written and read through it.
//
// Logical and physical volume have the same size. The first 8 KiB of NTFS live at B; the metadata
// copies and B itself read as zeros and cannot be written; everything else stands, encrypted, at
// its own place.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bitlocker/layout.h"
#include "bitlocker/sector_cipher.h"
#include "drive/block/aligned_buffer.h"
#include "drive/block/block_device.h"

namespace driveprep::bitlocker {

// Read only.
class DecryptedDevice : public block::ReadableDevice {
 public:
  // `partition` must outlive this; its size may exceed the layout's volume size, then the rest is
  // passed through as it is (it was never encrypted).
  DecryptedDevice(const block::ReadableDevice& partition, VolumeLayout layout,
                  std::shared_ptr<const SectorCipher> cipher);

  std::uint64_t size() const override { return partition_.size(); }
  SectorSize sector_size() const override { return layout_.sector_size; }
  std::string name() const override;
  void read(std::uint64_t offset, MutableByteView out) const override;

 private:
  const block::ReadableDevice& partition_;
  VolumeLayout layout_;
  std::shared_ptr<const SectorCipher> cipher_;
};

class EncryptedDevice : public block::BlockDevice {
 public:
  // `partition` must outlive this. Refuses (internal error) ciphers that are only read.
  EncryptedDevice(block::BlockDevice& partition, VolumeLayout layout,
                  std::shared_ptr<const SectorCipher> cipher);

  std::uint64_t size() const override { return partition_.size(); }
  SectorSize sector_size() const override { return layout_.sector_size; }
  std::string name() const override { return plain_.name(); }
  void read(std::uint64_t offset, MutableByteView out) const override { plain_.read(offset, out); }

  // Encrypts into memory of its own and writes long aligned runs. Any offset and length: parts of
  // sectors are read, changed and written back, so no other thread may write the same sector.
  // Touching a metadata copy or B is an internal error ("reserved-range-written") before anything
  // is written.
  void write(std::uint64_t offset, ByteView data) override;
  void flush() override { partition_.flush(); }

  // For whoever writes to the partition itself: turns plaintext meant for `offset` into what must
  // stand there, in place. Whole sectors; the range touches neither the first 8 KiB nor a metadata
  // copy nor B (internal error). Safe from several threads at once.
  void encrypt(std::uint64_t offset, MutableByteView in_place) const;

 private:
  void check_writable(std::uint64_t offset, std::uint64_t length) const;
  void write_sectors(std::uint64_t physical, ByteView plain);
  block::AlignedBuffer take_scratch();
  void give_back_scratch(block::AlignedBuffer buffer);

  block::BlockDevice& partition_;
  VolumeLayout layout_;
  std::shared_ptr<const SectorCipher> cipher_;
  DecryptedDevice plain_;
  std::mutex mutex_;
  std::vector<block::AlignedBuffer> scratch_;  // as many as writes ever ran at once
};

}  // namespace driveprep::bitlocker
