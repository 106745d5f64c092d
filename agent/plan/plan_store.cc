#include "agent/plan/plan_store.h"

#include <algorithm>
#include <utility>

#include "agent/manifest/manifest_format.h"
#include "agent/plan/directory_table.h"
#include "agent/plan/plan_schema.h"
#include "agent/plan/store_access.h"
#include "base/encoding.h"
#include "base/posix.h"
#include "base/utf16.h"

namespace driveprep::plan {
namespace {

constexpr const char* kRebuild = "Remove the file; the plan is then made anew.";

std::uint64_t unsigned_of(const journal::Statement& row, int column) {
  return static_cast<std::uint64_t>(row.integer(column));
}

}  // namespace

FileCursor::FileCursor(DirectoryTable& directories, journal::Statement files,
                       journal::Statement source, std::vector<RowKind> rows, ItemTexts texts)
    : directories_(&directories),
      files_(std::move(files)),
      source_path_(std::move(source)),
      rows_(std::move(rows)),
      texts_(texts) {}

bool FileCursor::next(FileItem& item) {
  if (!files_.step()) return false;
  item.number = unsigned_of(files_, 0);
  item.directory_id = files_.integer(1);
  item.dataset_row = static_cast<std::size_t>(files_.integer(3));
  item.size = unsigned_of(files_, 7);
  item.type = rows_.at(item.dataset_row).type;
  item.disposition = rows_.at(item.dataset_row).disposition;
  if (texts_ != ItemTexts::kManifest) {
    item.times = stored_times(files_, 8);
    item.ntfs_name = stored_name(files_, 4, 6);
    read_source_path(item);
  }
  if (texts_ != ItemTexts::kCopy) read_destination(item);
  return true;
}

void FileCursor::read_source_path(FileItem& item) {
  if (const std::int64_t source = files_.integer(2); source != source_) {
    source_path_.bind(1, source);
    require(source_path_.step(), "the plan misses a source directory");
    source_directory_ = source_path_.text(0);
    if (!source_directory_.ends_with('/')) source_directory_ += '/';
    source_path_.reset();
    source_ = source;
  }
  item.source_path.assign(source_directory_).append(files_.text_view(files_.is_null(5) ? 4 : 5));
}

void FileCursor::read_destination(FileItem& item) {
  if (item.directory_id != directory_) {
    Place place = directories_->place(item.directory_id);
    directory_ = item.directory_id;
    blob_prefix_ = std::move(place.blob_prefix);
    file_prefix_ = std::move(place.file_prefix);
  }
  const std::string_view name = files_.text_view(4);
  item.blob_path.assign(blob_prefix_).append(name);
  item.file_path.assign(file_prefix_);
  if (files_.is_null(6)) {
    item.file_path.append(name);
  } else {
    item.file_path.append(utf8_from_utf16(stored_name(files_, 4, 6)).value());
  }
}

DirectoryCursor::DirectoryCursor(journal::Statement statement) : statement_(std::move(statement)) {}

bool DirectoryCursor::next(Directory& directory) {
  if (!statement_.step()) return false;
  directory = DirectoryTable::row(statement_);
  return true;
}

PlanStore::PlanStore(PlanStore&&) noexcept = default;
PlanStore& PlanStore::operator=(PlanStore&& other) noexcept {
  // Statements go before the connection they belong to.
  directories_ = std::move(other.directories_);
  database_ = std::move(other.database_);
  session_ = std::move(other.session_);
  digest_ = other.digest_;
  drives_ = std::move(other.drives_);
  rows_ = std::move(other.rows_);
  return *this;
}
PlanStore::~PlanStore() = default;

PlanStore build_plan_store(std::unique_ptr<journal::Database> database) {
  return PlanStore(std::move(database));
}

PlanStore PlanStore::open(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) {
    throw Error(ErrorKind::kJournalMismatch, "plan-missing", "there is no plan " + file.string(),
                "Run \"driveprep prepare\" on the job directory.");
  }
  return PlanStore(std::make_unique<journal::Database>(file, journal::Database::Mode::kReadOnly));
}

PlanStore::PlanStore(std::unique_ptr<journal::Database> database) : database_(std::move(database)) {
  journal::Statement tables =
      database_->prepare("SELECT count(*) FROM sqlite_master WHERE name = 'meta'");
  require(tables.step(), "SQLite counts nothing");
  const std::string format = tables.integer(0) == 0 ? "" : meta_text(*database_, "format");
  if (format.empty()) {
    throw Error(ErrorKind::kJournalMismatch, "plan-unfinished",
                database_->name() + " is not a finished plan", kRebuild);
  }
  if (format != std::to_string(kPlanFormat)) {
    throw Error(ErrorKind::kJournalMismatch, "plan-version",
                database_->name() + " was made by another version of driveprep (format " + format +
                    ", not " + std::to_string(kPlanFormat) + ")",
                "Finish the job with that version, or begin a new job directory.");
  }
  session_ = meta_text(*database_, "session");
  const auto digest = from_hex(meta_text(*database_, "digest"));
  require(digest && digest->size() == digest_.size(), "a finished plan has no digest");
  std::copy(digest->begin(), digest->end(), digest_.begin());

  journal::Statement drives = database_->prepare("SELECT * FROM drive ORDER BY id");
  while (drives.step()) {
    drives_.push_back({static_cast<std::size_t>(drives.integer(0)), drives.text(1), drives.text(2),
                       unsigned_of(drives, 3), static_cast<std::uint32_t>(drives.integer(4)),
                       static_cast<std::uint32_t>(drives.integer(5)), unsigned_of(drives, 6),
                       unsigned_of(drives, 7), unsigned_of(drives, 8), unsigned_of(drives, 9),
                       unsigned_of(drives, 10), drives.text(11)});
  }
  journal::Statement rows =
      database_->prepare("SELECT type, disposition FROM dataset_row ORDER BY id");
  while (rows.step()) {
    rows_.push_back({static_cast<job::ItemType>(rows.integer(0)),
                     static_cast<job::Disposition>(rows.integer(1))});
  }
  directories_ = std::make_unique<DirectoryTable>(*database_);
}

