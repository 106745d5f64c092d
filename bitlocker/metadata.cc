#include "bitlocker/metadata.h"

#include <zlib.h>

#include <algorithm>

#include "base/digest.h"
#include "base/utf16.h"
#include "base/zeros.h"
#include "bitlocker/layout.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::string_view kSignature = "-FVE-FS-";
constexpr std::size_t kBlockHeader = 64;
constexpr std::size_t kDatasetHeader = 48;
constexpr std::size_t kValidationHeader = 8;
constexpr std::size_t kUnit = 16;  // the signed part is counted in units of 16 bytes

void check(bool condition, const char* what) {
  if (!condition) throw FormatError(what);
}

std::uint32_t crc32_of(ByteView bytes) {
  return static_cast<std::uint32_t>(crc32_z(0, uchars(bytes), bytes.size()));
}

std::size_t dataset_size(const Metadata& metadata) {
  std::size_t size = kDatasetHeader + metadata.entries_tail.size();
  for (const Entry& entry : metadata.entries) size += entry.size();
  return size;
}

// Up to the last byte that is not zero.
Bytes without_trailing_zeros(ByteView bytes) {
  const auto last =
      std::find_if(bytes.rbegin(), bytes.rend(), [](std::byte b) { return b != std::byte{0}; });
  return {bytes.begin(), last.base()};
}

void parse_validation(ByteView block, std::size_t start, Metadata& metadata) {
  ByteReader reader(block.subspan(start));
  check(reader.u16() == kMetadataSize - start, "the size of the validation block is wrong");
  metadata.validation_version = reader.u16();
  metadata.crc = reader.u32();
  const ByteView rest = block.subspan(start + kValidationHeader);
  const ByteView entry = first_entry(rest);
  std::vector<Entry> parsed;
  if (!entry.empty()) parse_entries(entry, parsed);
  if (!parsed.empty()) metadata.integrity = std::move(parsed.front());
  metadata.validation_tail = without_trailing_zeros(rest.subspan(entry.size()));
}

}  // namespace

const Entry* Metadata::find(Role role) const {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.role == role; });
  return found == entries.end() ? nullptr : &*found;
}

std::string Metadata::description() const {
  const Entry* entry = find(Role::kDescription);
  if (entry == nullptr || entry->type != ValueType::kText) return {};
  std::optional<std::u16string> text = from_utf16le(entry->data);
  if (!text) return {};
  text->resize(std::min(text->size(), text->find(u'\0')));
  return utf8_from_utf16(*text).value_or("");
}

std::size_t Metadata::signed_size() const {
  return round_up(kBlockHeader + dataset_size(*this), kUnit);
}

Metadata parse_metadata(ByteView block) {
  check(block.size() == kMetadataSize, "a metadata copy has 64 KiB");
  ByteReader reader(block);
  check(as_text(reader.take(kSignature.size())) == kSignature, "the signature is missing");
  Metadata metadata;
  const std::size_t signed_size = reader.u16() * kUnit;
  metadata.version = reader.u16();
  check(metadata.version == 2, "the metadata is not of version 2");
  check(signed_size >= kBlockHeader + kDatasetHeader &&
            signed_size <= kMetadataSize - kValidationHeader,
        "the size of the signed part is impossible");
  metadata.current_state = reader.u16();
  metadata.next_state = reader.u16();
  metadata.encrypted_size = reader.u64();
  metadata.converting_size = reader.u32();
  metadata.relocated_sectors = reader.u32();
  for (std::uint64_t& offset : metadata.offsets) offset = reader.u64();
  metadata.relocation_offset = reader.u64();

  const std::uint32_t size = reader.u32();
  metadata.dataset_version = reader.u32();
  check(reader.u32() == kDatasetHeader, "the dataset header is not 48 bytes long");
  check(reader.u32() == size, "the two sizes of the dataset differ");
  check(size >= kDatasetHeader && size <= signed_size - kBlockHeader,
        "the dataset is larger than the signed part");
  check(round_up(kBlockHeader + size, kUnit) == signed_size,
        "the dataset does not fill the signed part");
  metadata.volume_id = Guid::from_disk(reader.take(Guid::kSize));
  metadata.next_nonce = reader.u32();
  metadata.method = reader.u16();
  metadata.second_method = reader.u16();
  metadata.created = FileTime{reader.u64()};

  const ByteView entries = reader.take(size - kDatasetHeader);
  const ByteView rest = entries.subspan(parse_entries(entries, metadata.entries));
  metadata.entries_tail.assign(rest.begin(), rest.end());
  check(all_zero(reader.take(signed_size - reader.position())),
        "the padding after the entries is not zero");
  parse_validation(block, signed_size, metadata);
  return metadata;
}

Bytes serialise_signed(const Metadata& metadata) {
  const std::size_t signed_size = metadata.signed_size();
  require(signed_size <= kMetadataSize - kValidationHeader, "the metadata has outgrown 64 KiB");
  const auto size = static_cast<std::uint32_t>(dataset_size(metadata));
  ByteWriter out;
  out.bytes(as_bytes(kSignature))
      .u16(static_cast<std::uint16_t>(signed_size / kUnit))
      .u16(metadata.version)
      .u16(metadata.current_state)
      .u16(metadata.next_state)
      .u64(metadata.encrypted_size)
      .u32(metadata.converting_size)
      .u32(metadata.relocated_sectors);
  for (const std::uint64_t offset : metadata.offsets) out.u64(offset);
  out.u64(metadata.relocation_offset)
      .u32(size)
      .u32(metadata.dataset_version)
      .u32(kDatasetHeader)
      .u32(size)
      .bytes(metadata.volume_id.on_disk())
      .u32(metadata.next_nonce)
      .u16(metadata.method)
      .u16(metadata.second_method)
      .u64(metadata.created.ticks);
  for (const Entry& entry : metadata.entries) entry.serialise(out);
  out.bytes(metadata.entries_tail).pad_to(signed_size);
  return out.take();
}

Bytes serialise(const Metadata& metadata) {
  const Bytes head = serialise_signed(metadata);
  ByteWriter out;
  out.bytes(head)
      .u16(static_cast<std::uint16_t>(kMetadataSize - head.size()))
      .u16(metadata.validation_version)
      .u32(metadata.crc);
  if (metadata.integrity) metadata.integrity->serialise(out);
  out.bytes(metadata.validation_tail).pad_to(kMetadataSize);
  return out.take();
}

bool crc_matches(const Metadata& metadata, ByteView block) {
  return crc32_of(block.first(metadata.signed_size())) == metadata.crc;
}

void seal(Metadata& metadata, const SecretBytes& vmk, const Nonce& nonce) {
  require(nonce.counter < metadata.next_nonce, "the integrity nonce was not allocated");
  const Bytes head = serialise_signed(metadata);
  const Sha256 hash = sha256(head);
  metadata.integrity =
      wrap_key(vmk, nonce, Role::kProperty, static_cast<std::uint16_t>(KeyType::kHash),
               SecretBytes::copy_of(ByteView(hash)));
  metadata.crc = crc32_of(head);
}

Integrity check_integrity(const Metadata& metadata, const SecretBytes& vmk) {
  if (!metadata.integrity) return Integrity::kAbsent;
  const std::optional<UnwrappedKey> stored = unwrap_key(vmk, *metadata.integrity);
  const Sha256 hash = sha256(serialise_signed(metadata));
  return stored && stored->key == SecretBytes::copy_of(ByteView(hash)) ? Integrity::kGood
                                                                       : Integrity::kWrong;
}

}  // namespace driveprep::bitlocker
