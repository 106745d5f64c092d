#include "agent/plan/plan_draft.h"

#include <utility>

#include "agent/plan/directory_table.h"
#include "agent/plan/ntfs_naming.h"
#include "agent/plan/plan_schema.h"
#include "agent/plan/store_access.h"
#include "base/utf16.h"

namespace driveprep::plan {
namespace {

std::unique_ptr<journal::Database> open_draft(const std::filesystem::path& file) {
  auto database = std::make_unique<journal::Database>(file, journal::Database::Mode::kScratch);
  create_plan_tables(*database);
  attach_scan_tables(*database);
  return database;
}

// Above this a directory's names are compared in the database.
constexpr std::size_t kMaxNamesFollowed = 1'000'000;

std::int64_t ticks(FileTime time) { return static_cast<std::int64_t>(time.ticks); }

}  // namespace

PlanDraft::PlanDraft(const std::filesystem::path& file, std::string session,
                     const Geometry& geometry, bool substitute_names)
    : database_(open_draft(file)),
      log_(*database_),
      session_(std::move(session)),
      geometry_(geometry),
      substitute_names_(substitute_names),
      transaction_(std::make_unique<journal::Transaction>(*database_)),
      find_directory_(
          database_->prepare("SELECT id, created FROM directory WHERE parent = ? AND name = ?")),
      insert_directory_(database_->prepare("INSERT INTO directory VALUES(?,?,?,?,?,?,?,?)")),
      set_times_(database_->prepare(
          "UPDATE directory SET created = ?, modified = ?, accessed = ? WHERE id = ?")),
      insert_source_(database_->prepare("INSERT INTO source(path) VALUES(?)")),
      insert_file_(database_->prepare("INSERT INTO scan.file(directory, source, dataset_row, name, "
                                      "source_name, ntfs, fold, size, created, modified, accessed, "
                                      "cost) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)")) {
  require(directory(0, session_, std::nullopt) == kSessionDirectory,
          "the session directory is not the first");
}

std::optional<std::u16string> PlanDraft::judge_name(const std::string& name, std::u16string& stored,
                                                    std::int64_t directory) {
  NtfsName judged = ntfs_name_for(name);
  stored = std::move(judged.name);
  if (!judged.substituted) return std::nullopt;
  DirectoryTable table(*database_);
  const Place place = table.place(directory);
  const std::string subject = printable(place.blob_prefix + name);
  if (substitute_names_) {
    log_.warn("substitute-name", subject,
              judged.reason + " on NTFS; stored as " + place.file_prefix +
                  utf8_from_utf16(stored).value());
  } else {
    log_.problem("ntfs-name", subject, judged.reason + ", which NTFS cannot hold");
  }
  return stored;
}

std::int64_t PlanDraft::directory(std::int64_t parent, const std::string& name,
                                  const std::optional<Times>& times) {
  find_directory_.bind(1, parent).bind(2, name);
  if (find_directory_.step()) {
    const std::int64_t id = find_directory_.integer(0);
    const bool has_times = !find_directory_.is_null(1);
    find_directory_.reset();
    if (times && !has_times) {
      set_times_.bind(1, ticks(times->created)).bind(2, ticks(times->modified));
      set_times_.bind(3, ticks(times->accessed)).bind(4, id).run();
    }
    return id;
  }
  const std::int64_t id = next_directory_++;
  std::u16string stored;
  const auto substitute = judge_name(name, stored, parent);
  insert_directory_.bind(1, id).bind(2, parent).bind(3, name).bind(5, fold_hash(stored));
  if (substitute) {
    insert_directory_.bind(4, ByteView(utf16le(*substitute)));
  } else {
    insert_directory_.bind_null(4);
  }
  if (times) {
    insert_directory_.bind(6, ticks(times->created)).bind(7, ticks(times->modified));
    insert_directory_.bind(8, ticks(times->accessed));
  } else {
    insert_directory_.bind_null(6).bind_null(7).bind_null(8);
  }
  insert_directory_.run();
  costs_.add(static_cast<std::uint32_t>(parent), directory_cost(stored.size(), geometry_));
  small_cost_.push_back(0);
  return id;
}

void PlanDraft::follow_names(std::int64_t directory, std::int64_t fold) {
  if (names_may_collide_) return;
  // A directory that is come back to has names that are no longer known here.
  names_may_collide_ = directory < names_directory_ || names_here_.size() > kMaxNamesFollowed;
  if (directory > names_directory_) {
    names_directory_ = directory;
    names_here_.clear();
  }
  if (!names_here_.insert(fold).second) names_may_collide_ = true;
}

void PlanDraft::note_directory(std::int64_t parent, const std::string& name) {
  follow_names(parent, fold_hash(ntfs_name_for(name).name));
}

std::int64_t PlanDraft::add_source(const std::filesystem::path& directory) {
  insert_source_.bind(1, directory.native()).run();
  return database_->last_insert_id();
}

void PlanDraft::add_file(const ScannedFile& file) {
  std::u16string stored;
  const auto substitute = judge_name(file.name, stored, file.directory);
  const std::int64_t fold = fold_hash(stored);
  follow_names(file.directory, fold);
  in_order_ =
      in_order_ && (file.directory > last_file_.directory ||
                    (file.directory == last_file_.directory && written_before(last_file_, file)));
  last_file_ = file;
  const std::uint64_t cost = plan::file_cost(
      file.size, stored.size(), 2 * file.blob_path_bytes + session_.size() + 2, geometry_);
  insert_file_.bind(1, file.directory)
      .bind(2, file.source)
      .bind(3, static_cast<std::int64_t>(file.dataset_row))
      .bind(4, file.name)
      .bind(7, fold)
      .bind(8, static_cast<std::int64_t>(file.size))
      .bind(9, ticks(file.times.created))
      .bind(10, ticks(file.times.modified))
      .bind(11, ticks(file.times.accessed))
      .bind(12, static_cast<std::int64_t>(cost));
  if (file.source_name) {
    insert_file_.bind(5, *file.source_name);
  } else {
    insert_file_.bind_null(5);
  }
  if (substitute) {
    insert_file_.bind(6, ByteView(utf16le(*substitute)));
  } else {
    insert_file_.bind_null(6);
  }
  insert_file_.run();
  ++files_;
  bytes_ += file.size;
  file_cost_ += cost;
  if (file.size < kLargeFile) small_cost_[static_cast<std::size_t>(file.directory - 1)] += cost;
}

std::unique_ptr<journal::Database> PlanDraft::finish() {
  transaction_->commit();
  transaction_.reset();
  database_->execute("DETACH scan");
  return std::move(database_);
}

}  // namespace driveprep::plan
