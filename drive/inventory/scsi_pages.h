// Vital product data of SCSI devices, as the kernel keeps it in sysfs (device/vpd_pg80, ...).
//
// Format: SPC-5, 7.7. Numbers are big-endian. All functions throw FormatError for a page that is
// cut off or is another one.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"

namespace driveprep::inventory {

// Page 80h, unit serial number; clean_device_text().
std::string parse_unit_serial(ByteView page);

// Page 83h: the world wide name of the logical unit (NAA, else EUI-64), "0x" and lower-case
// hexadecimal digits; nullopt when it has none.
std::optional<std::string> parse_world_wide_name(ByteView page);

// Page 89h, ATA information: the IDENTIFY DEVICE page in it, 512 bytes.
ByteView ata_page_of(ByteView page);

}  // namespace driveprep::inventory
