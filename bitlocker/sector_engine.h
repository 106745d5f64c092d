// One mode of sector encryption with its keys set up: the inside of SectorCipher.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/units.h"

namespace driveprep::bitlocker {

// Used by one thread at a time. Offsets, lengths and aliasing as for SectorCipher, already checked.
class SectorEngine {
 public:
  virtual ~SectorEngine() = default;
  virtual void encrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) = 0;
  virtual void decrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) = 0;
  // The same keys, for another thread.
  virtual std::unique_ptr<SectorEngine> clone() const = 0;
};

// `fvek` has the size of the cipher.
std::unique_ptr<SectorEngine> make_xts_engine(ByteView fvek, SectorSize sector_size);
// The same through the AES instructions of the processor; null where it has none.
std::unique_ptr<SectorEngine> make_xts_aesni_engine(ByteView fvek, SectorSize sector_size);
// `key`: 16 or 32 bytes.
std::unique_ptr<SectorEngine> make_cbc_engine(ByteView key, SectorSize sector_size);
// The same through the AES instructions of the processor; null where it has none.
std::unique_ptr<SectorEngine> make_cbc_aesni_engine(ByteView key, SectorSize sector_size);
// Decrypts only, the CBC part with `cbc`. `sector_key`: 16 or 32 bytes.
std::unique_ptr<SectorEngine> make_elephant_engine(std::unique_ptr<SectorEngine> cbc,
                                                   ByteView sector_key, SectorSize sector_size);

}  // namespace driveprep::bitlocker
