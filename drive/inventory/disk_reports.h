// What sysfs tells of a disk's identity: no descriptor is needed.
#pragma once

#include <filesystem>
#include <string>

#include "drive/inventory/identity.h"
#include "drive/inventory/sysfs.h"

namespace driveprep::inventory {

// `disk`: its real directory in sysfs, whose parents tell how it is connected.
Bus bus_of(const std::filesystem::path& disk);
// The port, the same after every boot: "pci-0000:00:1f.2 ata2", "pci-0000:00:14.0 usb-1-2".
std::string bus_path_of(const std::filesystem::path& disk);

// Throws kBusy "sysfs-unreadable" for what is there and cannot be read or is damaged.
IdentityReports read_reports(const Sysfs& sysfs, const std::filesystem::path& disk);

}  // namespace driveprep::inventory
