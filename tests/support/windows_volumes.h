// Volumes that Windows encrypted, with their keys: conformance data that is not part of the
// product.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/secret_bytes.h"

namespace driveprep::test {

struct WindowsVolume {
  std::string name;  // "bitlk-aes-xts-256"
  std::filesystem::path image;
  std::map<std::string, std::string> facts;  // keys of volumes.conf

  std::string fact(const std::string& key) const {
    const auto found = facts.find(key);
    return found == facts.end() ? std::string() : found->second;
  }
};

// The volumes in the directory that DRIVEPREP_WINDOWS_VOLUMES names, or beside the source tree,
// unpacked once a run. Empty, with a warning, when there are none.
const std::vector<WindowsVolume>& windows_volumes();
// The external key file of the startup-key volume.
SecretBytes windows_external_key();

}  // namespace driveprep::test
