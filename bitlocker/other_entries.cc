#include "bitlocker/other_entries.h"

#include "bitlocker/protector.h"

namespace driveprep::bitlocker {
namespace {

bool is_known_at_top(const Entry& entry) {
  switch (entry.role) {
    case Role::kProtector: return protector_facts(entry).has_value();
    case Role::kFvek: return entry.type == ValueType::kWrapped;
    case Role::kDescription: return entry.type == ValueType::kText;
    case Role::kRelocation: return entry.type == ValueType::kRelocation;
    default: return false;
  }
}

// Spec "Protectors": what Windows nests in one, by kind and by depth alike.
bool is_known_in_protector(const Entry& entry) {
  switch (entry.type) {
    case ValueType::kKey:
    case ValueType::kText:
    case ValueType::kStretchKey:
    case ValueType::kUseKey:
    case ValueType::kRsaBlob:
    case ValueType::kKeyInfo:
    case ValueType::kBackupInfo: return entry.role == Role::kProperty;
    case ValueType::kPublicKey: return entry.role == Role::kPublicKey;
    case ValueType::kWrapped:
      return entry.role == Role::kProperty || entry.role == Role::kRecoveryKeyEscrow ||
             entry.role == Role::kRecoveryKekEscrow;
    default: return false;
  }
}

void collect(const Entry& parent, const Guid& protector, std::vector<OtherEntry>& out) {
  for (const Entry& entry : parent.children) {
    if (is_known_in_protector(entry)) {
      collect(entry, protector, out);
    } else {
      out.push_back({entry.role, entry.type, entry.size(), protector});
    }
  }
}

}  // namespace

std::vector<OtherEntry> other_entries(const Metadata& metadata) {
  std::vector<OtherEntry> out;
  for (const Entry& entry : metadata.entries) {
    if (!is_known_at_top(entry)) {
      out.push_back({entry.role, entry.type, entry.size(), std::nullopt});
    } else if (entry.role == Role::kProtector) {
      collect(entry, protector_facts(entry)->id, out);
    }
  }
  return out;
}

}  // namespace driveprep::bitlocker
