#include "bitlocker/create.h"

#include <algorithm>
#include <string>

#include "base/utf16.h"
#include "bitlocker/ccm.h"
#include "bitlocker/external_key.h"
#include "bitlocker/key_derivation.h"
#include "bitlocker/metadata.h"
#include "bitlocker/protector.h"
#include "bitlocker/relocation.h"
#include "bitlocker/volume_header.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kShortestPassword = 8;
constexpr std::size_t kLongestPassword = 256;
constexpr std::size_t kLongestDescription = 255;
// Windows starts at 2 and leaves one out when the method is chosen after the protectors.
constexpr std::uint32_t kFirstNonce = 2;

SecretBytes random_fvek(Cipher cipher) {
  SecretBytes fvek = SecretBytes::random(fvek_size(cipher));
  if (is_xts(cipher)) {
    const std::size_t half = fvek.size() / 2;
    require(!std::ranges::equal(fvek.span().first(half), fvek.span().subspan(half)),
            "the generator gave two equal halves for an XTS key");
  }
  return fvek;
}

Entry description_entry(const std::string& description) {
  const std::optional<std::u16string> text = utf16_from_utf8(description);
  if (!text || text->size() > kLongestDescription || text->find(u'\0') != std::u16string::npos) {
    throw Error(ErrorKind::kUsage, "bitlocker-description",
                "the description of the volume is not UTF-8 text of at most 255 characters",
                "Shorten the description.");
  }
  return text_entry(Role::kDescription, *text);
}

Metadata empty_metadata(const VolumeRequest& request) {
  Metadata metadata;
  metadata.volume_id = Guid::random();
  metadata.method = static_cast<std::uint16_t>(request.cipher);
  metadata.second_method = metadata.method;
  metadata.created = request.created;
  return metadata;
}

void add_external_key(const VolumeRequest& request, const SecretBytes& vmk, NonceSource& nonces,
                      Metadata& metadata, CreatedVolume& volume) {
  const ExternalKey key = new_external_key(request.created);
  metadata.entries.push_back(
      make_external_key_protector(key.protector, request.created, key.key, vmk, nonces));
  volume.external_key_protector = key.protector;
  volume.external_key = external_key_file(key);
}

}  // namespace

void check_password(const SecretBytes& password) {
  const std::size_t length = password_length(password);
  if (length < kShortestPassword || length > kLongestPassword) {
    throw Error(ErrorKind::kUsage, "bitlocker-password-length",
                "the BitLocker password has " + std::to_string(length) +
                    " characters; Windows takes 8 to 256",
                "Choose a password of 8 to 256 characters.");
  }
}

struct NewVolume::Parts {
  explicit Parts(const VolumeRequest& request)
      : nonces(request.created.rounded_to_ms(), kFirstNonce),
        metadata(empty_metadata(request)),
        created(request.created) {}

  SecretBytes vmk = SecretBytes::random(kVmkSize);
  NonceSource nonces;
  Metadata metadata;
  FileTime created;
  CreatedVolume volume;
};

NewVolume::NewVolume(NewVolume&&) noexcept = default;
NewVolume& NewVolume::operator=(NewVolume&&) noexcept = default;
NewVolume::~NewVolume() = default;

NewVolume::NewVolume(const VolumeRequest& request) {
  require(!has_elephant_diffuser(request.cipher), "new volumes do not use the Elephant diffuser");
  require(request.recovery_password != nullptr || request.password || request.external_key,
          "a new volume has a key");
  if (request.password) check_password(*request.password);

  parts_ = std::make_unique<Parts>(request);
  auto& [vmk, nonces, metadata, created, volume] = *parts_;
  volume.volume_id = metadata.volume_id;
  volume.cipher = request.cipher;
  volume.fvek = random_fvek(request.cipher);

  metadata.entries.push_back(description_entry(request.description));
  if (request.password) {
    volume.password_protector = Guid::random();
    metadata.entries.push_back(make_password_protector(*volume.password_protector, request.created,
                                                       *request.password, vmk, nonces));
  }
  if (request.recovery_password != nullptr) {
    volume.recovery_protector = Guid::random();
    metadata.entries.push_back(make_recovery_protector(*volume.recovery_protector, request.created,
                                                       *request.recovery_password, vmk, nonces));
  }
  if (request.external_key) add_external_key(request, vmk, nonces, metadata, volume);
  nonces.skip();
  metadata.entries.push_back(
      wrap_key(vmk, nonces.take(), Role::kFvek, metadata.method, volume.fvek));
}

const std::optional<Guid>& NewVolume::recovery_protector() const {
  return parts_->volume.recovery_protector;
}

CreatedVolume NewVolume::place(const VolumeLayout& layout) && {
  auto& [vmk, nonces, metadata, created, volume] = *parts_;
  metadata.encrypted_size = layout.volume_size;
  metadata.relocated_sectors =
      static_cast<std::uint32_t>(layout.header_backup_size / layout.sector_size.bytes());
  metadata.offsets = layout.metadata;
  metadata.relocation_offset = layout.header_backup;
  metadata.entries.push_back(make_relocation(layout));

  const Nonce integrity{created, nonces.take().counter};
  metadata.next_nonce = nonces.next();
  seal(metadata, vmk, integrity);
  volume.metadata = serialise(metadata);
  return std::move(volume);
}

CreatedVolume create_volume(const VolumeRequest& request, const VolumeLayout& layout) {
  return NewVolume(request).place(layout);
}

void erase_volume_header(block::BlockDevice& partition) {
  block::AlignedBuffer zeros(kBootRegionSize);
  std::ranges::fill(zeros.span(), std::byte{0});
  partition.write(0, zeros.span());
  partition.flush();
}

void write_metadata(block::BlockDevice& partition, const VolumeLayout& layout, ByteView metadata) {
  require(metadata.size() == kMetadataSize, "a metadata copy has 64 KiB");
  block::AlignedBuffer copy(kMetadataSize);
  std::ranges::copy(metadata, copy.span().begin());
  for (std::size_t i = layout.metadata.size(); i-- > 0;) {
    partition.write(layout.metadata[i], copy.span());
    partition.flush();
  }
}

void write_boot_region(block::BlockDevice& partition, const VolumeLayout& layout,
                       ByteView ntfs_boot_sector) {
  const std::size_t sector = layout.sector_size.bytes();
  const Bytes header = make_volume_header(ntfs_boot_sector, layout.metadata);
  // Filler, so that nothing of an earlier content of the drive is left there.
  const SecretBytes filler = SecretBytes::random(kBootRegionSize);
  block::AlignedBuffer region(kBootRegionSize);
  std::ranges::copy(filler.span(), region.span().begin());
  std::ranges::copy(header, region.span().begin());
  partition.write(sector, region.span().subspan(sector));
  partition.flush();
  partition.write(0, region.span().first(sector));
  partition.flush();
}

std::optional<std::size_t> header_difference(const block::ReadableDevice& partition,
                                             const VolumeLayout& layout,
                                             ByteView ntfs_boot_sector) {
  const Bytes expected = make_volume_header(ntfs_boot_sector, layout.metadata);
  Bytes sector(layout.sector_size.bytes());
  partition.read(0, sector);
  const auto [wanted, found] = std::ranges::mismatch(expected, sector);
  if (wanted == expected.end()) return std::nullopt;
  return static_cast<std::size_t>(wanted - expected.begin());
}

}  // namespace driveprep::bitlocker
