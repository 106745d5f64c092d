#include "agent/job/driveset.h"

#include <algorithm>

#include "agent/job/csv.h"
#include "base/posix.h"
#include "base/secret_bytes.h"
#include "base/units.h"

namespace driveprep::job {
namespace {

constexpr std::uint64_t kMaxDrivesetBytes = 1 << 20;
constexpr std::string_view kSerialPrefix = "serial:";

// Overwrites a row when it goes out of use, however that comes about.
class RowWiper {
 public:
  explicit RowWiper(CsvTable& table) : table_(table) {}
  RowWiper(const RowWiper&) = delete;
  RowWiper& operator=(const RowWiper&) = delete;
  ~RowWiper() { table_.wipe_row(); }

 private:
  CsvTable& table_;
};

std::string incorrect(const std::string& column, const CsvField& field) {
  if (field.text.empty()) return column + " has no value";
  return "Incorrect value for " + column + ": " + shown(field.text);
}

void check_combination(const CsvTable& table) {
  const CsvField& format = table.value("FormatOption");
  const CsvField& prompt = table.value("SilentOrPromptOnFormat");
  const CsvField& encryption = table.value("Encryption");
  const CsvField& key = table.value("ExistingBitLockerKey");

  if (encryption.text != "Encrypt" && encryption.text != "AlreadyEncrypted") {
    throw table.error(encryption, "csv-encryption", incorrect("Encryption", encryption),
                      "Write Encrypt.");
  }
  if (format.text != "Format" && format.text != "AlreadyFormatted") {
    throw table.error(format, "csv-format-option", incorrect("FormatOption", format),
                      "Write Format.");
  }
  if (encryption.text == "Encrypt" && !key.text.empty()) {
    throw table.error(key, "csv-key-given", "BitLocker Key should not be specified",
                      "Leave ExistingBitLockerKey empty, and treat the key in this file as known.");
  }
  if (format.text == "AlreadyFormatted") {
    throw table.error(format, "csv-already-formatted",
                      "FormatOption is AlreadyFormatted, but driveprep ships only volumes that it "
                      "has made itself",
                      "Write Format and Encrypt; the data is copied from its source.");
  }
  if (encryption.text != "Encrypt") {
    throw table.error(encryption, "csv-format-without-encrypt",
                      "When Format is specified, Encrypt must also be specified", "Write Encrypt.");
  }
  if (prompt.text != "SilentMode" && prompt.text != "PromptOnFormat") {
    throw table.error(prompt, "csv-prompt", incorrect("SilentOrPromptOnFormat", prompt),
                      "Write SilentMode or PromptOnFormat.");
  }
}

bool is_device(const std::filesystem::path& path) {
  // /dev/shm holds files, and so may others.
  std::error_code ignored;
  return path.string().starts_with("/dev/") && !path.string().starts_with("/dev/shm/") &&
         !std::filesystem::is_regular_file(path, ignored);
}

// A loop device has no name but its number, and is what was attached to it.
bool has_lasting_name(const std::filesystem::path& device) {
  const std::string name = device.filename().string();
  const bool loop = name.starts_with("loop") && name.size() > 4 &&
                    name.find_first_not_of("0123456789", 4) == std::string::npos;
  return device.parent_path() == "/dev/disk/by-id" || (device.parent_path() == "/dev" && loop);
}

void parse_target(const CsvTable& table, const std::filesystem::path& directory, DriveRow& row) {
  const CsvField& field = table.value("DriveLetter");
  const std::string& text = field.text;
  const bool one_letter =
      text.size() <= 2 && !text.empty() &&
      ((text[0] >= 'A' && text[0] <= 'Z') || (text[0] >= 'a' && text[0] <= 'z')) &&
      (text.size() == 1 || text[1] == ':');
  if (text.empty() || one_letter || text.find('\0') != std::string::npos) {
    throw table.error(field, "csv-drive-letter",
                      one_letter ? "DriveLetter \"" + text + "\" is a letter of Windows"
                                 : std::string("DriveLetter names no drive"),
                      "Write the path of an image file, for example disk0.img.");
  }
  row.written = shown(text);
  if (text.starts_with(kSerialPrefix)) {
    row.kind = DriveRow::Kind::kSerial;
    row.serial = text.substr(kSerialPrefix.size());
    if (row.serial.empty() || row.serial.find(' ') != std::string::npos) {
      throw table.error(field, "csv-drive-letter", "the serial number is empty or has spaces",
                        "Write the path of an image file; or serial: and the number as "
                        "\"lsblk -o NAME,SERIAL\" shows it.");
    }
    return;
  }
  row.path = (directory / text).lexically_normal();
  row.kind = is_device(row.path) ? DriveRow::Kind::kDevice : DriveRow::Kind::kImage;
  if (row.kind == DriveRow::Kind::kDevice && !has_lasting_name(row.path)) {
    throw table.error(
        field, "csv-drive-node",
        "\"" + row.written + "\" is a name that may lead to another disk after the next start",
        "Write serial: and the number of the disk, or its name in /dev/disk/by-id; "
        "driveprep drives shows both.");
  }
  if (row.kind == DriveRow::Kind::kImage && !row.path.has_filename()) {
    throw table.error(field, "csv-drive-letter",
                      "\"" + row.written + "\" is a directory, not an image",
                      "Name the image file.");
  }
}

void parse_identity(const CsvTable& table, DriveRow& row) {
  const CsvField& id = table.value("DriveId");
  row.drive_id = id.text;
  // A disk that is named by its serial number has it for its id, too.
  if (row.drive_id.empty() && is_valid_drive_id(row.serial)) row.drive_id = row.serial;
  if (row.drive_id.empty() && row.kind == DriveRow::Kind::kImage) {
    throw table.error(table.value("DriveLetter"), "csv-drive-id-missing",
                      "the image file " + row.written + " has no DriveId",
                      "Add the column DriveId and give the image the serial number it stands for.");
  }
  if (!row.drive_id.empty() && !is_valid_drive_id(row.drive_id)) {
    throw table.error(id, "csv-drive-id", "DriveId " + shown(id.text) + " is not a serial number",
                      "Use 1 to 64 letters, digits, '.', '_' and '-'.");
  }
  const CsvField& sector = table.value("SectorSize");
  if (sector.text == "4096") {
    row.sector_size = 4096;
  } else if (!sector.text.empty() && sector.text != "512") {
    throw table.error(sector, "csv-sector-size", incorrect("SectorSize", sector),
                      "Write 512 or 4096, or leave it empty for 512.");
  }
}

std::string folded(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

void check_unique(const CsvTable& table, const Driveset& driveset, const DriveRow& row) {
  for (const DriveRow& other : driveset.rows) {
    const std::string there = " (also in line " + std::to_string(other.line) + ")";
    if (row.kind == other.kind && row.path == other.path && row.serial == other.serial) {
      throw table.error(table.value("DriveLetter"), "csv-drive-repeated",
                        "the drive " + row.written + " comes twice" + there, "Keep one row.");
    }
    // Ids name directories; some file systems do not tell upper from lower case.
    if (!row.drive_id.empty() && folded(row.drive_id) == folded(other.drive_id)) {
      throw table.error(table.value("DriveId"), "csv-drive-id-repeated",
                        "the DriveId " + row.drive_id + " comes twice" + there,
                        "Give every drive its own id.");
    }
  }
}

}  // namespace

bool is_valid_drive_id(std::string_view id) {
  const auto fits = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !id.empty() && id.size() <= 64 && id.front() != '.' &&
         std::all_of(id.begin(), id.end(), fits);
}

Driveset parse_driveset(std::string_view text, const std::filesystem::path& file) {
  CsvTable table(text, file.string());
  table.expect({"DriveLetter", "FormatOption", "SilentOrPromptOnFormat", "Encryption",
                "ExistingBitLockerKey"},
               {"DriveId", "SectorSize"});
  const std::filesystem::path directory = std::filesystem::absolute(file).parent_path();
  Driveset driveset{file, {}};
  const RowWiper wiper(table);
  while (table.next()) {
    DriveRow row;
    row.line = table.line();
    check_combination(table);
    parse_target(table, directory, row);
    row.prompt_on_format = table.value("SilentOrPromptOnFormat").text == "PromptOnFormat";
    parse_identity(table, row);
    check_unique(table, driveset, row);
    if (driveset.rows.size() == kMaxDrives) {
      throw table.error(table.value("DriveLetter"), "csv-too-many-drives",
                        "a job takes at most 10 drives", "Spread the data set over several jobs.");
    }
    driveset.rows.push_back(std::move(row));
  }
  if (driveset.rows.empty()) {
    throw Error(ErrorKind::kUsage, "csv-no-rows", file.string() + " names no drive",
                "Add a row for each drive: the path of an image file and its DriveId.");
  }
  return driveset;
}

Driveset load_driveset(const std::filesystem::path& file) {
  struct Text {
    std::string value;
    ~Text() { wipe(value); }
  } text{posix::read_file(file, kMaxDrivesetBytes, ErrorKind::kUsage)};
  return parse_driveset(text.value, file);
}

}  // namespace driveprep::job
