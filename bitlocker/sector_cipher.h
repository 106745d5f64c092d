// Sector encryption of a BitLocker volume with its full-volume encryption key (FVEK).
//
// One sector is one data unit; what makes it unlike its neighbours is the byte offset in the volume
// where the *ciphertext* lies:
//   XTS       tweak = sector number (offset / sector size), 128-bit little-endian
//   CBC       IV = AES-ECB(key, byte offset as 128-bit little-endian)
//   Elephant  CBC, and before it a sector key and two diffusers
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/secret_bytes.h"
#include "base/units.h"
#include "bitlocker/cipher.h"

namespace driveprep::bitlocker {

class SectorCipher {
 public:
  // `fvek`: fvek_size(cipher) bytes. Throws an Error (kKey) for a key of another length
  // ("fvek-size") and for an XTS key with two equal halves ("fvek-weak").
  SectorCipher(Cipher cipher, SecretBytes fvek, SectorSize sector_size);
  ~SectorCipher();
  SectorCipher(const SectorCipher&) = delete;
  SectorCipher& operator=(const SectorCipher&) = delete;

  Cipher cipher() const { return cipher_; }
  SectorSize sector_size() const { return sector_size_; }

  // Transform a run of whole sectors. `byte_offset`: where the ciphertext of the first one lies, in
  // bytes from the start of the volume, a multiple of the sector size. `in` and `out` have the same
  // length and are either the same memory or disjoint. Long runs are fast: keys are set up once and
  // nothing is allocated per sector. Safe to call from several threads at once.
  // Encrypting with an Elephant cipher is an internal error: such volumes are only read.
  void encrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) const;
  void decrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) const;

 private:
  class Pool;

  Cipher cipher_;
  SectorSize sector_size_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace driveprep::bitlocker
