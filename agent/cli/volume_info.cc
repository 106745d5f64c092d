#include <algorithm>
#include <array>
#include <cstdio>

#include "agent/cli/output.h"
#include "agent/cli/volume_session.h"
#include "base/human_text.h"
#include "bitlocker/external_key.h"
#include "bitlocker/other_entries.h"
#include "bitlocker/protector.h"
#include "bitlocker/relocation.h"

namespace driveprep::cli {
namespace {

using bitlocker::CopyFacts;
using bitlocker::Metadata;
using bitlocker::ProtectorClass;
using bitlocker::VolumeKind;
using nlohmann::ordered_json;

std::string hex(std::uint64_t value) {
  std::array<char, 24> text;
  std::snprintf(text.data(), text.size(), "0x%04llx", static_cast<unsigned long long>(value));
  return text.data();
}

std::string_view kind_word(VolumeKind kind) {
  switch (kind) {
    case VolumeKind::kNone: return "none";
    case VolumeKind::kVista: return "vista";
    case VolumeKind::kNtfs: return "fixed";
    case VolumeKind::kToGo: return "to-go";
    case VolumeKind::kConverting: return "converting";
  }
  return "none";
}

// What the volume is on the whole, in one word and in a sentence.
struct State {
  std::string_view word;
  std::string_view sentence;
};

State state_of(const bitlocker::VolumeFacts& facts, const Metadata* metadata) {
  if (facts.header.kind == VolumeKind::kVista) {
    return {"vista", "a volume of Windows Vista, which is not supported"};
  }
  if (metadata == nullptr && facts.header.kind == VolumeKind::kNone) {
    return {"none", "no BitLocker volume, and no metadata of one was found"};
  }
  if (metadata == nullptr) return {"damaged", "none of the three metadata copies is usable"};
  if (metadata->current_state == bitlocker::kStateDecrypted) {
    return {"decrypted", "prepared for BitLocker, and not encrypted"};
  }
  const bool header_lost = facts.header.kind == VolumeKind::kNone;
  if (facts.header.kind == VolumeKind::kConverting || !metadata->is_finished() ||
      (header_lost && bitlocker::says_converting(*metadata))) {
    return {"converting", "Windows has not finished encrypting or decrypting it"};
  }
  if (bitlocker::has_clear_key(metadata->entries)) {
    return {"suspended", "encrypted, but a key lies open on it: anybody can read it"};
  }
  return {"encrypted", "encrypted"};
}

std::string method_name(std::uint16_t method) {
  const auto cipher = bitlocker::cipher_from_method(method);
  if (cipher) return std::string(bitlocker::to_string(*cipher));
  return method == 0 ? "none" : "unknown method " + hex(method);
}

std::string_view integrity_word(bitlocker::Integrity integrity) {
  switch (integrity) {
    case bitlocker::Integrity::kGood: return "good";
    case bitlocker::Integrity::kWrong: return "wrong";
    case bitlocker::Integrity::kAbsent: return "absent";
  }
  return "absent";
}

struct Report {
  const ExaminedVolume& volume;
  const std::optional<bitlocker::UnlockedVolume>& opened;
  const Metadata* metadata;
  State state;

  std::optional<bitlocker::Integrity> integrity(const CopyFacts& copy) const {
    if (!opened || !copy.metadata) return std::nullopt;
    return bitlocker::check_integrity(*copy.metadata, opened->vmk);
  }

