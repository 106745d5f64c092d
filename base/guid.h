// A GUID in the mixed-endian form that Microsoft's structures use on disk.
#pragma once

#include <array>
#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace driveprep {

class Guid {
 public:
  static constexpr std::size_t kSize = 16;

  Guid() = default;
  // `raw`: 16 bytes as on disk. Throws FormatError for another length.
  static Guid from_disk(ByteView raw);
  // "4967d63b-2e29-4ad8-8399-f6a339e3d001", either case, with or without braces.
  static std::optional<Guid> parse(std::string_view text);
  // Random, version 4.
  static Guid random();

  ByteView on_disk() const { return raw_; }
  std::string lower() const;  // no braces
  std::string upper() const;

  friend auto operator<=>(const Guid&, const Guid&) = default;

 private:
  std::array<std::byte, kSize> raw_{};
};

}  // namespace driveprep
