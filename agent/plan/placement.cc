#include "agent/plan/placement.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "agent/plan/ntfs_naming.h"
#include "agent/plan/packer.h"
#include "base/human_text.h"

namespace driveprep::plan {
namespace {

std::string described(const std::vector<DriveRoom>& drives) {
  std::string text;
  for (const DriveRoom& drive : drives) {
    text += "\n  " + drive.drive_id + ": " + human_bytes(drive.usable) +
            " for files on a disk of " + human_bytes(drive.disk_bytes);
  }
  return text;
}

class Placer {
 public:
  Placer(PlanDraft& draft, const std::vector<DriveRoom>& drives, PackRule rule)
      : draft_(draft),
        database_(draft.database()),
        costs_(draft.directory_costs()),
        packer_(rooms(drives), rule),
        insert_(database_.prepare("INSERT INTO scan.placement VALUES(?,?)")) {
    database_.execute("DELETE FROM scan.placement");
    costs_.start(drives.size());
  }

  static std::vector<std::uint64_t> rooms(const std::vector<DriveRoom>& drives) {
    std::vector<std::uint64_t> result;
    for (const DriveRoom& drive : drives) result.push_back(drive.usable);
    return result;
  }

  bool place() { return place_large() && place_small() && place_empty_directories(); }
  std::uint64_t room(std::size_t drive) const { return packer_.room(drive); }

 private:
  bool place_large() {
    journal::Statement files = database_.prepare(
        "SELECT id, directory, cost FROM scan.file WHERE size >= " + std::to_string(kLargeFile) +
        " ORDER BY size DESC, directory, name");
    while (files.step()) {
      const auto directory = static_cast<std::uint32_t>(files.integer(1));
      const auto cost = static_cast<std::uint64_t>(files.integer(2));
      const auto drive = choose(directory, cost);
      if (!drive) return false;
      take(*drive, directory, cost);
      record(files.integer(0), *drive);
    }
    return true;
  }

  // A directory's small files stay together while a drive has room for all of them; else they are
  // spread, each drive filled before the next.
  bool place_small() {
    journal::Statement files =
        database_.prepare("SELECT id, directory, cost FROM scan.file WHERE size < " +
                          std::to_string(kLargeFile) + " ORDER BY directory, name");
    std::uint32_t group = 0;
    std::optional<std::size_t> drive;
    bool together = false;
    while (files.step()) {
      const auto directory = static_cast<std::uint32_t>(files.integer(1));
      const auto cost = static_cast<std::uint64_t>(files.integer(2));
      if (directory != group) {
        group = directory;
        const std::uint64_t whole = draft_.small_cost(files.integer(1));
        drive = choose(directory, whole);
        together = drive.has_value();
        if (together) take(*drive, directory, whole);
      }
      if (!together) {
        if (!drive || costs_.missing(*drive, directory) + cost > packer_.room(*drive)) {
          drive = choose(directory, cost);
        }
        if (!drive) return false;
        take(*drive, directory, cost);
      }
      record(files.integer(0), *drive);
    }
    return true;
  }

  // Directories with nothing in them are kept on the first drive that takes files.
  bool place_empty_directories() {
    for (std::uint32_t directory = 1; directory <= costs_.size(); ++directory) {
      bool placed = false;
      for (std::size_t drive = 0; drive < packer_.drives() && !placed; ++drive) {
        placed = costs_.missing(drive, directory) == 0;
      }
      if (placed) continue;
      if (costs_.missing(first_used(), directory) > packer_.room(first_used())) return false;
      take(first_used(), directory, 0);
    }
    return true;
  }

  std::size_t first_used() const {
    std::size_t drive = 0;
    while (drive + 1 < packer_.drives() && costs_.missing(drive, 1) != 0) ++drive;
    return drive;
  }

  std::optional<std::size_t> choose(std::uint32_t directory, std::uint64_t cost) const {
    return packer_.choose(
        [&](std::size_t drive) { return costs_.missing(drive, directory) + cost; });
  }

  void take(std::size_t drive, std::uint32_t directory, std::uint64_t cost) {
    packer_.take(drive, costs_.missing(drive, directory) + cost);
    costs_.place(drive, directory);
  }

  void record(std::int64_t file, std::size_t drive) {
    insert_.bind(1, file).bind(2, static_cast<std::int64_t>(drive)).run();
  }

  PlanDraft& draft_;
  journal::Database& database_;
  DirectoryCosts& costs_;
  Packer packer_;
  journal::Statement insert_;
};

// Nothing helps a file that is larger than the largest drive.
void check_largest(PlanDraft& draft, const std::vector<DriveRoom>& drives) {
  std::uint64_t largest_room = 0;
  for (const DriveRoom& drive : drives) largest_room = std::max(largest_room, drive.usable);
  journal::Statement query = draft.database().prepare(
      "SELECT s.path || '/' || coalesce(f.source_name, f.name), f.size, f.cost "
      "FROM scan.file AS f JOIN source AS s ON s.id = f.source ORDER BY f.cost DESC LIMIT 1");
  if (!query.step() || static_cast<std::uint64_t>(query.integer(2)) <= largest_room) return;
  throw Error(ErrorKind::kUsage, "not-enough-space",
              "the file " + printable(query.text(0)) + " of " +
                  human_bytes(static_cast<std::uint64_t>(query.integer(1))) +
                  " is larger than the largest drive has room for:" + described(drives),
              "Use a larger drive, or leave the file out; a file is never split over drives.");
}

[[noreturn]] void no_room(PlanDraft& draft, const std::vector<DriveRoom>& drives) {
  std::uint64_t room = 0;
  for (const DriveRoom& drive : drives) room += drive.usable;
  const std::uint64_t needed = draft.file_cost() + draft.directory_costs().total();
  const std::string head = counted(draft.files(), "file") + " of " + human_bytes(draft.bytes()) +
                           (draft.files() == 1 ? " needs " : " need ") + human_bytes(needed) +
                           " with what the file system and the manifest add; ";
  const std::string rest =
      "the drives have room for " + human_bytes(room) + ":" + described(drives);
  if (needed > room) {
    throw Error(ErrorKind::kUsage, "not-enough-space",
                head + human_bytes(needed - room) + " are missing, " + rest,
                "Add drives to driveset.csv, use larger ones, or ship less.");
  }
  throw Error(ErrorKind::kUsage, "not-enough-space",
              head + "that would fit by its sum, but not file by file, " + rest,
              "Add a drive to driveset.csv, or use larger ones; files are never split.");
}

}  // namespace

std::vector<std::uint64_t> place_files(PlanDraft& draft, const std::vector<DriveRoom>& drives) {
  check_largest(draft, drives);
  if (drives.size() == 1) {
    const std::uint64_t needed = draft.file_cost() + draft.directory_costs().total();
    if (needed > drives[0].usable) no_room(draft, drives);
    return {needed};
  }
  for (const PackRule rule : {PackRule::kMostRoom, PackRule::kBestFit}) {
    Placer placer(draft, drives, rule);
    if (!placer.place()) continue;
    std::vector<std::uint64_t> taken;
    for (std::size_t i = 0; i < drives.size(); ++i) {
      taken.push_back(drives[i].usable - placer.room(i));
    }
    return taken;
  }
  no_room(draft, drives);
}

}  // namespace driveprep::plan
