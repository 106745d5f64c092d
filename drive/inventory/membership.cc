#include "drive/inventory/membership.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "base/posix.h"

namespace driveprep::inventory {
namespace {

// Without a larger whole, though libblkid files it under neither file system nor encryption.
constexpr std::array<std::string_view, 2> kAlone = {"swap", "swsuspend"};

// Pools, hashes of another device, and what other machines may have mounted: file systems or
// encryption by libblkid's word.
constexpr std::array<std::string_view, 11> kShared = {
    "zfs_member", "mpool", "bcachefs", "drbdproxy_datalog", "oracleasm", "VMFS", "gfs",
    "gfs2",       "ocfs",  "ocfs2",    "DM_verity_hash"};

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kWholes = {{
    {"e75caf8f-f680-4cee-afa3-b001e56efc2d", "Windows Storage Spaces"},
    {"5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "a Windows dynamic disk group"},
    {"af9b60a0-1431-4f62-bc68-3311714a69ad", "a Windows dynamic disk group"},
    {"0x42", "a Windows dynamic disk group"},
}};

constexpr std::uint64_t kBtrfsSuperblock = 64 * kKiB;
constexpr std::uint64_t kBtrfsDeviceCount = 0x88;  // 64 bits, little endian

// A btrfs that does not say of how many devices it is made may be of several.
std::uint64_t btrfs_devices(int fd, const ByteRange& area, const std::string& name) {
  Bytes field(8);
  posix::pread_exact(fd, area.offset + kBtrfsSuperblock + kBtrfsDeviceCount, field, name,
                     ErrorKind::kBusy);
  return ByteReader(field).u64();
}

bool is_member(const Signature& signature) {
  if (signature.usage == Usage::kRaid) return true;
  if (std::ranges::find(kShared, signature.type) != kShared.end()) return true;
  return signature.usage == Usage::kOther &&
         std::ranges::find(kAlone, signature.type) == kAlone.end();
}

}  // namespace

std::optional<std::string> larger_whole(int fd, const Signature& signature,
                                        const std::string& name) {
  if (is_member(signature)) return signature.type;
  if (signature.type != "btrfs") return std::nullopt;
  const std::uint64_t devices = btrfs_devices(fd, signature.area, name);
  if (devices == 1) return std::nullopt;
  return "btrfs of " + std::to_string(devices) + " devices";
}

std::optional<std::string_view> larger_whole(std::string_view partition_type) {
  for (const auto& [type, whole] : kWholes) {
    if (type == partition_type) return whole;
  }
  return std::nullopt;
}

}  // namespace driveprep::inventory
