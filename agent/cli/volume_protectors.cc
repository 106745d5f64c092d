#include <filesystem>
#include <optional>
#include <utility>

#include "agent/cli/new_key.h"
#include "agent/cli/output.h"
#include "agent/cli/volume_session.h"
#include "bitlocker/create.h"
#include "bitlocker/protector_edit.h"

namespace driveprep::cli {
namespace {

using bitlocker::ProtectorClass;

// One change of a volume's protectors: opened, edited, the new key handed out, and only then
// written.
class Change {
 public:
  explicit Change(const ProtectorOptions& options)
      : options_(options),
        volume_(options, volume::Access::kWrite),
        opened_(open_examined(volume_, options_)),
        edit_(opened_, volume_.facts) {}

  const bitlocker::Metadata& metadata() const { return opened_.metadata; }

  Guid add(ProtectorClass kind) {
    switch (kind) {
      case ProtectorClass::kRecoveryPassword: return add_recovery_password();
      case ProtectorClass::kPassword: return edit_.add_password(new_password());
      case ProtectorClass::kExternalKey: return add_external_key();
      default: break;
    }
    throw Error(ErrorKind::kRefused, "protector-kind",
                "a protector of the kind \"" + bitlocker::protector_name(kind) +
                    "\" can be removed, not made",
                "Add a recovery password, a password or an external key.");
  }

  void remove(const Guid& id) {
    check_envelope(id);
    edit_.remove(id);
  }

  // The new key goes out first: once the volume has it, it must not get lost. Then the three
  // copies, and a look at what stands there now.
  void write() {
    const Bytes metadata = std::move(edit_).seal();
    if (new_key_) {
      new_key_->hand_out();
      new_key_->keep();
    }
    bitlocker::write_metadata(volume_.target.volume(), opened_.layout, metadata);
    const bitlocker::VolumeFacts now =
        bitlocker::examine(volume_.device(), {.metadata_offsets = opened_.layout.metadata});
    for (const bitlocker::CopyFacts& copy : now.copies) {
      if (copy.sound() && *copy.metadata == bitlocker::parse_metadata(metadata)) continue;
      throw Error(ErrorKind::kVerification, "protector-change-differs",
                  "the metadata at byte " + std::to_string(copy.offset) + " of " +
                      volume_.device().name() + " is not what was written" +
                      (copy.sound() ? std::string() : ": " + copy.fault),
                  "Do not trust this drive; copy what is on it.");
    }
  }

  void report(const char* done, const std::optional<Guid>& added,
              const std::optional<Guid>& removed) const {
    if (options_.json) {
      nlohmann::ordered_json document = volume_head(volume_);
      document["volume_guid"] = opened_.volume_id.lower();
      document["added"] = added ? nlohmann::ordered_json(added->lower()) : nullptr;
      document["removed"] = removed ? nlohmann::ordered_json(removed->lower()) : nullptr;
      document["key_file"] = key_file() ? nlohmann::ordered_json(key_file()->string()) : nullptr;
      print_json(document);
      return;
    }
    std::string text = std::string(done) + " on " + printable(volume_.device().name()) + ".";
    if (added) text += "\n  new protector      " + added->lower();
    if (removed) text += "\n  removed protector  " + removed->lower();
    if (key_file()) text += "\n  key file           " + printable(key_file()->string());
    note(text);
  }

 private:
  // The key in the envelope is the one that the service and the job's other commands know. Whether
  // it is the one to go can be told only when it has opened the volume.
  void check_envelope(const Guid& id) const {
    if (options_.key.job.empty() || id != opened_.protector || options_.give_up_envelope) return;
    throw Error(ErrorKind::kRefused, "protector-in-envelope",
                "protector " + id.lower() + " is the one whose key is in the envelope of drive " +
                    options_.key.drive +
                    ": without it neither this job nor the service could open the volume",
                "Leave it and add another key with protectors add; or, for a drive that is not "
                "shipped, give --give-up-envelope and keep another key of the volume yourself.");
  }

  Guid add_recovery_password() {
    const bitlocker::RecoveryPassword password = bitlocker::RecoveryPassword::random();
    const Guid id = edit_.add_recovery_password(password);
    new_key_.emplace(password, id, output());
    return id;
  }

  Guid add_external_key() {
    bitlocker::ExternalKeyFile key;
    const Guid id = edit_.add_external_key(key);
    new_key_.emplace(std::move(key), output());
    return id;
  }

  SecretBytes new_password() const {
    if (options_.new_password_file == "-" && options_.key.password_file == "-") {
      throw Error(ErrorKind::kUsage, "key-options",
                  "the old and the new password cannot both come from standard input",
                  "Give one of them in a file.");
    }
    return read_new_password(options_.new_password_file);
  }

  KeyOutput output() const { return {options_.output, options_.json}; }

  std::optional<std::filesystem::path> key_file() const {
    return new_key_ ? new_key_->file() : std::nullopt;
  }

  const ProtectorOptions& options_;
  ExaminedVolume volume_;
  bitlocker::OpenedVolume opened_;
  bitlocker::ProtectorEdit edit_;
  std::optional<NewKey> new_key_;
};

}  // namespace

int run_protectors_add(const ProtectorOptions& options) {
  const ProtectorClass kind = protector_kind(options.kind);
  Change change(options);
  const Guid added = change.add(kind);
  change.write();
  change.report("A protector was added", added, std::nullopt);
  return 0;
}

int run_protectors_remove(const ProtectorOptions& options) {
  Change change(options);
  const Guid id = bitlocker::find_protector(change.metadata(), options.id).id;
  change.remove(id);
  change.write();
  change.report("A protector was removed", std::nullopt, id);
  return 0;
}

int run_protectors_change(const ProtectorOptions& options) {
  Change change(options);
  const bitlocker::ProtectorFacts old = bitlocker::find_protector(change.metadata(), options.id);
  change.remove(old.id);
  const Guid added = change.add(old.kind);
  change.write();
  change.report("A protector was changed", added, old.id);
  return 0;
}

}  // namespace driveprep::cli
