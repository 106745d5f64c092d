// The decrypted volume as one stream of bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "drive/block/block_device.h"

namespace driveprep::volume {

struct ExportOptions {
  // Zeros become holes of the output, which must be a new regular file; it gets the volume's size.
  bool sparse = false;
  // After each piece: bytes written so far. False ends the export.
  std::function<bool(std::uint64_t)> on_progress{};
};

// Writes all of `plain` to `fd` in order; reading and decrypting go on on all processors meanwhile.
// `name`: of the output, for messages. False when it was ended by `on_progress`. Throws what
// reading throws, and kWrite "output-failed".
bool export_volume(const block::ReadableDevice& plain, int fd, const std::string& name,
                   const ExportOptions& options);

}  // namespace driveprep::volume
