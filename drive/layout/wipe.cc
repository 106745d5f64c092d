#include "drive/layout/wipe.h"

#include <algorithm>
#include <array>

#include "base/atomic_file.h"
#include "base/guid.h"
#include "base/system_error.h"
#include "base/zeros.h"
#include "drive/block/aligned_buffer.h"
#include "drive/layout/gpt.h"

namespace driveprep::layout {
namespace {

constexpr std::uint64_t kDiskEnds = kMiB;
constexpr std::uint64_t kPartitionHead = 64 * kKiB;
constexpr std::uint64_t kGrain = block::kDirectAlignment;
// Metadata copies of a BitLocker volume are 64 KiB each.
constexpr std::uint64_t kBitLockerRegion = 64 * kKiB;
// A signature may come to light only when the one before it is gone; eight layers are plenty.
constexpr int kMostRounds = 8;

using Signatures = inventory::Signatures;

Signatures probe(const block::FileDevice& device, const ByteRange& area) {
  return inventory::probe_signatures(device.fd(), area, device.sector_size(), device.name());
}

// A boot sector names the places of the three metadata copies after a GUID: at 0xA0 on a volume
// with NTFS inside, at 0x1A8 on one made for removable media.
std::vector<ByteRange> bitlocker_metadata(const block::FileDevice& device, const ByteRange& area) {
  std::vector<ByteRange> regions;
  if (area.length < 512) return regions;
  Bytes sector(512);
  device.read(area.offset, sector);
  for (const std::size_t place : {0xA0, 0x1A8}) {
    ByteReader reader(sector);
    reader.skip(place);
    const std::string guid = Guid::from_disk(reader.take(Guid::kSize)).lower();
    if (guid != "4967d63b-2e29-4ad8-8399-f6a339e3d001" &&
        guid != "92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8") {
      continue;
    }
    for (int copy = 0; copy < 3; ++copy) {
      const std::uint64_t offset = reader.u64();
      if (offset >= area.length) continue;
      regions.push_back({area.offset + offset, std::min(kBitLockerRegion, area.length - offset)});
    }
  }
  return regions;
}

// Everything to erase, inner structures first, the ends of the area last.
std::vector<ByteRange> regions_to_erase(const block::FileDevice& device, const ByteRange& whole,
                                        const Signatures& signatures) {
  const auto grains_around = [](const inventory::Signature& signature) {
    const std::uint64_t begin = round_down(signature.offset, kGrain);
    const std::uint64_t end =
        round_up(signature.offset + std::max<std::uint64_t>(signature.length, 1), kGrain);
    return ByteRange{begin, end - begin};
  };

  std::vector<ByteRange> regions;
  for (const auto& signature : signatures.found) {
    if (signature.type == "BitLocker") {
      const std::vector<ByteRange> copies = bitlocker_metadata(device, signature.area);
      regions.insert(regions.end(), copies.begin(), copies.end());
    }
  }
  for (const auto& signature : signatures.found) {
    if (signature.area != whole) regions.push_back(grains_around(signature));
  }
  for (const ByteRange& partition : signatures.partitions) {
    regions.push_back({partition.offset, std::min(kPartitionHead, partition.length)});
  }
  if (whole.length > kPartitionGrain) {
    regions.push_back({whole.offset + kPartitionGrain, kPartitionHead});
  }
  for (const auto& signature : signatures.found) {
    if (signature.area == whole) regions.push_back(grains_around(signature));
  }
  // The end before the start: a medium that lies about its size shows it before much is lost.
  const std::uint64_t tail = std::min(kDiskEnds, whole.length);
  regions.push_back({whole.end() - tail, tail});
  regions.push_back({whole.offset, tail});

  for (ByteRange& region : regions) {
    const std::uint64_t begin = std::max(region.offset, whole.offset);
    region = {begin, std::min(region.end(), whole.end()) - begin};
  }
  return regions;
}

// Returns the file, or nothing when the region holds zeros only or was saved earlier.
std::optional<std::filesystem::path> save(const block::FileDevice& device, const ByteRange& region,
                                          const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / ("wiped-" + std::to_string(region.offset) + "-" +
                                                  std::to_string(region.length) + ".bin");
  if (std::filesystem::exists(path)) return std::nullopt;
  block::AlignedBuffer buffer(region.length);
  device.read(region.offset, buffer.span());
  if (all_zero(buffer.span())) return std::nullopt;
  in_job_directory([&] { write_file_atomically(path, buffer.span(), 0600); });
  return path;
}

void zero(block::FileDevice& device, const ByteRange& region) {
  block::AlignedBuffer zeros(region.length);
  std::ranges::fill(zeros.span(), std::byte{0});
  device.write(region.offset, zeros.span());
}

// A drive that does not keep what is written to it shows it here, before anything is entrusted to
// it: no signature tells of old key material that is still there.
void require_zeros(const block::FileDevice& device, const ByteRange& region) {
  block::AlignedBuffer buffer(region.length);
  device.read(region.offset, buffer.span());
  if (all_zero(buffer.span())) return;
  throw Error(ErrorKind::kWrite, "wipe-failed",
              device.name() + " still holds what was erased at byte " +
                  std::to_string(region.offset) + ": " + std::to_string(region.length) +
                  " bytes were written as zeros and read back as something else",
              "Use another drive: this one does not keep what is written to it.");
}

}  // namespace

WipeReport wipe(block::FileDevice& device, const ByteRange& area,
                const std::optional<std::filesystem::path>& save_to) {
  WipeReport report;
  Signatures signatures = probe(device, area);
  for (int round = 0; round < kMostRounds; ++round) {
    const std::vector<ByteRange> regions = regions_to_erase(device, area, signatures);
    for (const ByteRange& region : regions) {
      if (!save_to) break;
      if (auto path = save(device, region, *save_to)) report.saved.push_back(std::move(*path));
    }
    for (const ByteRange& region : regions) {
      zero(device, region);
      report.erased.push_back(region);
    }
    device.flush();
    for (const ByteRange& region : regions) require_zeros(device, region);
    report.removed.insert(report.removed.end(), signatures.found.begin(), signatures.found.end());
    signatures = probe(device, area);
    if (signatures.empty()) return report;
  }
  throw Error(
      ErrorKind::kWrite, "wipe-failed",
      device.name() + " still shows " + inventory::describe(signatures) + " after it was erased",
      "Use another drive: this one does not keep what is written to it.");
}

WipeReport wipe_disk(block::FileDevice& device, const std::filesystem::path& save_to) {
  return wipe(device, {0, device.size()}, save_to);
}

}  // namespace driveprep::layout
