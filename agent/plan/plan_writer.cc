#include "agent/plan/plan_writer.h"

#include <set>
#include <string>
#include <string_view>

#include "agent/plan/capacity.h"
#include "agent/plan/directory_table.h"
#include "agent/plan/plan_schema.h"
#include "base/digest.h"
#include "base/encoding.h"

namespace driveprep::plan {
namespace {

// Every value with its length before it, so that no two different sequences give the same bytes.
class CanonicalDigest {
 public:
  CanonicalDigest& text(std::string_view value) {
    number(value.size());
    pending_.append(value);
    return *this;
  }
  CanonicalDigest& number(std::uint64_t value) {
    for (int i = 0; i < 8; ++i, value >>= 8) pending_.push_back(static_cast<char>(value & 0xFF));
    if (pending_.size() >= kRun) drain();
    return *this;
  }
  std::string finish() {
    drain();
    return hex_lower(digest_.finish());
  }

 private:
  // A call for each value would take longer than the hashing itself.
  static constexpr std::size_t kRun = 64 * 1024;

  void drain() {
    digest_.update(as_bytes(pending_));
    pending_.clear();
  }

  Digest digest_{Digest::Algorithm::kSha256};
  std::string pending_;
};

// The disks have the end of the digest to themselves: another disk than was planned with can be
// told from another plan. See kDiskDigits.
std::string with_disks(std::string digest, const std::string& appearances) {
  if (appearances.empty()) return digest;
  const std::string disks = hex_lower(sha256(as_bytes(appearances)));
  return digest.replace(digest.size() - kDiskDigits, kDiskDigits, disks, 0, kDiskDigits);
}

class PlanWriter {
 public:
  PlanWriter(PlanDraft& draft, const job::Job& job, const std::vector<DriveInput>& drives)
      : draft_(draft),
        database_(draft.database()),
        job_(job),
        drives_(drives),
        directories_(database_),
        source_path_(database_.prepare("SELECT path FROM source WHERE id = ?")),
        insert_item_(database_.prepare("INSERT INTO item VALUES(?,?,?,?,?,?,?,?,?,?,?,?)")),
        insert_place_(database_.prepare("INSERT OR IGNORE INTO drive_directory VALUES(?,?)")),
        sums_(drives.size()),
        rows_used_(drives.size()) {}

  void write(const std::vector<std::uint64_t>& taken) {
    write_drives(taken);
    write_rows();
    write_items();
    write_directories();
    write_attachments();
    write_sums();
    draft_.log().store_counts();
    database_.execute("DROP INDEX directory_name");
    set_meta(database_, "session", draft_.session());
    set_meta(database_, "digest", with_disks(digest_.finish(), appearances_));
    // Its presence says that the plan is complete.
    set_meta(database_, "format", std::to_string(kPlanFormat));
  }

 private:
  struct Sums {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
  };

  void write_drives(const std::vector<std::uint64_t>& taken) {
    digest_.text("driveprep-plan").number(kPlanFormat).text(draft_.session());
    digest_.number(drives_.size());
    journal::Statement insert = database_.prepare(
        "INSERT INTO drive(id, drive_id, target, disk_bytes, sector_size, cluster_bytes, usable, "
        "estimated, appearance) VALUES(?,?,?,?,?,?,?,?,?)");
    for (std::size_t i = 0; i < drives_.size(); ++i) {
      const DriveInput& drive = drives_[i];
      digest_.text(drive.drive_id).number(drive.disk_bytes).number(drive.sector_size);
      if (!drive.appearance.empty()) appearances_ += drive.drive_id + " " + drive.appearance + "\n";
      insert.bind(1, static_cast<std::int64_t>(i))
          .bind(2, drive.drive_id)
          .bind(3, drive.target.native())
          .bind(4, static_cast<std::int64_t>(drive.disk_bytes))
          .bind(5, static_cast<std::int64_t>(drive.sector_size))
          .bind(6, static_cast<std::int64_t>(
                       geometry_of(drive.disk_bytes, drive.sector_size).cluster_bytes))
          .bind(7, static_cast<std::int64_t>(usable_bytes(drive.disk_bytes, drive.sector_size)))
          .bind(8, static_cast<std::int64_t>(taken[i]))
          .bind(9, drive.appearance)
          .run();
    }
  }

