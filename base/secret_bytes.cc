#include "base/secret_bytes.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cstring>
#include <limits>

namespace driveprep {
namespace {

// Holds some hundred keys of up to 64 bytes and a few private RSA keys.
constexpr std::size_t kArenaBytes = 1024 * 1024;
constexpr std::size_t kSmallestBlock = 32;

}  // namespace

SecretBytes::SecretBytes(std::size_t size) : size_(size), capacity_(size) {
  if (size == 0) return;
  // Outside the arena (tests that never called protect_process_memory) this is ordinary memory,
  // still wiped on free.
  data_ = static_cast<std::byte*>(OPENSSL_secure_zalloc(size));
  if (data_ == nullptr) {
    throw Error(ErrorKind::kKey, "secret-memory-exhausted",
                "no room for " + std::to_string(size) + " bytes in the locked memory for secrets",
                "Close other runs of driveprep, or prepare fewer drives at once.");
  }
}

SecretBytes SecretBytes::copy_of(ByteView bytes) {
  SecretBytes copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.data_, bytes.data(), bytes.size());
  return copy;
}

SecretBytes SecretBytes::copy_of(std::string_view text) { return copy_of(as_bytes(text)); }

SecretBytes SecretBytes::random(std::size_t size) {
  SecretBytes bytes(size);
  require(size <= std::numeric_limits<int>::max(), "too many random bytes at once");
  if (RAND_priv_bytes(uchars(bytes.span()), static_cast<int>(size)) != 1) {
    throw Error(ErrorKind::kKey, "random-failed", "the random number generator failed",
                "Check that the system's generator works (dd if=/dev/random), then run again.");
  }
  return bytes;
}

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
  return *this;
}

SecretBytes::~SecretBytes() {
  if (data_ != nullptr) OPENSSL_secure_clear_free(data_, capacity_);
}

std::string_view SecretBytes::text() const { return as_text(span()); }

void SecretBytes::truncate(std::size_t size) {
  require(size <= size_, "SecretBytes::truncate cannot grow");
  if (size < size_) OPENSSL_cleanse(data_ + size, size_ - size);
  size_ = size;
}

bool operator==(const SecretBytes& a, const SecretBytes& b) {
  return a.size_ == b.size_ && (a.size_ == 0 || CRYPTO_memcmp(a.data_, b.data_, a.size_) == 0);
}

SecretMemory protect_process_memory() {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  prctl(PR_SET_DUMPABLE, 0);
  // 1: locked and left out of dumps; 2: usable, but the memlock limit was too small.
  return CRYPTO_secure_malloc_init(kArenaBytes, kSmallestBlock) == 1 ? SecretMemory::kLocked
                                                                     : SecretMemory::kNotLocked;
}

void wipe(MutableByteView bytes) { OPENSSL_cleanse(bytes.data(), bytes.size()); }
void wipe(std::string& text) {
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

}  // namespace driveprep
