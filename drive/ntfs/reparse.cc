#include "drive/ntfs/reparse.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"

namespace driveprep::ntfs {
namespace {

constexpr std::uint32_t kBitDirectory = 0x10000000;
constexpr std::uint32_t kBitNameSurrogate = 0x20000000;
// Cloud files differ in these four bits only.
constexpr std::uint32_t kCloud = 0x9000001A;
constexpr std::uint32_t kCloudMask = 0xFFFF0FFF;

struct Known {
  std::uint32_t tag;
  const char* text;
};

constexpr std::array kKnown = {
    Known{kReparseMountPoint, "a junction or mount point"},
    Known{kReparseSymbolicLink, "a symbolic link"},
    Known{kReparseLinuxSymbolicLink, "a symbolic link of WSL"},
    Known{kReparseDeduplicated,
          "a deduplicated file, whose content lies in System Volume Information"},
    Known{kReparseOverlayCompressed, "a file that Windows has compressed for its system (WOF)"},
    Known{0x80000007, "a file of the single-instance store"},
    Known{0x80000008, "a file of a mounted WIM image"},
    Known{0x80000018, "a file of a Windows container"},
    Known{0x90001018, "a file of a Windows container"},
    Known{0x8000001B, "an alias of a program from the Windows store"},
    Known{0x80000014, "a special file of the NFS server"},
    Known{0x80000023, "a socket of WSL"},
    Known{0x80000024, "a FIFO of WSL"},
    Known{0x80000025, "a character device of WSL"},
    Known{0x80000026, "a block device of WSL"},
    Known{0x9000001C, "a placeholder of a Git virtual file system"},
    Known{0xC0000004, "a file moved to hierarchical storage"},
    Known{0x80000006, "a file moved to hierarchical storage"},
    Known{0x8000000A, "a link of the distributed file system"},
    Known{0x80000021, "a placeholder of OneDrive"},
};

}  // namespace

bool names_something_else(std::uint32_t tag) { return (tag & kBitNameSurrogate) != 0; }

bool keeps_its_entries(std::uint32_t tag) {
  return (tag & kBitDirectory) != 0 && !names_something_else(tag);
}

std::string describe_reparse_tag(std::uint32_t tag) {
  if ((tag & kCloudMask) == kCloud)
    return "a file of a cloud storage (OneDrive), which may not be here";
  const auto* const known = std::ranges::find(kKnown, tag, &Known::tag);
  if (known != kKnown.end()) return known->text;
  const std::array bytes = {static_cast<std::byte>(tag >> 24), static_cast<std::byte>(tag >> 16),
                            static_cast<std::byte>(tag >> 8), static_cast<std::byte>(tag)};
  return "a reparse point of unknown kind 0x" + hex_upper(bytes);
}

}  // namespace driveprep::ntfs