  std::uint64_t missing() const {
    return metadata != nullptr ? bitlocker::missing_bytes(*metadata, volume.device().size()) : 0;
  }
};

ordered_json copies_json(const Report& report) {
  ordered_json copies = ordered_json::array();
  for (std::size_t i = 0; i < report.volume.facts.copies.size(); ++i) {
    const CopyFacts& copy = report.volume.facts.copies[i];
    ordered_json entry = {{"number", i + 1}, {"offset", copy.offset}, {"sound", copy.sound()}};
    entry["fault"] = copy.sound() ? ordered_json(nullptr) : ordered_json(copy.fault);
    const auto integrity = report.integrity(copy);
    entry["integrity"] =
        integrity ? ordered_json(integrity_word(*integrity)) : ordered_json(nullptr);
    copies.push_back(std::move(entry));
  }
  return copies;
}

ordered_json protectors_json(const Metadata& metadata) {
  ordered_json list = ordered_json::array();
  for (const bitlocker::ProtectorFacts& facts : bitlocker::protectors(metadata.entries)) {
    const bool file = facts.kind == ProtectorClass::kExternalKey;
    list.push_back(
        {{"id", facts.id.lower()},
         {"kind", protector_word(facts.kind)},
         {"class", static_cast<unsigned>(facts.kind)},
         {"changed", facts.changed.iso8601()},
         {"key_file_name", file ? ordered_json(bitlocker::external_key_file_name(facts.id))
                                : ordered_json(nullptr)}});
  }
  return list;
}

ordered_json other_entries_json(const Metadata& metadata) {
  ordered_json list = ordered_json::array();
  for (const bitlocker::OtherEntry& entry : bitlocker::other_entries(metadata)) {
    list.push_back({{"role", static_cast<unsigned>(entry.role)},
                    {"type", static_cast<unsigned>(entry.type)},
                    {"size", entry.size},
                    {"protector", entry.protector ? ordered_json(entry.protector->lower())
                                                  : ordered_json(nullptr)}});
  }
  return list;
}

ordered_json metadata_json(const Metadata& metadata) {
  return {{"version", metadata.version},
          {"current_state", metadata.current_state},
          {"next_state", metadata.next_state},
          {"cipher", method_name(metadata.method)},
          {"method", metadata.method},
          {"encrypted_size", metadata.encrypted_size},
          {"sector_size", bitlocker::sector_size_of(metadata)},
          {"volume_guid", metadata.volume_id.lower()},
          {"created", metadata.created.iso8601()},
          {"description", metadata.description()},
          {"next_nonce", metadata.next_nonce},
          {"relocated_offset", metadata.relocation_offset},
          {"relocated_sectors", metadata.relocated_sectors},
          {"protectors", protectors_json(metadata)},
          {"other_entries", other_entries_json(metadata)}};
}

void print_as_json(const Report& report) {
  ordered_json document = volume_head(report.volume);
  document["state"] = report.state.word;
  document["kind"] = kind_word(report.volume.facts.header.kind);
  document["header_lost"] =
      report.metadata != nullptr && report.volume.facts.header.kind == VolumeKind::kNone;
  document["copies"] = copies_json(report);
  document["missing_bytes"] = report.missing();
  document["copies_agree"] = report.volume.facts.copies_agree();
  document["metadata"] =
      report.metadata != nullptr ? metadata_json(*report.metadata) : ordered_json(nullptr);
  document["opened_by"] =
      report.opened ? ordered_json(report.opened->protector.lower()) : ordered_json(nullptr);
  print_json(document);
}

std::string size_text(std::uint64_t bytes) {
  return human_bytes(bytes) + " (" + human_count(bytes) + " bytes)";
}

std::string copy_text(const Report& report, const CopyFacts& copy) {
  std::string text = copy.sound() ? "sound" : "damaged: " + copy.fault;
  if (copy.offset != 0) text += ", at byte " + human_count(copy.offset);
  if (const auto integrity = report.integrity(copy)) {
    text += ", integrity hash " + std::string(integrity_word(*integrity));
  }
  return text;
}

// Why the copies differ; without a key nobody can tell.
std::string difference_text(const Report& report) {
  if (!report.opened) return "the copies differ: a change was interrupted, or one was forged";
  const bool all_signed =
      std::ranges::all_of(report.volume.facts.copies, [&](const CopyFacts& copy) {
        return !copy.sound() || report.integrity(copy) == bitlocker::Integrity::kGood;
      });
  return all_signed ? "the copies differ: a change was interrupted"
                    : "the copies differ: one was changed without the volume's key";
}

std::string protector_text(const Report& report, const bitlocker::ProtectorFacts& protector) {
  std::string text = bitlocker::protector_name(protector.kind);
  if (protector.kind == ProtectorClass::kExternalKey) {
    text += ", " + bitlocker::external_key_file_name(protector.id);
  }
  if (report.opened && report.opened->protector == protector.id) text += " (opens it)";
  return text;
}

void print_as_text(const Report& report) {
  const bitlocker::VolumeFacts& facts = report.volume.facts;
  std::vector<std::vector<std::string>> rows;
  const auto row = [&](std::string what, std::string value) {
    rows.push_back({"  " + std::move(what), std::move(value)});
  };
  row("State", std::string(report.state.sentence));
  if (const Metadata* metadata = report.metadata) {
    row("Kind", facts.header.kind == VolumeKind::kToGo ? "BitLocker To Go (removable drive)"
                                                       : "Windows 7 or later");
    row("Version", std::to_string(metadata->version));
    row("Cipher", method_name(metadata->method));
    row("Size", size_text(metadata->encrypted_size));
    if (report.missing() != 0) {
      row("Cut off", "the last " + size_text(report.missing()) + " are missing");
    }
    row("Sector size", std::to_string(bitlocker::sector_size_of(*metadata)) + " bytes");
    row("Volume GUID", metadata->volume_id.lower());
    row("Description", printable_line(metadata->description()));
    row("Created", metadata->created.iso8601());
    row("Next nonce", std::to_string(metadata->next_nonce));
  }
  if (facts.header.kind != VolumeKind::kVista && report.state.word != "none") {
    row("Volume header",
        facts.header.kind != VolumeKind::kNone ? "there" : "lost: found by the metadata");
    for (std::size_t i = 0; i < facts.copies.size(); ++i) {
      row("Metadata copy " + std::to_string(i + 1), copy_text(report, facts.copies[i]));
    }
    if (!facts.copies_agree()) row("", difference_text(report));
  }
  print(printable(report.volume.device().name()) + "\n" + table(rows));
  if (report.metadata == nullptr) return;

  rows = {{"  Protector", "Kind", "Changed"}};
  for (const bitlocker::ProtectorFacts& protector :
       bitlocker::protectors(report.metadata->entries)) {
    rows.push_back({"  " + protector.id.lower(), protector_text(report, protector),
                    protector.changed.iso8601()});
  }
  print("\n" + table(rows));
  for (const bitlocker::OtherEntry& entry : bitlocker::other_entries(*report.metadata)) {
    print("  not understood, left alone: entry of role " + hex(static_cast<unsigned>(entry.role)) +
          ", type " + hex(static_cast<unsigned>(entry.type)) + ", " + std::to_string(entry.size) +
          " bytes" + (entry.protector ? ", in protector " + entry.protector->lower() : ""));
  }
}

}  // namespace

int run_volume_info(const VolumeOptions& options) {
  const ExaminedVolume volume(options, volume::Access::kRead);
  std::optional<bitlocker::Credential> key = given_key(options.key);
  if (!key && has_clear_key(volume.facts)) key = bitlocker::ClearKeyCredential{};
  std::optional<bitlocker::UnlockedVolume> opened;
  if (key && volume.facts.has_sound_copy()) {
    opened = bitlocker::unlock_volume(volume.device(), volume.facts, *key);
  }
  // With a key, what its holder signed.
  const CopyFacts* newest = opened ? volume.facts.newest_signed(opened->vmk) : nullptr;
  if (newest == nullptr) newest = volume.facts.newest();
  const Metadata* metadata = newest != nullptr ? &*newest->metadata : nullptr;
  const Report report{volume, opened, metadata, state_of(volume.facts, metadata)};
  options.json ? print_as_json(report) : print_as_text(report);
  return 0;
}

}  // namespace driveprep::cli