  void write_rows() {
    journal::Statement insert = database_.prepare("INSERT INTO dataset_row VALUES(?,?,?)");
    digest_.number(job_.dataset.rows.size());
    for (std::size_t i = 0; i < job_.dataset.rows.size(); ++i) {
      const job::DatasetRow& row = job_.dataset.rows[i];
      digest_.text(row.base_path.native()).number(row.is_directory ? 1 : 0);
      digest_.text(row.container).text(row.name);
      digest_.text(job::to_string(row.type)).text(job::to_string(row.disposition));
      for (const auto& file : {row.metadata, row.properties}) {
        digest_.number(file ? 1 : 0).text(file ? file->content : "");
      }
      insert.bind(1, static_cast<std::int64_t>(i))
          .bind(2, static_cast<std::int64_t>(row.type))
          .bind(3, static_cast<std::int64_t>(row.disposition))
          .run();
    }
  }

  void write_items() {
    const std::string order =
        draft_.in_order() ? ", f.id"
                          : ", f.directory, f.size >= " + std::to_string(kWrittenLast) + ", f.name";
    const bool single = drives_.size() == 1;
    // With one drive and files in order this is a plain walk over the table, without a sort.
    journal::Statement files = database_.prepare(
        std::string("SELECT ") + (single ? "0" : "p.drive") +
        " AS drive, f.directory, f.source, f.dataset_row, f.name, f.source_name, f.ntfs, f.size, "
        "f.created, f.modified, f.accessed FROM scan.file AS f " +
        (single ? "" : "JOIN scan.placement AS p ON p.file = f.id ") + "ORDER BY " +
        (single ? order.substr(2) : "drive" + order));
    while (files.step()) write_item(files);
  }

  void write_item(const journal::Statement& file) {
    const auto drive = static_cast<std::size_t>(file.integer(0));
    const std::int64_t directory = file.integer(1);
    Sums& sums = sums_[drive];
    if (drive != drive_ || directory != directory_) enter(drive, directory);
    if (const std::int64_t source = file.integer(2); source != source_) enter_source(source);
    const auto row = static_cast<std::size_t>(file.integer(3));
    rows_used_[drive].insert(row);
    const auto size = static_cast<std::uint64_t>(file.integer(7));

    insert_item_.bind(1, static_cast<std::int64_t>(drive))
        .bind(2, static_cast<std::int64_t>(sums.files));
    for (const int column : {1, 2, 3, 7, 8, 9, 10}) {
      insert_item_.bind(column + 2, file.integer(column));
    }
    const std::string name = file.text(4);
    insert_item_.bind(6, name);
    digest_.number(2).number(row).text(name);
    if (file.is_null(5)) {
      insert_item_.bind_null(7);
      digest_.number(0);
    } else {
      insert_item_.bind(7, file.text(5));
      digest_.number(1).text(file.text(5));
    }
    if (file.is_null(6)) {
      insert_item_.bind_null(8);
      digest_.number(0);
    } else {
      const Bytes ntfs = file.blob(6);
      insert_item_.bind(8, ByteView(ntfs));
      digest_.number(1).text(as_text(ntfs));
    }
    digest_.number(size).number(static_cast<std::uint64_t>(file.integer(9)));
    insert_item_.run();
    ++sums.files;
    sums.bytes += size;
  }

  void enter(std::size_t drive, std::int64_t directory) {
    drive_ = drive;
    directory_ = directory;
    insert_place_.bind(1, static_cast<std::int64_t>(drive)).bind(2, directory).run();
    const Place place = directories_.place(directory);
    digest_.number(0).number(drive).text(place.blob_prefix).text(place.file_prefix);
    source_ = -1;
  }

