// driveset.csv: onto which drives.
//   DriveLetter,FormatOption,SilentOrPromptOnFormat,Encryption,ExistingBitLockerKey[,DriveId][,SectorSize]
// DriveLetter holds serial:XXXX, a device by a name that stays its own (/dev/disk/by-id/...,
// /dev/loopN), or the path of an image file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace driveprep::job {

struct DriveRow {
  enum class Kind { kDevice, kSerial, kImage };

  unsigned line = 0;
  Kind kind = Kind::kImage;
  std::filesystem::path path;       // kDevice and kImage: absolute
  std::string serial;               // kSerial
  bool prompt_on_format = true;     // PromptOnFormat: something on the drive needs consent
  std::string drive_id;             // always there for images; else may be empty
  std::uint32_t sector_size = 512;  // bytes; meant for images, a device knows its own

  // As the operator wrote it, for messages.
  std::string written;
};

struct Driveset {
  std::filesystem::path file;
  std::vector<DriveRow> rows;  // 1 to 10
};

inline constexpr std::size_t kMaxDrives = 10;

// Relative image paths start at the directory of `file`. What lies in /dev is a device unless it is
// a regular file; /dev/sdb and other names that go to another disk after the next start are refused
// (kUsage "csv-drive-node"). An existing BitLocker key in `text` is refused, never repeated, and
// overwritten in every copy made here; `text` is the caller's.
Driveset parse_driveset(std::string_view text, const std::filesystem::path& file);
Driveset load_driveset(const std::filesystem::path& file);

// Drive ids name directories and travel in manifests: 1-64 of A-Z a-z 0-9 '.' '_' '-', not
// starting with '.'.
bool is_valid_drive_id(std::string_view id);

}  // namespace driveprep::job
