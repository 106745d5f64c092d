#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "agent/cli/new_key.h"
#include "agent/cli/output.h"
#include "agent/cli/stop_signals.h"
#include "agent/cli/terminal_answer.h"
#include "agent/cli/volume_session.h"
#include "agent/report/sizes.h"
#include "agent/volume/empty_volume.h"
#include "base/digest.h"
#include "base/encoding.h"
#include "bitlocker/create.h"
#include "bitlocker/encrypted_device.h"
#include "drive/inventory/signatures.h"
#include "drive/layout/wipe.h"
#include "drive/ntfs/format.h"

namespace driveprep::cli {
namespace {

using bitlocker::ProtectorClass;

constexpr std::size_t kConfirmDigits = 8;

// The options, understood. Everything that can be wrong with them is found before the target is
// looked at.
struct Wanted {
  bitlocker::Cipher cipher;
  SectorSize image_sector;
  bool recovery_password = false;
  bool password = false;
  bool external_key = false;
  KeyOutput output;

  explicit Wanted(const CreateOptions& options)
      : cipher(cipher_of(options)),
        image_sector(sector_of(options)),
        output{options.output, options.json} {
    if (options.protectors.empty()) recovery_password = true;
    for (const std::string& kind : options.protectors) {
      bool& wanted = protector(kind);
      if (wanted) {
        throw Error(ErrorKind::kUsage, "protector-kind", "--protector " + kind + " is given twice",
                    "Give it once; protectors add makes more of a kind.");
      }
      wanted = true;
    }
    if (recovery_password) output.check_recovery_password();
    if (external_key) output.check_external_key();
    if (recovery_password && external_key && !output.is_directory()) {
      throw Error(ErrorKind::kUsage, "output-needed",
                  "a recovery password and an external key are two files",
                  "Name an existing directory for them: --output DIR.");
    }
    if (!password && !options.new_password_file.empty()) {
      throw Error(ErrorKind::kUsage, "key-options",
                  "--new-password-file is given, and no --protector password",
                  "Add --protector password, or leave the file out.");
    }
  }

 private:
  static bitlocker::Cipher cipher_of(const CreateOptions& options) {
    if (const auto cipher = bitlocker::cipher_from_name(options.cipher)) return *cipher;
    throw Error(ErrorKind::kUsage, "cipher-unknown",
                "there is no cipher \"" + printable(options.cipher) + "\" for new volumes",
                "Give xts-aes-128, xts-aes-256, aes-cbc-128 or aes-cbc-256.");
  }

  static SectorSize sector_of(const CreateOptions& options) {
    if (SectorSize::is_valid(options.sector_size)) return SectorSize(options.sector_size);
    throw Error(ErrorKind::kUsage, "sector-size",
                "sectors of " + std::to_string(options.sector_size) + " bytes are not known",
                "Give 512 or 4096.");
  }

  bool& protector(const std::string& word) {
    switch (protector_kind(word)) {
      case ProtectorClass::kRecoveryPassword: return recovery_password;
      case ProtectorClass::kPassword: return password;
      default: return external_key;
    }
  }
};

// What stands for this target with these contents: agreeing to it agrees to nothing else.
std::string confirmation_of(const volume::Target& target, const inventory::Contents& contents) {
  const std::string place = target.volume().name() + "\n" + std::to_string(target.range().offset) +
                            "\n" + std::to_string(target.range().length) + "\n";
  Digest digest(Digest::Algorithm::kSha256);
  digest.update(as_bytes(place));
  digest.update(contents.digest);
  return hex_lower(digest.finish()).substr(0, kConfirmDigits);
}

// Returns what will be destroyed, in words, or throws because nobody agrees to that.
std::string agreed_loss(const CreateOptions& options, const volume::Target& target) {
  const block::FileDevice& device = target.device();
  const inventory::Contents contents = inventory::examine_contents(
      device.fd(), target.range(), device.sector_size(), target.volume().name());
  if (!contents.holds_something()) return contents.description;
  const std::string digits = confirmation_of(target, contents);
  const std::string found = printable(target.volume().name()) + " (" +
                            report::human_bytes(target.range().length) +
                            ") is not empty: " + printable(contents.description);
  std::optional<std::string> answer;
  if (!options.confirm.empty()) {
    answer = options.confirm;
  } else if (can_ask()) {
    const CleanStop clean_stop;
    note("\n" + found);
    note("Everything on it will be destroyed. Type " + digits + " to agree:");
    answer = read_answer();
  }
  if (answer == digits) return contents.description;
  if (!answer) {
    throw Error(
        ErrorKind::kNotConfirmed, "create-not-confirmed", found,
        "If all of it may be destroyed, run the command again with --confirm " + digits + ".");
  }
  throw Error(
      ErrorKind::kNotConfirmed, "create-wrong-confirmation",
      found + "; what was confirmed is something else",
      "Look again at what is there. If all of it may be destroyed: --confirm " + digits + ".");
}

// One volume on its way: everything is decided and agreed to when this exists.
class Creation {
 public:
  explicit Creation(const CreateOptions& options)
      : options_(options),
        wanted_(options),
        target_({options.target, options.partition, volume::Choice::kNamed, wanted_.image_sector},
                volume::Access::kWrite),
        sector_(target_.device().sector_size()) {
    if (target_.range().length % sector_.bytes() != 0) {
      throw Error(ErrorKind::kRefused, "image-size-uneven",
                  target_.volume().name() + " has " + std::to_string(target_.range().length) +
                      " bytes, which is no whole number of sectors",
                  "Change its size: truncate -s SIZE " + options.target + ".");
    }
    destroyed_ = agreed_loss(options, target_);
  }

