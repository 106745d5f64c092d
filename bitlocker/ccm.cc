#include "bitlocker/ccm.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kTagSize = 16;
constexpr std::size_t kKeyEntryHead = 12;  // entry header, key type, key flags

struct ContextFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, ContextFree>;

void must(int result) { require(result == 1, "AES-CCM failed in libcrypto"); }

// Sets the parameters that come before the key; `tag` is null when encrypting.
Context begin(bool encrypting, const SecretBytes& key, ByteView nonce, const std::byte* tag,
              std::size_t length) {
  require(key.size() == kKeySize, "AES-CCM wants a key of 32 bytes");
  Context context(EVP_CIPHER_CTX_new());
  require(context != nullptr, "EVP_CIPHER_CTX_new failed");
  const int direction = encrypting ? 1 : 0;
  must(EVP_CipherInit_ex(context.get(), EVP_aes_256_ccm(), nullptr, nullptr, nullptr, direction));
  must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IVLEN, Nonce::kSize, nullptr));
  must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagSize,
                           const_cast<std::byte*>(tag)));
  must(EVP_CipherInit_ex(context.get(), nullptr, nullptr, uchars(key.span()), uchars(nonce),
                         direction));
  int ignored = 0;
  must(EVP_CipherUpdate(context.get(), nullptr, &ignored, nullptr, static_cast<int>(length)));
  return context;
}

Bytes serialised(const Nonce& nonce) {
  return ByteWriter().u64(nonce.time.ticks).u32(nonce.counter).take();
}

}  // namespace

Entry wrap(const SecretBytes& wrapping_key, const Nonce& nonce, Role role,
           const SecretBytes& plaintext) {
  Entry entry;
  entry.role = role;
  entry.type = ValueType::kWrapped;
  entry.fixed = serialised(nonce);
  entry.data.resize(plaintext.size());
  const MutableByteView out(entry.data);

  const Context context = begin(true, wrapping_key, entry.fixed, nullptr, plaintext.size());
  int length = 0;
  must(EVP_CipherUpdate(context.get(), uchars(out), &length, uchars(plaintext.span()),
                        static_cast<int>(plaintext.size())));
  must(EVP_CipherFinal_ex(context.get(), uchars(out) + length, &length));
  std::array<std::byte, kTagSize> tag{};
  must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagSize, tag.data()));
  entry.fixed.insert(entry.fixed.end(), tag.begin(), tag.end());
  return entry;
}

Entry wrap_key(const SecretBytes& wrapping_key, const Nonce& nonce, Role role,
               std::uint16_t key_type, const SecretBytes& key) {
  // Inside a wrapping Windows writes the flags 0, everywhere else 1.
  const Bytes head = ByteWriter()
                         .u16(static_cast<std::uint16_t>(kKeyEntryHead + key.size()))
                         .u16(static_cast<std::uint16_t>(Role::kProperty))
                         .u16(static_cast<std::uint16_t>(ValueType::kKey))
                         .u16(0)
                         .u16(key_type)
                         .u16(0)
                         .take();
  SecretBytes plaintext(head.size() + key.size());
  std::copy(head.begin(), head.end(), plaintext.span().begin());
  std::copy(key.span().begin(), key.span().end(), plaintext.span().begin() + head.size());
  return wrap(wrapping_key, nonce, role, plaintext);
}

std::optional<SecretBytes> unwrap(const SecretBytes& wrapping_key, const Entry& wrapped) {
  if (wrapped.type != ValueType::kWrapped || wrapped.fixed.size() != Nonce::kSize + kTagSize ||
      wrapped.data.empty()) {
    return std::nullopt;
  }
  const ByteView fixed(wrapped.fixed);
  const Context context = begin(false, wrapping_key, fixed.first(Nonce::kSize),
                                fixed.subspan(Nonce::kSize).data(), wrapped.data.size());
  SecretBytes plaintext(wrapped.data.size());
  int length = 0;
  // In CCM the update checks the tag and fails before anything is released.
  if (EVP_CipherUpdate(context.get(), uchars(plaintext.span()), &length,
                       uchars(ByteView(wrapped.data)),
                       static_cast<int>(wrapped.data.size())) != 1) {
    return std::nullopt;
  }
  return plaintext;
}

std::optional<UnwrappedKey> unwrap_key(const SecretBytes& wrapping_key, const Entry& wrapped) {
  const std::optional<SecretBytes> plaintext = unwrap(wrapping_key, wrapped);
  if (!plaintext || plaintext->size() <= kKeyEntryHead) return std::nullopt;
  ByteReader reader(plaintext->span());
  const std::uint16_t size = reader.u16();
  reader.skip(2);
  const auto type = static_cast<ValueType>(reader.u16());
  reader.skip(2);
  UnwrappedKey key;
  key.key_type = reader.u16();
  reader.skip(2);
  if (size != plaintext->size() || type != ValueType::kKey) return std::nullopt;
  key.key = SecretBytes::copy_of(reader.take(reader.remaining()));
  return key;
}

std::optional<Nonce> nonce_of(const Entry& wrapped) {
  if (wrapped.type != ValueType::kWrapped || wrapped.fixed.size() < Nonce::kSize) {
    return std::nullopt;
  }
  ByteReader reader(wrapped.fixed);
  const FileTime time{reader.u64()};
  return Nonce{time, reader.u32()};
}

}  // namespace driveprep::bitlocker
