// A PKCS#11 module that hands everything to SoftHSM, but for what a test makes it do otherwise:
// what other tokens do and SoftHSM does not.
#pragma once

#include <p11-kit/pkcs11.h>

struct OddBehaviour {
  CK_FLAGS more_flags = 0;           // of every token
  CK_RV login = CKR_OK;              // instead of logging in, unless CKR_OK
  CK_RV decryption = CKR_OK;         // instead of decrypting, unless CKR_OK
  bool knows_sha256 = false;         // OAEP with it, as real tokens do
  bool drops_leading_zeros = false;  // from what raw RSA gives
  int logins = 0;                    // calls
  int raw_operations = 0;            // calls that ask for RSA without padding
};

// The behaviour of this module, to be changed; by dlsym.
extern "C" OddBehaviour* odd_behaviour();
