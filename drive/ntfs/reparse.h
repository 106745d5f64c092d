// Reparse points: entries of which Windows makes something else when they are opened.
//
// The tag alone tells what that is ([MS-FSCC] 2.1.2.1). Nothing here follows one.
#pragma once

#include <cstdint>
#include <string>

namespace driveprep::ntfs {

inline constexpr std::uint32_t kReparseMountPoint = 0xA0000003;  // junctions, too
inline constexpr std::uint32_t kReparseSymbolicLink = 0xA000000C;
inline constexpr std::uint32_t kReparseLinuxSymbolicLink = 0xA000001D;  // of WSL
inline constexpr std::uint32_t kReparseDeduplicated = 0x80000013;
inline constexpr std::uint32_t kReparseOverlayCompressed = 0x80000017;  // WOF, "CompactOS"

// Whether it stands for something that lies elsewhere (bit N of the tag).
bool names_something_else(std::uint32_t tag);

// Whether a directory with this tag has its entries in its own index (bit D without bit N), as
// those of OneDrive.
bool keeps_its_entries(std::uint32_t tag);

// "a symbolic link", "a deduplicated file", "a reparse point of unknown kind 0x80001234".
std::string describe_reparse_tag(std::uint32_t tag);

}  // namespace driveprep::ntfs
