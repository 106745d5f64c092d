// The key with which this user signs records: Ed25519, made on first use.
//
// It lies in $XDG_STATE_HOME/driveprep/record-key.pem (~/.local/state), PKCS#8 without a
// passphrase, mode 0600: a file that says who wrote a record, not one that keeps a secret of a
// drive. Its bytes are in locked memory only.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "agent/record/public_key.h"
#include "base/secret_bytes.h"

namespace driveprep::record {

// All throw kKey: "record-key-home" (the user has no such directory), "record-key-unsafe" (a link,
// of another owner, or accessible to others), "record-key-malformed", "record-key-write".
class RecordKey {
 public:
  static std::filesystem::path default_file();
  static RecordKey load_or_make(const std::filesystem::path& file = default_file());
  // nullopt when it was never made.
  static std::optional<RecordKey> load(const std::filesystem::path& file = default_file());

  RecordKey(RecordKey&&) noexcept = default;
  RecordKey& operator=(RecordKey&&) noexcept = default;

  const PublicKey& public_key() const { return public_; }
  Signature sign(ByteView message) const;

 private:
  explicit RecordKey(SecretBytes seed);

  SecretBytes seed_;
  PublicKey public_;
};

}  // namespace driveprep::record
