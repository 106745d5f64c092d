// PKCS#11 URIs (RFC 7512): pkcs11:token=Archive;serial=1234;object=kek;id=%01?pin-source=file:/...
//
// The path says which key; it is what identifies one. The query says how to get at it, which is a
// matter of configuration, and belongs into no envelope.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace driveprep::keywrap::pkcs11 {

struct Pkcs11Uri {
  // The path. nullopt: not said.
  std::optional<std::string> token;  // the label of the token, without the blanks that fill it up
  std::optional<std::string> manufacturer;
  std::optional<std::string> serial;
  std::optional<std::string> model;
  std::optional<std::string> object;  // CKA_LABEL
  std::optional<Bytes> id;            // CKA_ID
  std::optional<std::string> type;    // "private" or "public": both mean the pair
  std::optional<unsigned long> slot_id;
  std::optional<std::string> slot_description;
  std::optional<std::string> slot_manufacturer;
  std::optional<std::string> library_manufacturer;
  std::optional<std::string> library_description;
  std::optional<std::string> library_version;
  // The query: absolute paths, or empty.
  std::filesystem::path module_path;
  std::filesystem::path pin_source;

  bool has_query() const { return !module_path.empty() || !pin_source.empty(); }

  // Throws KeyError kUriInvalid for what is no such URI, names an attribute twice, has one that RFC
  // 7512 does not know, or asks for what is not done here: "pin-value" (a secret in a file or
  // argument; its value is not repeated), a program as "pin-source", "module-name", relative paths.
  static Pkcs11Uri parse(std::string_view text);
  // In a fixed order with as little percent-encoding as possible, but for the id, which is encoded
  // throughout: equal URIs give equal texts.
  std::string to_string() const;

  friend bool operator==(const Pkcs11Uri&, const Pkcs11Uri&) = default;
};

}  // namespace driveprep::keywrap::pkcs11
