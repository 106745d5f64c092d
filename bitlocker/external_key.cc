#include "bitlocker/external_key.h"

#include <algorithm>

#include "bitlocker/entry.h"

namespace driveprep::bitlocker {
namespace {

constexpr std::size_t kFileHeader = 48;
constexpr std::size_t kKeySize = 32;
constexpr std::size_t kLargestFile = 4096;

void check(bool condition, const char* what) {
  if (!condition) {
    throw Error(ErrorKind::kKey, "bad-external-key",
                std::string("this is not a BitLocker external key file: ") + what,
                "Give the .BEK file that was saved for this volume.");
  }
}

// Role, type and the bytes after the header of an entry, without copying what may be secret.
struct EntryView {
  Role role;
  ValueType type;
  ByteView body;
};

EntryView view_of(ByteView entry) {
  ByteReader reader(entry);
  reader.skip(2);
  const auto role = static_cast<Role>(reader.u16());
  const auto type = static_cast<ValueType>(reader.u16());
  return {role, type, entry.subspan(Entry::kHeaderSize)};
}

void parse_property(const EntryView& entry, ExternalKey& key) {
  ByteReader reader(entry.body);
  if (entry.type == ValueType::kKey) {
    check(reader.remaining() == 4 + kKeySize, "its key does not have 32 bytes");
    const std::uint16_t key_type = reader.u16();
    check(key_type == static_cast<std::uint16_t>(KeyType::kExternal), "its key is of another kind");
    reader.skip(2);
    key.key = SecretBytes::copy_of(reader.take(kKeySize));
  } else if (entry.role == Role::kVolumeId && entry.type == ValueType::kGuid) {
    check(reader.remaining() == Guid::kSize, "its volume GUID is cut short");
    key.volume_id = Guid::from_disk(reader.take(Guid::kSize));
  }
}

}  // namespace

ExternalKey parse_external_key(const SecretBytes& file) {
  const ByteView bytes = file.span();
  check(bytes.size() >= kFileHeader && bytes.size() <= kLargestFile, "its size is impossible");
  ByteReader reader(bytes);
  check(reader.u32() == bytes.size(), "the size in its header is another");
  check(reader.u32() == 1, "its version is not 1");
  check(reader.u32() == kFileHeader, "its header is not 48 bytes long");
  check(reader.u32() == bytes.size(), "the sizes in its header differ");
  ExternalKey key;
  key.protector = Guid::from_disk(reader.take(Guid::kSize));
  reader.skip(8);  // next nonce, method
  key.saved = FileTime{reader.u64()};

  const ByteView record = first_entry(bytes.subspan(kFileHeader));
  check(!record.empty(), "it has no entry");
  const EntryView outer = view_of(record);
  const std::size_t fixed = fixed_size(ValueType::kExternalKey);
  check(outer.role == Role::kExternalKey && outer.type == ValueType::kExternalKey &&
            outer.body.size() >= fixed,
        "its entry is of another kind");
  ByteReader body(outer.body);
  check(Guid::from_disk(body.take(Guid::kSize)) == key.protector, "its two protector GUIDs differ");
  key.changed = FileTime{body.u64()};

  ByteView rest = outer.body.subspan(fixed);
  for (ByteView entry = first_entry(rest); !entry.empty(); entry = first_entry(rest)) {
    parse_property(view_of(entry), key);
    rest = rest.subspan(entry.size());
  }
  check(!key.key.empty(), "it holds no key");
  return key;
}

SecretBytes serialise_external_key(const ExternalKey& key) {
  require(key.key.size() == kKeySize, "an external key has 32 bytes");
  Entry record;
  record.role = Role::kExternalKey;
  record.type = ValueType::kExternalKey;
  ByteWriter fixed;
  fixed.bytes(key.protector.on_disk()).u64(key.changed.ticks);
  record.fixed = fixed.take();
  record.children.push_back(text_entry(Role::kProperty, kExternalKeyLabel));
  if (key.volume_id) {
    Entry volume;
    volume.role = Role::kVolumeId;
    volume.type = ValueType::kGuid;
    volume.fixed.assign(key.volume_id->on_disk().begin(), key.volume_id->on_disk().end());
    record.children.push_back(std::move(volume));
  }
  // The key goes in last and only into locked memory; until then zeros stand in its place.
  Entry place;
  place.type = ValueType::kKey;
  place.fixed = ByteWriter().u16(static_cast<std::uint16_t>(KeyType::kExternal)).u16(0).take();
  place.data.resize(kKeySize);
  record.children.push_back(std::move(place));

  const auto size = static_cast<std::uint32_t>(kFileHeader + record.size());
  ByteWriter out;
  out.u32(size).u32(1).u32(kFileHeader).u32(size).bytes(key.protector.on_disk());
  out.u32(1).u32(0).u64(key.saved.ticks);
  record.serialise(out);
  SecretBytes file = SecretBytes::copy_of(ByteView(out.view()));
  std::copy(key.key.span().begin(), key.key.span().end(), file.span().last(kKeySize).begin());
  return file;
}

ExternalKey new_external_key(FileTime now) {
  ExternalKey key;
  key.protector = Guid::random();
  key.changed = now.rounded_to_ms();
  key.saved = now;
  key.key = SecretBytes::random(kKeySize);
  return key;
}

ExternalKeyFile external_key_file(const ExternalKey& key) {
  return {external_key_file_name(key.protector), serialise_external_key(key)};
}

std::string external_key_file_name(const Guid& protector) { return protector.upper() + ".BEK"; }

}  // namespace driveprep::bitlocker
