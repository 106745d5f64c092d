#include "agent/record/public_key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <memory>

#include "base/digest.h"
#include "base/encoding.h"
#include "keywrap/strict_json.h"

namespace driveprep::record {
namespace {

constexpr std::size_t kMaxKeyFileBytes = 64 * 1024;
constexpr int kLineBytes = 48;  // of a PEM file: 64 characters

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free>;
using Bio = std::unique_ptr<BIO, Free>;

// What stands before the 32 bytes in a SubjectPublicKeyInfo (RFC 8410).
constexpr std::array<unsigned char, 12> kPublicKeyInfo = {0x30, 0x2A, 0x30, 0x05, 0x06, 0x03,
                                                          0x2B, 0x65, 0x70, 0x03, 0x21, 0x00};
static_assert(kPublicKeyInfo.size() + PublicKey::kBytes <= kLineBytes);

[[noreturn]] void unusable(const std::string& name, const std::string& why) {
  ERR_clear_error();
  throw Error(
      ErrorKind::kUsage, "record-key-file", name + " is no public key that signs records: " + why,
      "Give the Ed25519 public key that driveprep report --public-key prints on the machine "
      "that made the record, as PEM or JWK.");
}

int no_passphrase(char*, int, int, void*) { return -1; }

PublicKey from_pem(std::string_view text, const std::string& name) {
  if (text.find("PRIVATE KEY-----") != std::string_view::npos) {
    unusable(name, "it holds a private key");
  }
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  const Key key(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  if (!key) unusable(name, "it has no PEM block PUBLIC KEY that can be read");
  std::array<std::byte, PublicKey::kBytes> bytes{};
  std::size_t size = bytes.size();
  if (EVP_PKEY_is_a(key.get(), "ED25519") != 1 ||
      EVP_PKEY_get_raw_public_key(key.get(), uchars(MutableByteView(bytes)), &size) != 1 ||
      size != bytes.size()) {
    unusable(name, "it is not an Ed25519 key");
  }
  return PublicKey(bytes);
}

}  // namespace

PublicKey PublicKey::from_jwk(const nlohmann::json& jwk) {
  if (!jwk.is_object() || jwk.size() != 3 || jwk.value("kty", nlohmann::json()) != "OKP" ||
      jwk.value("crv", nlohmann::json()) != "Ed25519" || !jwk.contains("x") ||
      !jwk.at("x").is_string()) {
    throw FormatError("the key is not an Ed25519 public key");
  }
  const auto x = from_base64url(jwk.at("x").get_ref<const std::string&>());
  if (!x || x->size() != kBytes) throw FormatError("the key is not 32 bytes in base64url");
  std::array<std::byte, kBytes> bytes{};
  std::ranges::copy(*x, bytes.begin());
  return PublicKey(bytes);
}

PublicKey PublicKey::from_file_text(std::string_view text, const std::string& name) {
  if (text.size() > kMaxKeyFileBytes) unusable(name, "it is too long");
  if (text.find("-----BEGIN ") != std::string_view::npos) return from_pem(text, name);
  try {
    const nlohmann::json jwk = keywrap::parse_strict_json(text, kMaxKeyFileBytes);
    if (!jwk.is_object()) unusable(name, "it is neither PEM nor a JWK");
    if (jwk.contains("d")) unusable(name, "it holds a private key");
    nlohmann::json needed = nlohmann::json::object();
    for (const char* member : {"kty", "crv", "x"}) {
      if (jwk.contains(member)) needed[member] = jwk.at(member);
    }
    return from_jwk(needed);
  } catch (const FormatError& error) {
    unusable(name, error.what());
  }
}

nlohmann::ordered_json PublicKey::jwk() const {
  return {{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", base64url(bytes_)}};
}

std::string PublicKey::pem() const {
  Bytes der(kPublicKeyInfo.size() + bytes_.size());
  const auto end = std::ranges::transform(kPublicKeyInfo, der.begin(), [](unsigned char c) {
                     return std::byte{c};
                   }).out;
  std::ranges::copy(bytes_, end);
  return "-----BEGIN PUBLIC KEY-----\n" + base64(der) + "\n-----END PUBLIC KEY-----\n";
}

std::string PublicKey::kid() const {
  // RFC 7638 and RFC 8037 A.3: the required members in the order of their names, without blanks.
  const std::string canonical = R"({"crv":"Ed25519","kty":"OKP","x":")" + base64url(bytes_) + "\"}";
  return base64url(sha256(as_bytes(canonical)));
}

bool PublicKey::verifies(ByteView message, const Signature& signature) const {
  const Key key(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr,
                                               uchars(ByteView(bytes_)), bytes_.size()));
  const DigestContext context(EVP_MD_CTX_new());
  const bool good =
      key && context &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), uchars(ByteView(signature)), signature.size(),
                       uchars(message), message.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace driveprep::record
