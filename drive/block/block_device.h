// What can be read and written in bytes: an image file, a disk, a partition of it, a decrypted
// view.
//
// Offsets and lengths are bytes from the start of the device. All calls are safe from several
// threads at once as long as written ranges do not overlap other ranges in use.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/units.h"

namespace driveprep::block {

class ReadableDevice {
 public:
  virtual ~ReadableDevice() = default;

  virtual std::uint64_t size() const = 0;  // bytes
  virtual SectorSize sector_size() const = 0;
  // How the device is called in messages: "disk0.img", "disk0.img (BitLocker volume)".
  virtual std::string name() const = 0;
  // Fills `out` completely or throws; reading past the end is an Error ("read-past-end").
  // Any offset, length and buffer alignment is allowed; 4096-byte alignment of all three is fast.
  virtual void read(std::uint64_t offset, MutableByteView out) const = 0;
};

class BlockDevice : public ReadableDevice {
 public:
  // Writes all of `data` or throws (kind kWrite, or kBusy when the device has vanished). Writing
  // past the end is an internal error, never an extension. Durable only after flush().
  // Offset and length are multiples of the sector size.
  virtual void write(std::uint64_t offset, ByteView data) = 0;
  // Everything written so far is on stable storage when this returns. A failure is final: the
  // device refuses every later write and flush ("device-failed").
  virtual void flush() = 0;
};

// Throws when [offset, offset + length) is not inside the device.
void check_range(const ReadableDevice& device, std::uint64_t offset, std::uint64_t length,
                 const char* operation);

// A part of a device, for example a partition. Keeps a reference: the device must outlive it.
class ReadableSlice : public ReadableDevice {
 public:
  ReadableSlice(const ReadableDevice& device, ByteRange range, std::string name);
  std::uint64_t size() const override { return range_.length; }
  SectorSize sector_size() const override { return device_.sector_size(); }
  std::string name() const override { return name_; }
  void read(std::uint64_t offset, MutableByteView out) const override;

 private:
  const ReadableDevice& device_;
  ByteRange range_;
  std::string name_;
};

class Slice : public BlockDevice {
 public:
  Slice(BlockDevice& device, ByteRange range, std::string name);
  std::uint64_t size() const override { return range_.length; }
  SectorSize sector_size() const override { return device_.sector_size(); }
  std::string name() const override { return name_; }
  void read(std::uint64_t offset, MutableByteView out) const override;
  void write(std::uint64_t offset, ByteView data) override;
  void flush() override { device_.flush(); }
  const ByteRange& range() const { return range_; }  // of the device below

 private:
  BlockDevice& device_;
  ByteRange range_;
  std::string name_;
};

}  // namespace driveprep::block