  void enter_source(std::int64_t source) {
    source_ = source;
    source_path_.bind(1, source);
    require(source_path_.step(), "a file has no source directory");
    digest_.number(1).text(source_path_.text(0));
    source_path_.reset();
  }

  // Parents of directories with files; directories without any go to the first drive with files.
  void write_directories() {
    constexpr const char* kAddParents = R"(
      INSERT OR IGNORE INTO drive_directory
        WITH RECURSIVE up(drive, directory) AS (
          SELECT drive, directory FROM drive_directory
          UNION
          SELECT up.drive, d.parent FROM up JOIN directory AS d ON d.id = up.directory
            WHERE d.parent <> 0)
        SELECT drive, directory FROM up)";
    database_.execute(kAddParents);
    std::size_t first = 0;
    while (first + 1 < drives_.size() && sums_[first].files == 0) ++first;
    database_
        .prepare(
            "INSERT OR IGNORE INTO drive_directory SELECT ?, id FROM directory "
            "WHERE id NOT IN (SELECT directory FROM drive_directory)")
        .bind(1, static_cast<std::int64_t>(first))
        .run();
    database_.execute(kAddParents);
    journal::Statement placed =
        database_.prepare("SELECT drive, directory FROM drive_directory ORDER BY drive, directory");
    while (placed.step()) {
      digest_.number(3).number(static_cast<std::uint64_t>(placed.integer(0)));
      digest_.text(directories_.place(placed.integer(1)).file_prefix);
    }
  }

  void write_attachments() {
    journal::Statement insert = database_.prepare("INSERT INTO attachment VALUES(?,?,?,?,?)");
    for (std::size_t drive = 0; drive < drives_.size(); ++drive) {
      for (const std::size_t row : rows_used_[drive]) {
        for (const auto& file :
             {job_.dataset.rows[row].metadata, job_.dataset.rows[row].properties}) {
          if (!file) continue;
          const bool metadata = file->kind == job::BlobFileKind::kMetadata;
          insert.bind(1, static_cast<std::int64_t>(drive))
              .bind(2, static_cast<std::int64_t>(row))
              .bind(3, static_cast<std::int64_t>(file->kind))
              .bind(4, (metadata ? "metadata-" : "properties-") + std::to_string(row + 1) + ".xml")
              .bind(5, as_bytes(file->content))
              .run();
        }
      }
    }
  }

  void write_sums() {
    journal::Statement update = database_.prepare(
        "UPDATE drive SET files = ?1, bytes = ?2, directories = "
        "(SELECT count(*) FROM drive_directory WHERE drive = ?3) WHERE id = ?3");
    for (std::size_t i = 0; i < drives_.size(); ++i) {
      update.bind(1, static_cast<std::int64_t>(sums_[i].files))
          .bind(2, static_cast<std::int64_t>(sums_[i].bytes))
          .bind(3, static_cast<std::int64_t>(i))
          .run();
      if (sums_[i].files == 0) {
        draft_.log().warn("drive-unused", drives_[i].drive_id,
                          "gets no files; leave it out of driveset.csv");
      }
    }
  }

  PlanDraft& draft_;
  journal::Database& database_;
  const job::Job& job_;
  const std::vector<DriveInput>& drives_;
  DirectoryTable directories_;
  journal::Statement source_path_;
  journal::Statement insert_item_;
  journal::Statement insert_place_;
  CanonicalDigest digest_;
  std::string appearances_;  // of the disks, a line each
  std::vector<Sums> sums_;
  std::vector<std::set<std::size_t>> rows_used_;
  std::size_t drive_ = 0;
  std::int64_t directory_ = -1;
  std::int64_t source_ = -1;
};

}  // namespace

void write_plan(PlanDraft& draft, const job::Job& job, const std::vector<DriveInput>& drives,
                const std::vector<std::uint64_t>& taken) {
  PlanWriter(draft, job, drives).write(taken);
}

}  // namespace driveprep::plan
