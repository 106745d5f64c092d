// Small helpers for the tests of the BitLocker module.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "base/secret_bytes.h"

namespace driveprep::bitlocker {

inline Bytes unhex(std::string_view text) {
  std::optional<Bytes> bytes = from_hex(text);
  REQUIRE(bytes);
  return *bytes;
}
inline SecretBytes secret_hex(std::string_view text) {
  return SecretBytes::copy_of(ByteView(unhex(text)));
}
inline std::string hex(const SecretBytes& secret) {
  return hex_lower(secret.span());
}

// Bytes that differ from sector to sector, the same in every run.
inline Bytes pattern(std::size_t size, std::uint64_t seed = 1) {
  Bytes bytes(size);
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ull + 1;
  for (std::byte& b : bytes) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    b = static_cast<std::byte>(state >> 56);
  }
  return bytes;
}

// Equality of long data without printing it when it fails.
inline bool same(ByteView a, ByteView b) {
  return std::ranges::equal(a, b);
}

// The code of the Error that `action` throws; "" when it throws none.
template <typename Action>
std::string error_code(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  return {};
}
template <typename Action>
std::string error_text(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace driveprep::bitlocker