void PlanStore::set_target(const std::string& drive_id, const std::filesystem::path& target) {
  for (DrivePlan& drive : drives_) {
    if (drive.drive_id == drive_id) drive.target = target;
  }
}

std::string PlanStore::digest_text() const { return hex_lower(digest_); }

std::uint64_t PlanStore::total_files() const {
  std::uint64_t sum = 0;
  for (const DrivePlan& drive : drives_) sum += drive.files;
  return sum;
}

std::uint64_t PlanStore::total_bytes() const {
  std::uint64_t sum = 0;
  for (const DrivePlan& drive : drives_) sum += drive.bytes;
  return sum;
}

FileCursor PlanStore::files(std::size_t drive, std::uint64_t first_number, ItemTexts texts) const {
  // Columns that nobody looks at are not taken out of their rows.
  const std::string columns =
      texts == ItemTexts::kManifest
          ? "number, directory, 0, dataset_row, name, NULL, ntfs, size, 0, 0, 0"
          : "number, directory, source, dataset_row, name, source_name, ntfs, size, created, "
            "modified, accessed";
  journal::Statement files = database_->prepare(
      "SELECT " + columns + " FROM item WHERE drive = ? AND number >= ? ORDER BY number");
  files.bind(1, static_cast<std::int64_t>(drive)).bind(2, static_cast<std::int64_t>(first_number));
  return FileCursor(*directories_, std::move(files),
                    database_->prepare("SELECT path FROM source WHERE id = ?"), rows_, texts);
}

std::uint64_t PlanStore::bytes_before(std::size_t drive, std::uint64_t number) const {
  journal::Statement sum =
      database_->prepare("SELECT coalesce(sum(size), 0) FROM item WHERE drive = ? AND number < ?");
  sum.bind(1, static_cast<std::int64_t>(drive)).bind(2, static_cast<std::int64_t>(number));
  require(sum.step(), "a sum gave no row");
  return unsigned_of(sum, 0);
}

DirectoryCursor PlanStore::directories(std::size_t drive) const {
  journal::Statement query = database_->prepare(
      "SELECT d.id, d.parent, d.name, d.ntfs, d.created, d.modified, d.accessed "
      "FROM drive_directory AS p JOIN directory AS d ON d.id = p.directory "
      "WHERE p.drive = ? ORDER BY p.directory");
  query.bind(1, static_cast<std::int64_t>(drive));
  return DirectoryCursor(std::move(query));
}

PlanTexts PlanStore::texts(std::size_t drive) const {
  journal::Statement query = database_->prepare(
      "SELECT directory, length(CAST(name AS BLOB)), coalesce(length(ntfs), 0), size FROM item "
      "WHERE drive = ? ORDER BY number");
  query.bind(1, static_cast<std::int64_t>(drive));
  PlanTexts texts;
  std::int64_t directory = -1;
  std::uint64_t prefixes = 0;
  while (query.step()) {
    if (query.integer(0) != directory) {
      directory = query.integer(0);
      const Place place = directories_->place(directory);
      prefixes = place.blob_prefix.size() + place.file_prefix.size();
    }
    const std::uint64_t name = unsigned_of(query, 1);
    const std::uint64_t size = unsigned_of(query, 3);
    const std::uint64_t piece =
        manifest::block_length_for(size).value_or(manifest::kMaxPieceLength);
    // UTF-8 takes at most three bytes for a unit of UTF-16.
    const std::uint64_t stored = std::max(name, unsigned_of(query, 2) * 3 / 2);
    ++texts.files;
    texts.pieces += size / piece + (size % piece != 0 ? 1 : 0);
    texts.name_bytes += name;
    texts.path_bytes += prefixes + name + stored;
  }
  return texts;
}

Directory PlanStore::directory(std::int64_t id) const { return directories_->get(id); }

std::string PlanStore::directory_path(std::int64_t id) const {
  std::string path = directories_->place(id).file_prefix;
  path.pop_back();
  return path;
}

std::vector<Attachment> PlanStore::attachments(std::size_t drive) const {
  journal::Statement query = database_->prepare(
      "SELECT dataset_row, kind, name, content FROM attachment WHERE drive = ? "
      "ORDER BY dataset_row, kind");
  query.bind(1, static_cast<std::int64_t>(drive));
  std::vector<Attachment> result;
  while (query.step()) {
    const std::string name = query.text(2);
    result.push_back({static_cast<std::size_t>(query.integer(0)),
                      static_cast<job::BlobFileKind>(query.integer(1)), kSessionDirectory,
                      utf16_from_utf8(name).value(), "\\" + session_ + "\\" + name,
                      std::string(as_text(query.blob(3)))});
  }
  return result;
}

std::vector<FindingCount> PlanStore::finding_counts() const {
  std::vector<FindingCount> result;
  journal::Statement query = database_->prepare("SELECT * FROM finding_count ORDER BY code");
  while (query.step()) result.push_back({query.text(0), unsigned_of(query, 1)});
  return result;
}

std::vector<Finding> PlanStore::findings(std::size_t limit) const {
  std::vector<Finding> result;
  journal::Statement query =
      database_->prepare("SELECT code, subject, detail FROM finding ORDER BY id LIMIT ?");
  query.bind(1, static_cast<std::int64_t>(limit));
  while (query.step()) result.push_back({query.text(0), query.text(1), query.text(2)});
  return result;
}

}  // namespace driveprep::plan
