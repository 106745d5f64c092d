// driveprep volume ...: one BitLocker volume, whoever made it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace driveprep::cli {

// Where the key comes from; at most one of them, "-" being standard input.
struct VolumeKeyOptions {
  std::string recovery_password_file;
  std::string password_file;
  std::string bek_file;
  std::string job;  // with `drive`: the envelope of that drive
  std::string drive;
};

struct VolumeOptions {
  std::string target;
  std::optional<int> partition;
  bool json = false;
  bool search = false;                  // everywhere, for a volume whose header is lost
  bool accept_wrong_integrity = false;  // for reading only
  VolumeKeyOptions key;
};

struct CreateOptions : VolumeOptions {
  std::string cipher = "xts-aes-256";
  std::vector<std::string> protectors;  // kinds; empty: a recovery password
  std::string label;
  std::string description;                    // empty: computer, label, date
  std::optional<std::uint32_t> cluster_size;  // bytes
  std::uint32_t sector_size = 512;            // bytes, of an image; a device knows its own
  std::string new_password_file;              // as below
  std::string output;
  std::string confirm;  // what the first run has shown
};

struct ProtectorOptions : VolumeOptions {
  std::string kind;               // add: "recovery-password", "password", "external-key"
  std::string id;                 // remove, change
  std::string new_password_file;  // "-": standard input; empty: the terminal is asked
  std::string output;             // where a new recovery password or key file goes
  bool give_up_envelope = false;  // also the protector whose key the envelope of `key.job` holds
};

struct VolumeExportOptions : VolumeOptions {
  std::string output;
};

struct VolumeLsOptions : VolumeOptions {
  std::string path;  // on the volume; empty: the root
  bool recursive = false;
  bool metafiles = false;  // those of the file system, too
};

struct VolumeCatOptions : VolumeOptions {
  std::string path;
  std::string output = "-";
};

struct ExtractOptions : VolumeOptions {
  std::string path;
  std::string output;
  bool overwrite = false;
  bool no_verify = false;
};

// The key of `key.job` seals; the backup is filed under the drive `key.drive`.
struct BackupOptions : VolumeOptions {
  std::string output;  // empty: in the job directory
};

struct RestoreOptions : VolumeOptions {
  std::string input;     // as above
  std::string confirm;   // the volume's GUID, or its first 8 digits
  bool replace = false;  // also over a sound volume that says something else
};

int run_volume_info(const VolumeOptions& options);
int run_volume_unlock(const VolumeOptions& options);
int run_volume_ls(const VolumeLsOptions& options);
int run_volume_cat(const VolumeCatOptions& options);
int run_volume_extract(const ExtractOptions& options);
int run_volume_export(const VolumeExportOptions& options);
int run_backup_metadata(const BackupOptions& options);
int run_restore_metadata(const RestoreOptions& options);
int run_volume_create(const CreateOptions& options);
int run_protectors_add(const ProtectorOptions& options);
int run_protectors_remove(const ProtectorOptions& options);
int run_protectors_change(const ProtectorOptions& options);

// Adds "volume" and its commands; the one that is named is left in `command`.
void add_volume_commands(CLI::App& app, std::function<int()>& command);

}  // namespace driveprep::cli
