// DriveInfo.xml: the extract that names a drive, its manifest and the manifest's hash, in the form
// of the preparation tool's journal. The unlock key is left out: the job bodies carry it when asked
// to.
#pragma once

#include <filesystem>
#include <string>

#include "agent/manifest/manifest_format.h"

namespace driveprep::manifest {

struct DriveInfo {
  std::string drive_id;
  std::string manifest_file{kManifestFilePath};
  std::string manifest_md5_hex;
};

// kUsage "manifest-invalid-value" for a value that XML cannot hold.
std::string drive_info_xml(const DriveInfo& info);
// The file appears whole or not at all, 0644.
void write_drive_info(const std::filesystem::path& path, const DriveInfo& info);

}  // namespace driveprep::manifest
