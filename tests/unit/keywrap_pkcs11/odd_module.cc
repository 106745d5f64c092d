#define OPENSSL_SUPPRESS_DEPRECATED

#include "tests/unit/keywrap_pkcs11/odd_module.h"

#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

OddBehaviour behaviour;
CK_FUNCTION_LIST* real = nullptr;
CK_FUNCTION_LIST odd;
bool oaep = false;  // the operation under way is OAEP with SHA-256

bool is_sha256_oaep(const CK_MECHANISM* mechanism) {
  CK_RSA_PKCS_OAEP_PARAMS parameters{};
  if (mechanism->mechanism != CKM_RSA_PKCS_OAEP || mechanism->ulParameterLen != sizeof parameters) {
    return false;
  }
  std::memcpy(&parameters, mechanism->pParameter, sizeof parameters);
  return parameters.hashAlg == CKM_SHA256 && parameters.mgf == CKG_MGF1_SHA256;
}

template <typename Begin>
CK_RV begin(Begin function, CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
            CK_OBJECT_HANDLE key) {
  if (mechanism->mechanism == CKM_RSA_X_509) ++behaviour.raw_operations;
  oaep = behaviour.knows_sha256 && is_sha256_oaep(mechanism);
  CK_MECHANISM raw{CKM_RSA_X_509, nullptr, 0};
  return function(session, oaep ? &raw : mechanism, key);
}

CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  const CK_RV result = real->C_GetTokenInfo(slot, info);
  if (result == CKR_OK) info->flags |= behaviour.more_flags;
  return result;
}

CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char* pin, CK_ULONG size) {
  ++behaviour.logins;
  return behaviour.login != CKR_OK ? behaviour.login : real->C_Login(session, user, pin, size);
}

CK_RV encrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE key) {
  return begin(real->C_EncryptInit, session, mechanism, key);
}

CK_RV encrypt(CK_SESSION_HANDLE session, unsigned char* in, CK_ULONG in_size, unsigned char* out,
              CK_ULONG* out_size) {
  if (!oaep) return real->C_Encrypt(session, in, in_size, out, out_size);
  std::vector<unsigned char> block(*out_size);
  RSA_padding_add_PKCS1_OAEP_mgf1(block.data(), static_cast<int>(block.size()), in,
                                  static_cast<int>(in_size), nullptr, 0, EVP_sha256(),
                                  EVP_sha256());
  return real->C_Encrypt(session, block.data(), block.size(), out, out_size);
}

CK_RV decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE key) {
  return begin(real->C_DecryptInit, session, mechanism, key);
}

CK_RV decrypt(CK_SESSION_HANDLE session, unsigned char* in, CK_ULONG in_size, unsigned char* out,
              CK_ULONG* out_size) {
  std::vector<unsigned char> block(*out_size);
  CK_ULONG size = block.size();
  CK_RV result = real->C_Decrypt(session, in, in_size, block.data(), &size);
  if (behaviour.decryption != CKR_OK) result = behaviour.decryption;
  if (result != CKR_OK) return result;
  block.resize(size);
  if (oaep) {
    std::vector<unsigned char> text(size);
    const int length = RSA_padding_check_PKCS1_OAEP_mgf1(
        text.data(), static_cast<int>(text.size()), block.data(), static_cast<int>(size),
        static_cast<int>(size), nullptr, 0, EVP_sha256(), EVP_sha256());
    ERR_clear_error();
    if (length < 0) return CKR_ENCRYPTED_DATA_INVALID;
    text.resize(static_cast<std::size_t>(length));
    block = std::move(text);
  } else if (behaviour.drops_leading_zeros) {
    block.erase(block.begin(), std::ranges::find_if(block, [](unsigned char c) { return c != 0; }));
  }
  std::ranges::copy(block, out);
  *out_size = block.size();
  return CKR_OK;
}

}  // namespace

extern "C" OddBehaviour* odd_behaviour() { return &behaviour; }

extern "C" CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  void* library = ::dlopen(std::getenv("ODD_MODULE_BEHIND"), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return CKR_GENERAL_ERROR;
  const auto get = std::bit_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  const CK_RV result = get(&real);
  if (result != CKR_OK) return result;
  odd = *real;
  odd.C_GetTokenInfo = get_token_info;
  odd.C_Login = login;
  odd.C_EncryptInit = encrypt_init;
  odd.C_Encrypt = encrypt;
  odd.C_DecryptInit = decrypt_init;
  odd.C_Decrypt = decrypt;
  *list = &odd;
  return CKR_OK;
}
