#include "bitlocker/entry.h"

#include <algorithm>

#include "base/utf16.h"

namespace driveprep::bitlocker {
namespace {

// Windows nests three deep; more in a damaged or hostile block is kept as plain data.
constexpr int kDeepest = 8;

bool has_children(ValueType type) {
  switch (type) {
    case ValueType::kStretchKey:
    case ValueType::kUseKey:
    case ValueType::kProtector:
    case ValueType::kExternalKey:
    case ValueType::kUpdate: return true;
    default: return false;
  }
}

Bytes copy(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

std::size_t parse_nested(ByteView bytes, std::vector<Entry>& out, int depth);

Entry parse_one(ByteView bytes, int depth) {
  ByteReader reader(bytes);
  reader.skip(2);
  Entry entry;
  entry.role = static_cast<Role>(reader.u16());
  entry.type = static_cast<ValueType>(reader.u16());
  entry.flags = reader.u16();
  const std::size_t fixed = fixed_size(entry.type);
  if (reader.remaining() >= fixed) {
    entry.fixed = copy(reader.take(fixed));
    if (has_children(entry.type) && depth < kDeepest) {
      const ByteView rest = bytes.subspan(reader.position());
      reader.skip(parse_nested(rest, entry.children, depth + 1));
    }
  }
  entry.data = copy(reader.take(reader.remaining()));
  return entry;
}

std::size_t parse_nested(ByteView bytes, std::vector<Entry>& out, int depth) {
  std::size_t used = 0;
  for (;;) {
    const ByteView entry = first_entry(bytes.subspan(used));
    if (entry.empty()) return used;
    out.push_back(parse_one(entry, depth));
    used += entry.size();
  }
}

}  // namespace

std::size_t fixed_size(ValueType type) {
  switch (static_cast<std::uint16_t>(type)) {
    case 0x01:
    case 0x04:
    case 0x06:
    case 0x10:
    case 0x11:
    case 0x13: return 4;
    case 0x03:
    case 0x12:
    case 0x15: return 20;
    case 0x05:
    case 0x08: return 28;
    case 0x09: return 24;
    case 0x0A: return 36;
    case 0x0B: return 44;
    case 0x0F:
    case 0x17: return 16;
    case 0x14: return 8;
    default: return 0;
  }
}

std::size_t Entry::size() const {
  std::size_t total = kHeaderSize + fixed.size() + data.size();
  for (const Entry& nested : children) total += nested.size();
  return total;
}

void Entry::serialise(ByteWriter& out) const {
  const std::size_t total = size();
  require(total <= 0xFFFF, "a metadata entry has at most 65535 bytes");
  out.u16(static_cast<std::uint16_t>(total))
      .u16(static_cast<std::uint16_t>(role))
      .u16(static_cast<std::uint16_t>(type))
      .u16(flags)
      .bytes(fixed);
  for (const Entry& nested : children) nested.serialise(out);
  out.bytes(data);
}

const Entry* Entry::child(Role wanted_role, ValueType wanted_type) const {
  const auto found = std::find_if(children.begin(), children.end(), [&](const Entry& e) {
    return e.role == wanted_role && e.type == wanted_type;
  });
  return found == children.end() ? nullptr : &*found;
}

const Entry* Entry::child(ValueType wanted_type) const {
  const auto found = std::find_if(children.begin(), children.end(),
                                  [&](const Entry& e) { return e.type == wanted_type; });
  return found == children.end() ? nullptr : &*found;
}

ByteView first_entry(ByteView bytes) {
  if (bytes.size() < Entry::kHeaderSize) return {};
  const std::size_t size = ByteReader(bytes).u16();
  if (size < Entry::kHeaderSize || size > bytes.size()) return {};
  return bytes.first(size);
}

Entry text_entry(Role role, std::u16string_view text) {
  Entry entry;
  entry.role = role;
  entry.type = ValueType::kText;
  entry.data = utf16le(text);
  entry.data.resize(entry.data.size() + 2);
  return entry;
}

std::size_t parse_entries(ByteView bytes, std::vector<Entry>& out) {
  return parse_nested(bytes, out, 0);
}

}  // namespace driveprep::bitlocker
