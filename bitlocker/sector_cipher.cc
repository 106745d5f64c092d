#include "bitlocker/sector_cipher.h"

#include <mutex>
#include <string>
#include <vector>

#include "bitlocker/sector_engine.h"

namespace driveprep::bitlocker {
namespace {

std::unique_ptr<SectorEngine> make_fastest_cbc(ByteView key, SectorSize sector_size) {
  if (std::unique_ptr<SectorEngine> fast = make_cbc_aesni_engine(key, sector_size)) return fast;
  return make_cbc_engine(key, sector_size);
}

std::unique_ptr<SectorEngine> make_engine(Cipher cipher, const SecretBytes& fvek,
                                          SectorSize sector_size) {
  if (fvek.size() != fvek_size(cipher)) {
    throw Error(ErrorKind::kKey, "fvek-size",
                "the volume key for " + std::string(to_string(cipher)) + " has " +
                    std::to_string(fvek.size()) + " bytes instead of " +
                    std::to_string(fvek_size(cipher)));
  }
  if (has_elephant_diffuser(cipher)) {
    // The two keys lie 32 bytes apart, whatever their length.
    const std::size_t key_size = cipher == Cipher::kAesCbc128Elephant ? 16 : 32;
    return make_elephant_engine(make_fastest_cbc(fvek.span().first(key_size), sector_size),
                                fvek.span().subspan(32, key_size), sector_size);
  }
  if (!is_xts(cipher)) return make_fastest_cbc(fvek.span(), sector_size);
  const std::size_t half = fvek.size() / 2;
  if (SecretBytes::copy_of(fvek.span().first(half)) ==
      SecretBytes::copy_of(fvek.span().subspan(half))) {
    throw Error(ErrorKind::kKey, "fvek-weak", "the two halves of the XTS volume key are equal");
  }
  if (std::unique_ptr<SectorEngine> fast = make_xts_aesni_engine(fvek.span(), sector_size)) {
    return fast;
  }
  return make_xts_engine(fvek.span(), sector_size);
}

}  // namespace

// Engines that no call is using. There are as many as calls ever ran at once.
class SectorCipher::Pool {
 public:
  explicit Pool(std::unique_ptr<SectorEngine> original) : original_(std::move(original)) {}

  class Lease {
   public:
    explicit Lease(Pool& pool) : pool_(pool), engine_(pool.take()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { pool_.give_back(std::move(engine_)); }
    SectorEngine* operator->() const { return engine_.get(); }

   private:
    Pool& pool_;
    std::unique_ptr<SectorEngine> engine_;
  };

 private:
  std::unique_ptr<SectorEngine> take() {
    std::scoped_lock lock(mutex_);
    if (idle_.empty()) {
      idle_.reserve(++engines_);  // so that giving back never allocates
      return original_->clone();
    }
    std::unique_ptr<SectorEngine> engine = std::move(idle_.back());
    idle_.pop_back();
    return engine;
  }
  void give_back(std::unique_ptr<SectorEngine> engine) {
    std::scoped_lock lock(mutex_);
    idle_.push_back(std::move(engine));
  }

  std::mutex mutex_;
  std::unique_ptr<SectorEngine> original_;
  std::vector<std::unique_ptr<SectorEngine>> idle_;
  std::size_t engines_ = 0;
};

SectorCipher::SectorCipher(Cipher cipher, SecretBytes fvek, SectorSize sector_size)
    : cipher_(cipher),
      sector_size_(sector_size),
      pool_(std::make_unique<Pool>(make_engine(cipher, fvek, sector_size))) {}
SectorCipher::~SectorCipher() = default;

void SectorCipher::encrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) const {
  require(in.size() == out.size() && in.size() % sector_size_.bytes() == 0 &&
              byte_offset % sector_size_.bytes() == 0,
          "sectors are encrypted whole");
  Pool::Lease(*pool_)->encrypt(byte_offset, in, out);
}

void SectorCipher::decrypt(std::uint64_t byte_offset, ByteView in, MutableByteView out) const {
  require(in.size() == out.size() && in.size() % sector_size_.bytes() == 0 &&
              byte_offset % sector_size_.bytes() == 0,
          "sectors are decrypted whole");
  Pool::Lease(*pool_)->decrypt(byte_offset, in, out);
}

}  // namespace driveprep::bitlocker
