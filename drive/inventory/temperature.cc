#include "drive/inventory/temperature.h"

#include <fstream>
#include <string>

namespace driveprep::inventory {
namespace {

namespace fs = std::filesystem;

std::optional<int> celsius_of(const fs::path& sensor) {
  std::ifstream file(sensor / "temp1_input");
  long thousandths = 0;
  if (!(file >> thousandths)) return std::nullopt;
  return static_cast<int>(thousandths / 1000);
}

std::optional<int> first_of(const fs::path& directory) {
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with("hwmon")) continue;
    if (const auto celsius = celsius_of(entry->path())) return celsius;
  }
  return std::nullopt;
}

}  // namespace

// Below a SCSI disk there is a directory of all its sensors; an NVMe controller has them itself.
std::optional<int> kernel_celsius(const fs::path& disk) {
  const fs::path device = disk / "device";
  if (const auto celsius = first_of(device / "hwmon")) return celsius;
  return first_of(device);
}

}  // namespace driveprep::inventory
