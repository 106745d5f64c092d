#include "agent/cli/job_drives.h"

#include <algorithm>

#include "agent/cli/privileges.h"
#include "agent/prepare/prepared_drives.h"

namespace driveprep::cli {
namespace {

using Kind = job::DriveRow::Kind;

std::string acceptable_reasons() {
  std::string text;
  for (const std::string_view reason : guard::kAcceptable) {
    text += (text.empty() ? "" : ", ") + std::string(reason);
  }
  return text;
}

std::string place(const job::Job& job, const job::DriveRow& row) {
  return job.driveset.file.string() + ":" + std::to_string(row.line) + ": ";
}

std::string program_file() {
  std::error_code unknown;
  return std::filesystem::read_symlink("/proc/self/exe", unknown).string();
}

}  // namespace

Accepted parse_accepted(const std::vector<std::string>& options) {
  Accepted accepted;
  for (const std::string& option : options) {
    const std::size_t colon = option.find(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == option.size()) {
      throw Error(ErrorKind::kUsage, "accept-malformed",
                  "--accept " + option + " does not name a reason and a drive",
                  "Write --accept REASON:ID, for example --accept disk-4kn:WD-WX51A1234567.");
    }
    const std::string reason = option.substr(0, colon);
    if (!guard::is_acceptable(reason)) {
      throw Error(ErrorKind::kUsage, "accept-unknown",
                  reason + " is no reason that can be accepted",
                  "These are: " + acceptable_reasons() + ".");
    }
    accepted[option.substr(colon + 1)].insert(reason);
  }
  return accepted;
}

JobDrives::JobDrives(job::Job& job, const journal::Journal* journal, Accepted accepted)
    : job_(job), journal_(journal), accepted_(std::move(accepted)) {
  for (job::DriveRow& row : job_.driveset.rows) {
    if (row.drive_id.empty()) name(row);
  }
  for (const auto& [id, reasons] : accepted_) {
    if (std::ranges::find(job_.driveset.rows, id, &job::DriveRow::drive_id) !=
        job_.driveset.rows.end()) {
      continue;
    }
    throw Error(ErrorKind::kUsage, "drive-unknown",
                "--accept " + *reasons.begin() + ":" + id + ": " + job_.driveset.file.string() +
                    " has no drive of this id",
                "Give the DriveId of the drive, or the serial number of the disk.");
  }
}

void JobDrives::name(job::DriveRow& row) {
  if (journal_ != nullptr) {
    for (const journal::Drive& drive : journal_->drives()) {
      if (drive.target == row.written) row.drive_id = drive.id;
    }
  }
  if (row.drive_id.empty()) row.drive_id = found(row).drive_id();
  if (row.drive_id.empty()) {
    throw Error(ErrorKind::kUsage, "csv-drive-id-missing",
                place(job_, row) + row.written + " tells no serial number",
                "Add the column DriveId and write the serial number on the drive's label.");
  }
  if (!job::is_valid_drive_id(row.drive_id)) {
    throw Error(ErrorKind::kRefused, "disk-serial-unusable",
                place(job_, row) + row.written + " has the serial number \"" + row.drive_id +
                    "\", which cannot name a drive of a job",
                "Use a drive whose serial number has letters, digits, '.', '_' and '-' only.");
  }
  for (const job::DriveRow& other : job_.driveset.rows) {
    if (&other == &row || other.drive_id != row.drive_id) continue;
    throw Error(ErrorKind::kUsage, "csv-drive-id-repeated",
                place(job_, row) + row.written + " is the drive " + row.drive_id + ", which line " +
                    std::to_string(other.line) + " names, too",
                "Keep one row for each drive.");
  }
}

const guard::Machine& JobDrives::machine() {
  if (!machine_) {
    std::vector<guard::PreparedDrive> prepared = prepare::prepared_drives();
    // What this job has finished is its own affair, and the journal's.
    std::erase_if(prepared, [&](const guard::PreparedDrive& drive) {
      return drive.job == job_.directory.root().string();
    });
    machine_ =
        std::make_unique<guard::Machine>(disk_opener(), machine_files(), std::move(prepared));
  }
  return *machine_;
}

guard::DiskRequest JobDrives::disk_request(const job::DriveRow& row) const {
  guard::DiskRequest request;
  request.written = row.written;
  request.serial = row.serial;
  request.path = row.path;
  request.drive_id = row.drive_id;
  if (const auto reasons = accepted_.find(row.drive_id); reasons != accepted_.end()) {
    request.accepted = reasons->second;
  }
  for (const job::DatasetRow& source : job_.dataset.rows) {
    request.sources.push_back({"the source", source.base_path});
  }
  request.belongings = {{"the job directory", job_.directory.root()},
                        {"the key store", job_.spec.encryption.key_store},
                        {"the program", program_file()}};
  return request;
}

guard::ImageRequest JobDrives::image_request(const job::DriveRow& row) const {
  guard::ImageRequest request;
  request.path = row.path;
  request.drive_id = row.drive_id;
  request.sector = SectorSize(row.sector_size);
  for (const job::DatasetRow& source : job_.dataset.rows) {
    request.sources.push_back(source.base_path);
  }
  return request;
}

const guard::Candidate& JobDrives::candidate(const job::DriveRow& row) {
  if (const auto known = candidates_.find(row.line); known != candidates_.end()) {
    return known->second;
  }
  guard::Candidate candidate = found(row);
  if (candidate.is_disk()) {
    require_distinct(row, candidate);
    candidate = guard::Candidate(machine().examined(candidate.disk()), machine());
  }
  return candidates_.emplace(row.line, std::move(candidate)).first->second;
}

// Names may differ and the disk be one.
void JobDrives::require_distinct(const job::DriveRow& row, const guard::Candidate& disk) const {
  for (const auto& [line, other] : candidates_) {
    if (!other.is_disk() || other.name() != disk.name()) continue;
    throw Error(ErrorKind::kUsage, "csv-drive-repeated",
                place(job_, row) + row.written + " is " + disk.name() + ", which line " +
                    std::to_string(line) + " names, too",
                "Keep one row for each drive.");
  }
}

guard::Candidate JobDrives::found(const job::DriveRow& row) {
  if (row.kind == Kind::kImage) return guard::gather_image_facts(image_request(row));
  return {machine().find(disk_request(row)), machine()};
}

std::optional<journal::Drive> JobDrives::finished_disk(const job::DriveRow& row) const {
  if (row.kind == Kind::kImage || journal_ == nullptr) return std::nullopt;
  std::optional<journal::Drive> drive = journal_->drive(row.drive_id);
  const bool finished = drive && drive->state == journal::DriveState::kFinished && drive->identity;
  return finished ? drive : std::nullopt;
}

std::vector<plan::DriveInput> JobDrives::inputs() {
  std::vector<plan::DriveInput> inputs;
  for (const job::DriveRow& row : job_.driveset.rows) {
    if (const std::optional<journal::Drive> finished = finished_disk(row)) {
      inputs.push_back({.drive_id = row.drive_id,
                        .target = target_of(row),
                        .disk_bytes = finished->identity->size,
                        .sector_size = finished->identity->sector_size});
      continue;
    }
    const guard::Candidate& target = candidate(row);
    if (!target.measured()) {
      guard::Consent consent;
      consent.format = true;
      consent.silent = true;
      target.judge(consent).throw_if_refused();
    }
    inputs.push_back({.drive_id = row.drive_id,
                      .target = target_of(row),
                      .disk_bytes = target.size(),
                      .sector_size = target.sector().bytes(),
                      .appearance = target.appearance()});
  }
  return inputs;
}

const job::DriveRow* JobDrives::row_of(const journal::Drive& drive) const {
  const auto row = std::ranges::find(job_.driveset.rows, drive.id, &job::DriveRow::drive_id);
  return row == job_.driveset.rows.end() ? nullptr : &*row;
}

std::filesystem::path target_of(const job::DriveRow& row) {
  return row.kind == Kind::kImage ? row.path : std::filesystem::path(row.written);
}

}  // namespace driveprep::cli
