#include "base/encoding.h"

#include <array>

namespace driveprep {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string hex(ByteView bytes, std::string_view digits) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::byte b : bytes) {
    text.push_back(digits[std::to_integer<unsigned>(b) >> 4]);
    text.push_back(digits[std::to_integer<unsigned>(b) & 15]);
  }
  return text;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Hands each character, or byte, to `put`: where it goes decides whether the result is a secret.
template <typename Put>
void encode64(ByteView bytes, std::string_view alphabet, Put put) {
  unsigned accumulator = 0;
  int bits = 0;
  for (std::byte b : bytes) {
    accumulator = (accumulator << 8 | std::to_integer<unsigned>(b)) & 0xFFFF;
    bits += 8;
    while (bits >= 6) {
      bits -= 6;
      put(alphabet[accumulator >> bits & 63]);
    }
  }
  if (bits > 0) put(alphabet[accumulator << (6 - bits) & 63]);
}

// False when the text is none.
template <typename Put>
bool decode64(std::string_view text, std::string_view alphabet, Put put) {
  if (text.size() % 4 == 1) return false;
  unsigned accumulator = 0;
  int bits = 0;
  for (char c : text) {
    const std::size_t value = alphabet.find(c);
    if (value == std::string_view::npos) return false;
    accumulator = (accumulator << 6 | static_cast<unsigned>(value)) & 0xFFFF;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      put(static_cast<std::byte>(accumulator >> bits & 0xFF));
    }
  }
  return (accumulator & ((1U << bits) - 1)) == 0;
}

std::string text64(ByteView bytes, std::string_view alphabet) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  encode64(bytes, alphabet, [&](char c) { text.push_back(c); });
  return text;
}

std::optional<Bytes> bytes64(std::string_view text, std::string_view alphabet) {
  Bytes bytes;
  bytes.reserve(text.size() * 3 / 4);
  if (!decode64(text, alphabet, [&](std::byte b) { bytes.push_back(b); })) return std::nullopt;
  return bytes;
}

}  // namespace

std::string hex_lower(ByteView bytes) { return hex(bytes, "0123456789abcdef"); }
std::string hex_upper(ByteView bytes) { return hex(bytes, "0123456789ABCDEF"); }

bool from_hex(std::string_view text, MutableByteView out) {
  if (text.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_digit(text[2 * i]);
    const int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::byte>(high << 4 | low);
  }
  return true;
}

std::optional<Bytes> from_hex(std::string_view text) {
  Bytes bytes(text.size() / 2);
  if (!from_hex(text, bytes)) return std::nullopt;
  return bytes;
}

std::string base64(ByteView bytes) {
  std::string text = text64(bytes, kBase64);
  text.resize((text.size() + 3) / 4 * 4, '=');
  return text;
}

std::optional<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return bytes64(text, kBase64);
}

std::string base64url(ByteView bytes) { return text64(bytes, kBase64Url); }
std::optional<Bytes> from_base64url(std::string_view text) { return bytes64(text, kBase64Url); }

SecretBytes secret_base64url(ByteView bytes) {
  SecretBytes text((bytes.size() * 4 + 2) / 3);
  std::size_t size = 0;
  encode64(bytes, kBase64Url, [&](char c) { text.span()[size++] = static_cast<std::byte>(c); });
  return text;
}

std::optional<SecretBytes> secret_from_base64url(std::string_view text) {
  SecretBytes bytes(text.size() * 3 / 4);
  std::size_t size = 0;
  if (!decode64(text, kBase64Url, [&](std::byte b) { bytes.span()[size++] = b; })) {
    return std::nullopt;
  }
  return bytes;
}

}  // namespace driveprep
