#include "agent/plan/directory_table.h"

#include "base/utf16.h"

namespace driveprep::plan {

std::u16string stored_name(const journal::Statement& row, int name_column, int ntfs_column) {
  auto name = row.is_null(ntfs_column) ? utf16_from_utf8(row.text_view(name_column))
                                       : from_utf16le(row.blob(ntfs_column));
  require(name.has_value(), "the plan holds a name that is not well-formed");
  return std::move(*name);
}

Times stored_times(const journal::Statement& row, int first_column) {
  const auto time = [&](int column) {
    return FileTime{static_cast<std::uint64_t>(row.integer(first_column + column))};
  };
  return {time(0), time(1), time(2)};
}

DirectoryTable::DirectoryTable(journal::Database& database)
    : query_(database.prepare("SELECT id, parent, name, ntfs, created, modified, accessed "
                              "FROM directory WHERE id = ?")) {}

Directory DirectoryTable::row(const journal::Statement& query) {
  Directory directory;
  directory.id = query.integer(0);
  if (query.integer(1) != 0) directory.parent = query.integer(1);
  directory.ntfs_name = stored_name(query, 2, 3);
  if (!query.is_null(4)) directory.times = stored_times(query, 4);
  return directory;
}

Directory DirectoryTable::get(std::int64_t id) {
  query_.bind(1, id);
  if (!query_.step()) internal_error("the plan has no directory " + std::to_string(id));
  Directory directory = row(query_);
  query_.reset();
  return directory;
}

DirectoryTable::Step DirectoryTable::step(std::int64_t id) {
  query_.bind(1, id);
  if (!query_.step()) internal_error("the plan has no directory " + std::to_string(id));
  Step result{query_.integer(1), query_.text(2), {}};
  result.ntfs_name =
      query_.is_null(3) ? result.name : utf8_from_utf16(stored_name(query_, 2, 3)).value();
  query_.reset();
  return result;
}

Place DirectoryTable::place(std::int64_t id) {
  std::vector<Step> steps;
  while (id != 0) {
    steps.push_back(step(id));
    id = steps.back().parent;
  }
  Place place{"", "\\"};
  for (std::size_t i = steps.size(); i-- > 0;) {
    place.file_prefix += steps[i].ntfs_name + "\\";
    // The first directory is the session's, which is no part of the destination.
    if (i + 1 < steps.size()) place.blob_prefix += steps[i].name + "/";
  }
  return place;
}

}  // namespace driveprep::plan
