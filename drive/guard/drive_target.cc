#include "drive/guard/drive_target.h"

#include <utility>

#include "base/encoding.h"
#include "drive/guard/file_lock.h"
#include "drive/guard/image_policy.h"
#include "drive/inventory/disk_presence.h"

namespace driveprep::guard {

const std::string& Candidate::drive_id() const {
  return is_disk() ? disk().request.drive_id : image().request.drive_id;
}

std::string Candidate::name() const {
  return is_disk() ? disk().disk.node.string() : image().request.path.string();
}

bool Candidate::measured() const {
  if (!is_disk()) return image().identity.known();
  const inventory::DiskFacts& facts = disk().disk;
  return facts.bytes.known() && facts.logical_sector.known() &&
         SectorSize::is_valid(facts.logical_sector.value());
}

std::uint64_t Candidate::size() const {
  return is_disk() ? disk().disk.bytes.value() : image().identity.value().size;
}

SectorSize Candidate::sector() const {
  return is_disk() ? SectorSize(disk().disk.logical_sector.value()) : image().request.sector;
}

const inventory::Contents& Candidate::contents() const {
  return is_disk() ? disk().contents.value() : image().contents.value();
}

std::string Candidate::identity() const {
  return is_disk() ? identity_text(disk()) : image().identity.value().to_string();
}

std::string Candidate::appearance() const {
  if (!is_disk()) return {};
  const Fact<inventory::DiskHandle>& handle = disk().disk.handle;
  std::string text = identity();
  if (handle.known()) {
    text += " " + handle.value().number.to_string() + " " +
            std::to_string(handle.value().sequence.value_or(0));
  }
  if (disk().contents.known()) text += " " + hex_lower(disk().contents.value().digest);
  for (const std::string& accepted : disk().request.accepted) text += " " + accepted;
  return text;
}

Verdict Candidate::judge(const Consent& consent) const {
  return is_disk() ? guard::judge(disk(), consent) : guard::judge(image(), consent);
}

VettedDrive vet(Candidate candidate, Consent consent) {
  candidate.judge(consent).throw_if_refused();
  return VettedDrive(std::move(candidate), std::move(consent));
}

ArmedDrive arm(const VettedDrive& vetted) {
  const Candidate& candidate = vetted.candidate();
  return candidate.is_disk() ? ArmedDrive::of_disk(candidate, vetted.consent())
                             : ArmedDrive::of_image(candidate.image(), vetted.consent());
}

}  // namespace driveprep::guard
