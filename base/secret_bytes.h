// Secrets in memory: move-only, in OpenSSL's locked arena, wiped on destruction, not printable.
// Rules: docs/secrets.md, from the hygiene table of the key-wrapping reference (section 8).
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace driveprep {

class SecretBytes {
 public:
  SecretBytes() = default;
  // `size` zero bytes.
  explicit SecretBytes(std::size_t size);
  static SecretBytes copy_of(ByteView bytes);
  static SecretBytes copy_of(std::string_view text);
  // From the operating system's generator for private values; throws an Error of kind kKey.
  static SecretBytes random(std::size_t size);

  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes();

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  MutableByteView span() { return {data_, size_}; }
  ByteView span() const { return {data_, size_}; }
  // The same bytes as text; valid as long as this object. Never store the view.
  std::string_view text() const;
  // A second copy, asked for by name so that it can be found in review.
  SecretBytes clone() const { return copy_of(span()); }
  // Cuts to `size` bytes (no larger than now); the rest is wiped.
  void truncate(std::size_t size);

  // Constant time for equal sizes.
  friend bool operator==(const SecretBytes& a, const SecretBytes& b);

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

// Call first thing in main: makes the locked arena, turns core dumps and ptrace attachment off.
enum class SecretMemory { kLocked, kNotLocked };
SecretMemory protect_process_memory();

// Wipes an ordinary buffer that held a secret for a moment.
void wipe(MutableByteView bytes);
void wipe(std::string& text);

}  // namespace driveprep
