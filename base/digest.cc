#include "base/digest.h"

#include <openssl/evp.h>

namespace driveprep {

struct Digest::Impl {
  EVP_MD_CTX* context = nullptr;
  ~Impl() { EVP_MD_CTX_free(context); }
};

namespace {

template <typename Result>
Result one_shot(ByteView data, const EVP_MD* algorithm) {
  Result result;
  unsigned length = 0;
  const int ok = EVP_Digest(data.data(), data.size(), uchars(MutableByteView(result)), &length,
                            algorithm, nullptr);
  require(ok == 1 && length == result.size(), "EVP_Digest failed");
  return result;
}

}  // namespace

Sha256 sha256(ByteView data) { return one_shot<Sha256>(data, EVP_sha256()); }
Md5 md5(ByteView data) { return one_shot<Md5>(data, EVP_md5()); }

Digest::Digest(Algorithm algorithm) : impl_(std::make_unique<Impl>()) {
  impl_->context = EVP_MD_CTX_new();
  require(impl_->context != nullptr, "EVP_MD_CTX_new failed");
  const EVP_MD* type = algorithm == Algorithm::kMd5 ? EVP_md5() : EVP_sha256();
  require(EVP_DigestInit_ex(impl_->context, type, nullptr) == 1, "EVP_DigestInit_ex failed");
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::update(ByteView data) {
  require(EVP_DigestUpdate(impl_->context, data.data(), data.size()) == 1,
          "EVP_DigestUpdate failed");
}

Bytes Digest::finish() {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  require(EVP_DigestFinal_ex(impl_->context, raw, &length) == 1, "EVP_DigestFinal_ex failed");
  const ByteView view = std::as_bytes(std::span(raw, length));
  return Bytes(view.begin(), view.end());
}

}  // namespace driveprep