  void run() {
    volume::EmptyVolume volume = make();
    volume_id_ = volume.created.volume_id;
    cluster_size_ = volume.layout.cluster_size;
    take_keys(volume.created);
    for (MadeProtector& made : protectors_) {
      if (made.key) made.key->hand_out();
    }
    layout::wipe(target_.device(), target_.range(), std::nullopt);
    for (MadeProtector& made : protectors_) {
      if (made.key) made.key->keep();
    }
    volume::write_whole_volume(volume, target_.volume());
    check();
  }

  void report() const {
    if (options_.json) {
      print_json(document());
      return;
    }
    std::string text =
        "BitLocker volume " + volume_id_.lower() + " is on " + printable(target_.volume().name()) +
        ": " + report::human_bytes(target_.range().length) + ", " + options_.cipher +
        ", an empty NTFS with clusters of " + std::to_string(cluster_size_) + " bytes.";
    for (const MadeProtector& made : protectors_) {
      const std::string kind = protector_word(made.kind);
      text += "\n  " + kind + std::string(19 - kind.size(), ' ') + made.id.lower();
      if (made.key && made.key->file()) text += "  " + printable(made.key->file()->string());
    }
    note(text);
  }

 private:
  struct MadeProtector {
    ProtectorClass kind;
    Guid id;
    std::optional<NewKey> key;  // what has to be handed out
  };

  // In memory. What later proves that the volume opens is kept.
  volume::EmptyVolume make() {
    bitlocker::VolumeRequest request;
    request.cipher = wanted_.cipher;
    request.external_key = wanted_.external_key;
    request.description = options_.description.empty() ? volume::default_description(options_.label)
                                                       : options_.description;
    if (wanted_.password) {
      request.password = read_new_password(options_.new_password_file);
      proof_ = bitlocker::PasswordCredential{SecretBytes::copy_of(request.password->span())};
    }
    if (wanted_.recovery_password) {
      recovery_password_ = bitlocker::RecoveryPassword::random();
      request.recovery_password = &*recovery_password_;
      proof_ = recovery_password_->clone();
    }
    ntfs::FormatRequest format;
    format.volume_bytes = target_.range().length;
    format.sector = sector_;
    format.partition_start = Lba{target_.offset_on_disk() / sector_.bytes()};
    format.label = options_.label;
    format.cluster_size = options_.cluster_size;
    return volume::make_empty_volume(format, [&] { return bitlocker::NewVolume(request); });
  }

  void take_keys(bitlocker::CreatedVolume& created) {
    if (created.recovery_protector) {
      protectors_.push_back(
          {ProtectorClass::kRecoveryPassword, *created.recovery_protector,
           NewKey(*recovery_password_, *created.recovery_protector, wanted_.output)});
    }
    if (created.password_protector) {
      protectors_.push_back({ProtectorClass::kPassword, *created.password_protector, {}});
    }
    if (created.external_key_protector) {
      proof_ = bitlocker::ExternalKeyCredential{
          SecretBytes::copy_of(created.external_key->content.span())};
      protectors_.push_back({ProtectorClass::kExternalKey, *created.external_key_protector,
                             NewKey(std::move(*created.external_key), wanted_.output)});
    }
  }

  // Through the front door, as whoever gets the volume will.
  void check() const {
    const block::ReadableDevice& place = target_.volume();
    const bitlocker::OpenedVolume opened = bitlocker::open_volume(place, *proof_);
    const bitlocker::DecryptedDevice plain(place, opened.layout, opened.cipher);
    Bytes boot_sector(sector_.bytes());
    plain.read(0, boot_sector);
    if (opened.volume_id == volume_id_ &&
        ntfs::parse_boot_sector(boot_sector).cluster_size == cluster_size_ &&
        !bitlocker::header_difference(place, opened.layout, boot_sector)) {
      return;
    }
    throw Error(ErrorKind::kVerification, "create-differs",
                "the new volume on " + place.name() + " is not the one that was made",
                "Use another drive: this one does not keep what is written to it.");
  }

  nlohmann::ordered_json document() const {
    nlohmann::ordered_json document = volume_head(target_);
    document.update({{"volume_guid", volume_id_.lower()},
                     {"cipher", options_.cipher},
                     {"sector_size", sector_.bytes()},
                     {"cluster_size", cluster_size_},
                     {"label", options_.label},
                     {"destroyed", destroyed_},
                     {"protectors", nlohmann::ordered_json::array()}});
    for (const MadeProtector& made : protectors_) {
      const bool file = made.key && made.key->file();
      document["protectors"].push_back(
          {{"kind", protector_word(made.kind)},
           {"id", made.id.lower()},
           {"key_file", file ? nlohmann::ordered_json(made.key->file()->string()) : nullptr}});
    }
    return document;
  }

  const CreateOptions& options_;
  Wanted wanted_;
  volume::Target target_;
  SectorSize sector_;
  std::string destroyed_;  // in words
  std::optional<bitlocker::RecoveryPassword> recovery_password_;
  std::optional<bitlocker::Credential> proof_;
  std::vector<MadeProtector> protectors_;
  Guid volume_id_;
  std::uint64_t cluster_size_ = 0;
};

}  // namespace

int run_volume_create(const CreateOptions& options) {
  Creation creation(options);
  creation.run();
  creation.report();
  return 0;
}

}  // namespace driveprep::cli
