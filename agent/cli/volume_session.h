// What the volume commands share: the volume that is named, what it is, and the key that opens it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "agent/cli/volume_commands.h"
#include "agent/volume/target.h"
#include "bitlocker/examine.h"
#include "bitlocker/open.h"
#include "bitlocker/protector.h"

namespace driveprep::cli {

// The key that the options name; nullopt when they name none. Throws kUsage "key-options" for more
// than one, and what is wrong with the key.
std::optional<bitlocker::Credential> given_key(const VolumeKeyOptions& options);

// A volume of which the header and the copies of the metadata have been looked at.
struct ExaminedVolume {
  volume::Target target;
  bitlocker::VolumeFacts facts;

  ExaminedVolume(const VolumeOptions& options, volume::Access access);
  const block::ReadableDevice& device() const { return target.volume(); }
};

// Whether a key lies open on it.
bool has_clear_key(const bitlocker::VolumeFacts& facts);

// Opens it: with the key of the options, else with the clear key that lies open on the volume, else
// with what is asked for on the terminal. Says on standard error what the operator should know
// (a lost header, damaged copies, a clear key, a wrong integrity hash that was accepted).
bitlocker::OpenedVolume open_examined(const ExaminedVolume& volume, const VolumeOptions& options);

// {"schema", "target", "partition", "offset", "length"}: how every result begins.
nlohmann::ordered_json volume_head(const volume::Target& target);
nlohmann::ordered_json volume_head(const ExaminedVolume& volume);

// "recovery-password", "password", "external-key", "clear-key", "certificate", "tpm", ...
std::string protector_word(bitlocker::ProtectorClass kind);
// The kinds that can be made, by the words above: the first three of them. Throws kUsage
// "protector-kind".
bitlocker::ProtectorClass protector_kind(const std::string& word);

}  // namespace driveprep::cli
