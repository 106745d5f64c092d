#include "bitlocker/recovery_password.h"

#include <array>
#include <string>

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kDigits = 6;
constexpr std::uint32_t kFactor = 11;

bool is_separator(char c) { return c == '-' || c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorKind::kKey, "bad-recovery-password",
              "the recovery password is not valid: " + why,
              "Compare it with the original: eight groups of six digits.");
}

SecretBytes text_of(ByteView key) {
  SecretBytes text(RecoveryPassword::kTextSize);
  ByteReader reader(key);
  for (std::size_t group = 0; group < RecoveryPassword::kGroups; ++group) {
    std::uint32_t value = reader.u16() * kFactor;
    const std::size_t start = group * (kDigits + 1);
    for (std::size_t i = kDigits; i-- > 0; value /= 10) {
      text.span()[start + i] = static_cast<std::byte>('0' + value % 10);
    }
    if (group != 0) text.span()[start - 1] = std::byte{'-'};
  }
  return text;
}

}  // namespace

RecoveryPassword::RecoveryPassword(SecretBytes text, SecretBytes key)
    : text_(std::move(text)), key_(std::move(key)) {}

RecoveryPassword RecoveryPassword::random() {
  SecretBytes key = SecretBytes::random(kKeySize);
  SecretBytes text = text_of(key.span());
  return {std::move(text), std::move(key)};
}

RecoveryPassword RecoveryPassword::from_key(ByteView key) {
  if (key.size() != kKeySize) refuse("its key does not have 16 bytes");
  return {text_of(key), SecretBytes::copy_of(key)};
}

RecoveryPassword RecoveryPassword::parse(std::string_view text) {
  SecretBytes digits(kGroups * kDigits);
  std::size_t count = 0;
  for (const char c : text) {
    if (is_separator(c)) continue;
    if (c < '0' || c > '9') {
      refuse("group " + std::to_string(count / kDigits + 1) +
             " holds something that is not a digit");
    }
    if (count == digits.size()) refuse("it has more than 48 digits");
    digits.span()[count++] = static_cast<std::byte>(c - '0');
  }
  if (count != digits.size()) refuse("it has " + std::to_string(count) + " digits instead of 48");

  SecretBytes key(kKeySize);
  for (std::size_t group = 0; group < kGroups; ++group) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < kDigits; ++i) {
      value = value * 10 + std::to_integer<std::uint32_t>(digits.span()[group * kDigits + i]);
    }
    if (value % kFactor != 0) {
      refuse("group " + std::to_string(group + 1) + " is not a multiple of 11 (a digit is wrong)");
    }
    const std::uint32_t word = value / kFactor;
    if (word > 0xFFFF) refuse("group " + std::to_string(group + 1) + " is larger than 720885");
    key.span()[2 * group] = static_cast<std::byte>(word & 0xFF);
    key.span()[2 * group + 1] = static_cast<std::byte>(word >> 8);
  }
  SecretBytes canonical = text_of(key.span());
  return {std::move(canonical), std::move(key)};
}

}  // namespace driveprep::bitlocker
