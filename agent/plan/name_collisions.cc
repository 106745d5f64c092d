#include "agent/plan/name_collisions.h"

#include <map>
#include <string>
#include <vector>

#include "agent/plan/directory_table.h"
#include "agent/plan/ntfs_naming.h"
#include "base/utf16.h"
#include "drive/ntfs/names.h"

namespace driveprep::plan {
namespace {

class CollisionResolver {
 public:
  CollisionResolver(PlanDraft& draft, const job::Dataset& dataset, bool substitute_names)
      : draft_(draft),
        dataset_(dataset),
        database_(draft.database()),
        substitute_names_(substitute_names),
        directories_(database_),
        taken_(database_.prepare(
            "SELECT EXISTS(SELECT 1 FROM scan.file WHERE directory = ?1 AND fold = ?2) OR "
            "EXISTS(SELECT 1 FROM directory WHERE parent = ?1 AND fold = ?2)")) {}

  void resolve() {
    database_.execute(
        "CREATE INDEX scan.file_place ON file(directory, fold);"
        "CREATE INDEX directory_place ON directory(parent, fold);");
    collect();
    // Directories first: their names are part of the paths of everything below them.
    each_collision(
        "SELECT d.id, d.name, d.ntfs, '', 0 FROM directory AS d "
        "WHERE d.parent = ? AND d.fold = ? ORDER BY d.name",
        &CollisionResolver::resolve_directories);
    each_collision(
        "SELECT f.id, f.name, f.ntfs, s.path || '/' || coalesce(f.source_name, f.name), "
        "f.dataset_row "
        "FROM scan.file AS f JOIN source AS s ON s.id = f.source "
        "WHERE f.directory = ? AND f.fold = ? ORDER BY f.name, f.id",
        &CollisionResolver::resolve_files);
    database_.execute("DROP INDEX directory_place");
  }

 private:
  struct Entry {
    std::int64_t id;
    std::string name;
    std::u16string ntfs_name;
    std::string source;
    std::size_t dataset_row;
  };
  using Resolve = void (CollisionResolver::*)(std::int64_t, const std::vector<Entry>&);

  void collect() {
    database_.execute(
        "INSERT OR IGNORE INTO scan.collision SELECT directory, fold FROM scan.file "
        "  GROUP BY directory, fold HAVING count(*) > 1;"
        "INSERT OR IGNORE INTO scan.collision SELECT parent, fold FROM directory "
        "  GROUP BY parent, fold HAVING count(*) > 1;"
        "INSERT OR IGNORE INTO scan.collision SELECT d.parent, d.fold FROM directory AS d "
        "  WHERE EXISTS(SELECT 1 FROM scan.file AS f WHERE f.directory = d.parent AND f.fold = "
        "d.fold)");
  }

  void each_collision(const char* entries_query, Resolve handle) {
    journal::Statement collisions =
        database_.prepare("SELECT directory, fold FROM scan.collision ORDER BY directory, fold");
    journal::Statement query = database_.prepare(entries_query);
    while (collisions.step()) {
      const std::int64_t directory = collisions.integer(0);
      query.bind(1, directory).bind(2, collisions.integer(1));
      std::vector<Entry> entries;
      while (query.step()) {
        entries.push_back({query.integer(0), query.text(1), stored_name(query, 1, 2), query.text(3),
                           static_cast<std::size_t>(query.integer(4))});
      }
      (this->*handle)(directory, entries);
    }
  }

  void resolve_directories(std::int64_t parent, const std::vector<Entry>& entries) {
    for (std::size_t i = 1; i < entries.size(); ++i) {
      const Entry* other = same_fold(entries, i);
      if (other != nullptr) rename(parent, entries[i], other->name, "directory");
    }
  }

  void resolve_files(std::int64_t directory, const std::vector<Entry>& entries) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i > 0 && entries[i].name == entries[i - 1].name) {
        draft_.log().problem(
            "destination-conflict",
            printable(directories_.place(directory).blob_prefix + entries[i].name),
            "is the destination of both " + source(entries[i - 1]) + " and " + source(entries[i]));
        continue;
      }
      if (const Entry* other = same_fold(entries, i)) {
        rename(directory, entries[i], other->name, "scan.file");
      } else if (const auto below = directory_like(directory, entries[i].ntfs_name)) {
        rename(directory, entries[i], *below + "/", "scan.file");
      }
    }
  }

  // "/srv/job/dataset.csv:2: /data/a".
  std::string source(const Entry& entry) const {
    return dataset_.file.string() + ":" + std::to_string(dataset_.rows.at(entry.dataset_row).line) +
           ": " + printable(entry.source);
  }

  // An earlier entry that Windows takes for the same name.
  static const Entry* same_fold(const std::vector<Entry>& entries, std::size_t index) {
    const std::u16string fold = ntfs::fold_case(entries[index].ntfs_name);
    for (std::size_t i = 0; i < index; ++i) {
      if (ntfs::fold_case(entries[i].ntfs_name) == fold) return &entries[i];
    }
    return nullptr;
  }

  std::optional<std::string> directory_like(std::int64_t parent, const std::u16string& name) {
    journal::Statement query =
        database_.prepare("SELECT name, ntfs FROM directory WHERE parent = ? AND fold = ?");
    query.bind(1, parent).bind(2, fold_hash(name));
    const std::u16string fold = ntfs::fold_case(name);
    while (query.step()) {
      if (ntfs::fold_case(stored_name(query, 0, 1)) == fold) return query.text(0);
    }
    return std::nullopt;
  }

  void rename(std::int64_t directory, const Entry& entry, const std::string& other,
              const std::string& table) {
    const Place place = directories_.place(directory);
    const std::string subject = printable(place.blob_prefix + entry.name);
    if (!substitute_names_) {
      draft_.log().problem("ntfs-name", subject,
                           "and " + printable(other) +
                               " are one name on NTFS, which does not tell "
                               "upper from lower case");
      return;
    }
    std::u16string name;
    unsigned attempt = 0;
    do {
      name = substitute_name(entry.name, attempt++);
      taken_.reset();
      taken_.bind(1, directory).bind(2, fold_hash(name));
      require(taken_.step(), "SQLite does not answer");
    } while (taken_.integer(0) != 0);
    taken_.reset();
    journal::Statement update =
        database_.prepare("UPDATE " + table + " SET ntfs = ?, fold = ? WHERE id = ?");
    update.bind(1, ByteView(utf16le(name))).bind(2, fold_hash(name)).bind(3, entry.id).run();
    draft_.log().warn("substitute-name", subject,
                      "is the same name as " + printable(other) + " on NTFS; stored as " +
                          place.file_prefix + utf8_from_utf16(name).value());
  }

  PlanDraft& draft_;
  const job::Dataset& dataset_;
  journal::Database& database_;
  const bool substitute_names_;
  DirectoryTable directories_;
  journal::Statement taken_;
};

}  // namespace

void resolve_name_collisions(PlanDraft& draft, const job::Dataset& dataset, bool substitute_names) {
  if (draft.names_may_collide()) CollisionResolver(draft, dataset, substitute_names).resolve();
}

}  // namespace driveprep::plan
