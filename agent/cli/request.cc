#include "agent/request/bodies.h"

#include "agent/cli/commands.h"
#include "agent/cli/job_session.h"
#include "agent/cli/key_session.h"
#include "agent/cli/output.h"
#include "agent/cli/request_parameters.h"
#include "agent/journal/job_lock.h"
#include "agent/keys/audit.h"
#include "agent/keys/drive_envelope.h"
#include "agent/report/sizes.h"
#include "base/ascii.h"
#include "base/atomic_file.h"
#include "base/directories.h"
#include "base/system_error.h"

namespace driveprep::cli {
namespace {

struct Shipped {
  std::vector<request::DriveEntry> entries;
  std::vector<SecretBytes> passwords;  // behind the pointers of the entries
};

Shipped finished_drives(const job::Job& job, const journal::Journal& journal) {
  Shipped shipped;
  for (const journal::Drive& drive : journal.drives()) {
    if (drive.planned_files == 0) continue;
    if (drive.state != journal::DriveState::kFinished) {
      throw Error(ErrorKind::kUsage, "drive-not-finished",
                  "drive " + drive.id + " is " + std::string(journal::to_string(drive.state)) +
                      ": a job can only be created with finished drives",
                  "Run driveprep prepare " + job.directory.root().string() + " first.");
    }
    request::DriveEntry entry;
    entry.drive_id = drive.id;
    entry.manifest_hash = drive.manifest->md5_hex;
    shipped.entries.push_back(std::move(entry));
  }
  return shipped;
}

// A resource id left over from another vault would name a key that is not there.
void require_same_vault(const job::Job& job, const request::EncryptionKey& key) {
  const std::string& id = key.kek_vault_resource_id;
  if (id.empty()) return;  // told by the checks of the body
  const std::string in_id = ascii::lower(id.substr(id.rfind('/') + 1));
  const std::string host = key.kek_url.substr(key.kek_url.find("://") + 3);
  const std::string in_url = host.substr(0, host.find('.'));
  if (in_id == in_url) return;
  throw Error(
      ErrorKind::kUsage, "request-field-invalid",
      "/encryption/vaultResourceId names the vault " + in_id + ", but the job's key is in " +
          in_url,
      "Write the resource id of that vault into " + job.directory.job_file().string() + ".");
}

// The customer's key, as the service is to use it; of the service's own kind when the job has none
// in a vault (a PKCS#11 token is out of the service's reach). `versioned`: as the version that
// wraps now, which the classic service wants; otherwise as configured.
request::EncryptionKey service_key(const keys::JobKeys& keys, bool versioned) {
  request::EncryptionKey key;
  const keys::KeySetting setting = keys.setting();
  if (setting.place != keys::KeySetting::Place::kVault) return key;
  const job::Encryption& encryption = keys.job().spec.encryption;
  key.type = request::KekType::kCustomerManaged;
  key.kek_url = versioned && keys.state() ? keys.state()->current_kid : setting.uri;
  key.kek_vault_resource_id = encryption.vault_resource_id;
  key.user_assigned_identity = setting.identity.user_assigned_id;
  require_same_vault(keys.job(), key);
  return key;
}

struct Bodies {
  SecretBytes databox;
  SecretBytes classic;
  // The change to the customer's key, once the identity of the job that `classic` has created may
  // use it; with a customer's key only.
  std::optional<SecretBytes> classic_change;
};

Bodies bodies_of(request::JobParameters parameters, const keys::JobKeys& keys,
                 const std::vector<request::DriveEntry>& drives) {
  Bodies bodies;
  parameters.encryption_key = service_key(keys, false);
  bodies.databox = request::databox_body(parameters, drives);
  parameters.encryption_key = {};
  bodies.classic = request::import_export_body(parameters, drives);
  parameters.encryption_key = service_key(keys, true);
  if (parameters.encryption_key.type == request::KekType::kCustomerManaged) {
    bodies.classic_change = request::import_export_body(parameters, drives);
  }
  return bodies;
}

}  // namespace

int run_request(const RequestOptions& options) {
  const job::Job job = job::load_job(options.job);
  open_begun(job.directory);
  job.directory.check_writable();
  const journal::JobLock lock(job.directory.root());
  const std::unique_ptr<journal::Journal> journal =
      journal::Journal::open(job.directory.root(), journal::Journal::Access::kReadWrite);
  journal->require_job(job.spec.name);
  Shipped shipped = finished_drives(job, *journal);
  check_request_parameters(job.spec);
  const request::JobParameters parameters = request_parameters(job.spec);

  keys::JobKeys keys(job, key_operator());
  const keys::AccessMemory memory(keys);
  keys.require_settled(journal.get());
  if (options.reveal_keys) {
    for (request::DriveEntry& entry : shipped.entries) {
      keys::DriveKey key = keys::open_drive_envelope(job.directory, job.spec.name, entry.drive_id,
                                                     journal::DriveState::kFinished, keys.ring());
      // Recorded before they can leave: a record without a file is harmless, the reverse is not.
      keys::record(*journal, "keys-revealed", entry.drive_id,
                   {{"to", "requests"}, {"key", key.kid}});
      shipped.passwords.push_back(SecretBytes::copy_of(key.password.text()));
    }
    for (std::size_t i = 0; i < shipped.entries.size(); ++i) {
      shipped.entries[i].recovery_password = &shipped.passwords[i];
    }
  }
  const Bodies bodies = bodies_of(parameters, keys, shipped.entries);
  in_job_directory(
      [&] { create_directories_durably(job.directory.requests(), ErrorKind::kWrite); });
  const mode_t mode = options.reveal_keys ? 0600 : 0644;
  const auto databox_file = job.directory.requests() / "databox.json";
  const auto classic_file = job.directory.requests() / "importexport.json";
  const auto change_file = job.directory.requests() / "importexport-cmk.json";
  in_job_directory([&] {
    write_file_atomically(databox_file, bodies.databox.span(), mode);
    write_file_atomically(classic_file, bodies.classic.span(), mode);
    if (bodies.classic_change) {
      write_file_atomically(change_file, bodies.classic_change->span(), mode);
    } else {
      std::filesystem::remove(change_file);  // of a key that the job no longer has
    }
  });

  if (options.json) {
    nlohmann::ordered_json document = result_head(job.directory, job.spec.name);
    document.update({{"databox", databox_file.string()},
                     {"importexport", classic_file.string()},
                     {"drives", shipped.entries.size()},
                     {"keys_revealed", options.reveal_keys}});
    if (bodies.classic_change) document["importexport_cmk"] = change_file.string();
    print_json(document);
    return 0;
  }
  print("wrote " + databox_file.string() + "  (Data Box, api-version " +
        std::string(request::kDataBoxApiVersion) + ")");
  print("wrote " + classic_file.string() + "  (classic Import/Export, api-version " +
        std::string(request::kImportExportApiVersion) + ")");
  if (bodies.classic_change) {
    print(
        "wrote " + change_file.string() +
        "  (classic, second step: the same job with your key)\n"
        "Send importexport.json first: it creates the job, and with it the job's identity. Grant "
        "that identity\nget, wrapKey and unwrapKey for your key, then send importexport-cmk.json. "
        "Data Box takes the key in one step.");
  }
  if (options.reveal_keys) {
    print("The files hold the recovery passwords of " +
          report::counted(shipped.entries.size(), "drive") +
          " (mode 0600; recorded in the journal). Delete them once the job exists.");
  } else {
    print(
        "The recovery passwords are left out; --reveal-keys puts them in for the moment of "
        "sending.");
  }
  return 0;
}

}  // namespace driveprep::cli
