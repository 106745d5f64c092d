// A plan: every file of the data set, where it comes from, on which drive it goes, under which name
// and in which order. It is a value: complete once built, read-only, with a digest over everything
// that matters; two plans are the same exactly when their digests are.
//
// It lives in a database so that ten million files need no memory. A PlanStore and its cursors
// belong to one thread; another thread opens the file for itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/job/dataset.h"
#include "agent/journal/sqlite.h"
#include "base/digest.h"
#include "base/file_time.h"

namespace driveprep::plan {

struct Times {
  FileTime created;
  FileTime modified;
  FileTime accessed;
};

// A directory on a drive. The one without a parent is the session directory, in the volume's root.
struct Directory {
  std::int64_t id = 0;
  std::optional<std::int64_t> parent;
  std::u16string ntfs_name;
  // Of the source directory; none for those that exist only in the destination's prefix.
  std::optional<Times> times;
};

struct FileItem {
  std::uint64_t number = 0;  // 0, 1, 2 ... on its drive: the order of writing
  std::int64_t directory_id = 0;
  std::u16string ntfs_name;
  std::string source_path;  // absolute; the bytes the file system has
  std::string blob_path;    // "container/name", UTF-8, the true name
  std::string file_path;    // "\session\container\...\name", UTF-8, as it is on the drive
  std::uint64_t size = 0;
  Times times;
  job::ItemType type = job::ItemType::kBlockBlob;
  job::Disposition disposition = job::Disposition::kRename;
  std::size_t dataset_row = 0;  // index into Dataset::rows
};

// How much there is to be written down about the files of a drive.
struct PlanTexts {
  std::uint64_t files = 0;
  std::uint64_t pieces = 0;      // with an MD5 each
  std::uint64_t name_bytes = 0;  // of their names, in UTF-8
  std::uint64_t path_bytes = 0;  // of blob paths and paths on the drive, in UTF-8
};

// A metadata or properties file that the manifest of a drive refers to; lies in the session
// directory under a name that no container can have.
struct Attachment {
  std::size_t dataset_row = 0;
  job::BlobFileKind kind = job::BlobFileKind::kMetadata;
  std::int64_t directory_id = 0;
  std::u16string ntfs_name;
  std::string file_path;  // "\session\metadata-1.xml"
  std::string content;
};

struct DrivePlan {
  std::size_t index = 0;
  std::string drive_id;
  std::filesystem::path target;  // device or image
  std::uint64_t disk_bytes = 0;
  std::uint32_t sector_size = 512;
  std::uint32_t cluster_bytes = 4096;
  std::uint64_t usable_bytes = 0;     // for data, see capacity.h
  std::uint64_t estimated_bytes = 0;  // of them this plan takes
  std::uint64_t files = 0;
  std::uint64_t directories = 0;
  std::uint64_t bytes = 0;      // sum of the sizes of the files
  std::string appearance = {};  // of a disk when it was planned, see DriveInput
};

// Something the operator should know: a substitute name, a link left out, ... `subject` is the path
// or blob concerned, `detail` the rest of the sentence.
struct Finding {
  std::string code;
  std::string subject;
  std::string detail;
};

struct FindingCount {
  std::string code;
  std::uint64_t count = 0;
};

// Of the 64 digits of the digest of a plan with disks the last 16 stand for these, as they are just
// now and with what is on them; the others for everything else.
inline constexpr std::size_t kDiskDigits = 16;

class DirectoryTable;
class PlanStore;

// What a row of the data set says of its items.
struct RowKind {
  job::ItemType type = job::ItemType::kBlockBlob;
  job::Disposition disposition = job::Disposition::kRename;
};

// Which part of an item its reader wants; the rest is left as it is.
enum class ItemTexts {
  kAll,
  kCopy,      // not blob_path and file_path
  kManifest,  // not source_path, ntfs_name and times
};

// Files of one drive in the order of writing. Must not outlive its store.
class FileCursor {
 public:
  // Fills `item` with the next file; false at the end.
  bool next(FileItem& item);

 private:
  friend class PlanStore;
  FileCursor(DirectoryTable& directories, journal::Statement files, journal::Statement source,
             std::vector<RowKind> rows, ItemTexts texts);
  void read_source_path(FileItem& item);
  void read_destination(FileItem& item);

  DirectoryTable* directories_;
  journal::Statement files_;
  journal::Statement source_path_;
  std::vector<RowKind> rows_;
  ItemTexts texts_;
  std::int64_t directory_ = -1;
  std::int64_t source_ = -1;
  std::string blob_prefix_;
  std::string file_prefix_;
  std::string source_directory_;  // with the slash behind it
};

// Directories of one drive, parents before children. Must not outlive its store.
class DirectoryCursor {
 public:
  bool next(Directory& directory);

 private:
  friend class PlanStore;
  explicit DirectoryCursor(journal::Statement statement);
  journal::Statement statement_;
};

class PlanStore {
 public:
  // Opens a finished plan. Errors, kJournalMismatch: "plan-missing", "plan-unfinished",
  // "plan-version".
  static PlanStore open(const std::filesystem::path& file);
  PlanStore(PlanStore&&) noexcept;
  PlanStore& operator=(PlanStore&&) noexcept;
  ~PlanStore();

  const std::string& session() const { return session_; }
  const Sha256& digest() const { return digest_; }
  std::string digest_text() const;  // hexadecimal, lower case
  const std::vector<DrivePlan>& drives() const { return drives_; }
  // A job directory may have moved since it was planned, and its images with it.
  void set_target(const std::string& drive_id, const std::filesystem::path& target);
  std::uint64_t total_files() const;
  std::uint64_t total_bytes() const;

  FileCursor files(std::size_t drive, std::uint64_t first_number = 0,
                   ItemTexts texts = ItemTexts::kAll) const;
  // Sum of the sizes of a drive's files with lower numbers than `number`.
  std::uint64_t bytes_before(std::size_t drive, std::uint64_t number) const;
  DirectoryCursor directories(std::size_t drive) const;
  // Looks at every file of the drive, about a million of them in a second.
  PlanTexts texts(std::size_t drive) const;
  // Cheap; an unknown id is an internal error.
  Directory directory(std::int64_t id) const;
  // "\session\container\dir", UTF-8.
  std::string directory_path(std::int64_t id) const;
  // Those whose dataset row has at least one file on the drive.
  std::vector<Attachment> attachments(std::size_t drive) const;

  std::vector<FindingCount> finding_counts() const;
  std::vector<Finding> findings(std::size_t limit) const;

 private:
  friend PlanStore build_plan_store(std::unique_ptr<journal::Database> database);
  explicit PlanStore(std::unique_ptr<journal::Database> database);

  // Behind pointers: statements keep their connection when the store moves.
  std::unique_ptr<journal::Database> database_;
  std::unique_ptr<DirectoryTable> directories_;
  std::string session_;
  Sha256 digest_{};
  std::vector<DrivePlan> drives_;
  std::vector<RowKind> rows_;
};

}  // namespace driveprep::plan
