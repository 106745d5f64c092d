#include "agent/job/dataset.h"

#include <array>
#include <map>
#include <optional>
#include <utility>

#include "agent/job/blob_names.h"
#include "agent/job/csv.h"
#include "base/ascii.h"
#include "base/posix.h"

namespace driveprep::job {
namespace {

constexpr std::uint64_t kMaxDatasetBytes = 64ULL << 20;

constexpr std::array<std::pair<ItemType, std::string_view>, 3> kItemTypes = {{
    {ItemType::kBlockBlob, "BlockBlob"},
    {ItemType::kPageBlob, "PageBlob"},
    {ItemType::kFile, "file"},
}};
constexpr std::array<std::pair<Disposition, std::string_view>, 3> kDispositions = {{
    {Disposition::kRename, "rename"},
    {Disposition::kNoOverwrite, "no-overwrite"},
    {Disposition::kOverwrite, "overwrite"},
}};

template <typename Table, typename Value>
std::string_view name_in(const Table& table, Value value) {
  for (const auto& [candidate, name] : table) {
    if (candidate == value) return name;
  }
  internal_error("a value without a name");
}

struct Columns {
  HeaderFamily family;
  std::string destination;
  std::string type;
};

Columns recognise_header(CsvTable& table) {
  const auto has = [&](std::string_view name) {
    for (const CsvField& field : table.header()) {
      if (field.text == name) return true;
    }
    return false;
  };
  const std::string tail[] = {"Disposition", "MetadataFile", "PropertiesFile"};
  if (has("DstBlobPathOrPrefix") || has("BlobType")) {
    table.expect({"BasePath", "DstBlobPathOrPrefix", "BlobType", tail[0], tail[1], tail[2]}, {});
    return {HeaderFamily::kBlobs, "DstBlobPathOrPrefix", "BlobType"};
  }
  if (has(tail[0]) || has(tail[1]) || has(tail[2])) {
    table.expect({"BasePath", "DstItemPathOrPrefix", "ItemType", tail[0], tail[1], tail[2]}, {});
    return {HeaderFamily::kItems, "DstItemPathOrPrefix", "ItemType"};
  }
  table.expect({"BasePath", "DstItemPathOrPrefix", "ItemType"}, {});
  return {HeaderFamily::kItemsShort, "DstItemPathOrPrefix", "ItemType"};
}

class RowParser {
 public:
  RowParser(const CsvTable& table, const Columns& columns, std::filesystem::path directory)
      : table_(table), columns_(columns), directory_(std::move(directory)) {}

  DatasetRow parse() {
    DatasetRow row;
    row.line = table_.line();
    base_path(row);
    type(row);
    destination(row);
    disposition(row);
    row.metadata = attached("MetadataFile", BlobFileKind::kMetadata);
    row.properties = attached("PropertiesFile", BlobFileKind::kProperties);
    if (row.is_directory && row.properties && row.properties->find("Content-MD5") != nullptr) {
      throw table_.error(
          table_.value("PropertiesFile"), "property-content-md5",
          row.properties->path.string() + " gives one Content-MD5 to every blob of a directory",
          "Remove <Content-MD5>; use it only for a row with a single file.");
    }
    return row;
  }

 private:
  void base_path(DatasetRow& row) {
    const CsvField& field = table_.value("BasePath");
    std::string text = field.text;
    if (text.empty()) {
      throw table_.error(field, "csv-base-path", "BasePath is empty",
                         "Name the directory (ending in '/') or the file to ship.");
    }
    const bool letter = text.size() >= 3 && text[1] == ':' && text[2] == '\\';
    if (letter || text.starts_with("\\\\")) {
      throw table_.error(field, "csv-windows-path", "BasePath \"" + text + "\" is a Windows path",
                         "Write the path under which this machine sees the files.");
    }
    if (text.find('\0') != std::string::npos) {
      throw table_.error(field, "csv-base-path", "BasePath has a zero byte", "Remove it.");
    }
    row.is_directory = text.ends_with('/') || text.ends_with('\\');
    while (text.size() > 1 && (text.ends_with('/') || text.ends_with('\\'))) text.pop_back();
    row.base_path = (directory_ / text).lexically_normal();
    if (!row.base_path.has_filename() && row.base_path != "/") {
      row.base_path = row.base_path.parent_path();
    }
  }

  void type(DatasetRow& row) {
    const CsvField& field = table_.value(columns_.type);
    for (const auto& [type, name] : kItemTypes) {
      if (ascii::lower(field.text) == ascii::lower(name)) {
        row.type = type;
        return;
      }
    }
    throw table_.error(field, "csv-item-type", columns_.type + " is \"" + field.text + "\"",
                       "Write BlockBlob or PageBlob.");
  }

  void destination(DatasetRow& row) {
    const CsvField& field = table_.value(columns_.destination);
    const std::string& text = field.text;
    const std::string shown = columns_.destination + " \"" + text + "\" ";
    const std::size_t slash = text.find('/');
    if (text.empty()) {
      throw table_.error(field, "csv-destination", columns_.destination + " is empty",
                         "Write container/prefix/ for a directory, container/blob for a file.");
    }
    if (slash == 0) {
      throw table_.error(field, "csv-destination", shown + "begins with '/'",
                         "Begin with the name of the container or share.");
    }
    if (text.ends_with('/') != row.is_directory) {
      throw table_.error(field, "csv-destination-kind",
                         row.is_directory
                             ? shown + "has no '/' at its end, but BasePath is a directory"
                             : shown +
                                   "ends in '/', but BasePath is a single file (it has no "
                                   "'/' at its end)",
                         "End both in '/' to ship a directory, none of them to ship one file.");
    }
    if (slash == std::string::npos) {
      throw table_.error(field, "csv-destination", shown + "names no blob in a container",
                         "Write container/blob.");
    }
    row.container = text.substr(0, slash);
    row.name = text.substr(slash + 1);
    if (const auto reason = check_container_name(row.container)) {
      throw table_.error(field, "container-name",
                         "the container name \"" + row.container + "\" " + *reason,
                         "Use 3 to 63 lower-case letters, digits and single hyphens, or $root, "
                         "$web, $logs.");
    }
    check_name(row, field);
  }

  void check_name(const DatasetRow& row, const CsvField& field) {
    std::string name = row.name;
    if (row.is_directory) {
      if (name.empty()) return;
      if (row.container == "$root") {
        throw table_.error(field, "blob-name",
                           "a prefix in $root cannot be: names there have no '/'",
                           "Use $root/ alone, or another container.");
      }
      name.pop_back();
    }
    if (const auto reason = check_blob_name(row.container, name)) {
      throw table_.error(
          field, "blob-name",
          (row.is_directory ? "the prefix \"" : "the blob name \"") + row.name + "\" " + *reason,
          "Choose another destination.");
    }
  }

  void disposition(DatasetRow& row) {
    if (columns_.family == HeaderFamily::kItemsShort) {
      // The build with the short header always overwrites.
      row.disposition = Disposition::kOverwrite;
      return;
    }
    const CsvField& field = table_.value("Disposition");
    if (field.text.empty()) return;
    for (const auto& [disposition, name] : kDispositions) {
      if (field.text == name) {
        row.disposition = disposition;
        return;
      }
    }
    throw table_.error(field, "csv-disposition", "Disposition is \"" + field.text + "\"",
                       "Write rename, no-overwrite or overwrite, in lower case.");
  }

  // One file is often named by many rows; it is read once.
  std::shared_ptr<const BlobFile> attached(const char* column, BlobFileKind kind) {
    const CsvField& field = table_.value(column);
    if (field.text.empty() || ascii::lower(field.text) == "none") return nullptr;
    const std::filesystem::path path = (directory_ / field.text).lexically_normal();
    auto& loaded = loaded_[{kind, path}];
    if (!loaded) {
      try {
        loaded = std::make_shared<const BlobFile>(load_blob_file(kind, path));
      } catch (const Error& cause) {
        throw table_.error(field, cause.code(), std::string(column) + ": " + cause.what(),
                           cause.remedy());
      }
    }
    return loaded;
  }

  const CsvTable& table_;
  const Columns& columns_;
  const std::filesystem::path directory_;
  std::map<std::pair<BlobFileKind, std::filesystem::path>, std::shared_ptr<const BlobFile>> loaded_;
};

}  // namespace

std::string_view to_string(ItemType type) { return name_in(kItemTypes, type); }
std::string_view to_string(Disposition disposition) { return name_in(kDispositions, disposition); }

Dataset parse_dataset(std::string_view text, const std::filesystem::path& file) {
  CsvTable table(text, file.string());
  const Columns columns = recognise_header(table);
  Dataset dataset{file, columns.family, {}};
  RowParser parser(table, columns, std::filesystem::absolute(file).parent_path());
  while (table.next()) dataset.rows.push_back(parser.parse());
  if (dataset.rows.empty()) {
    throw Error(ErrorKind::kUsage, "csv-no-rows", file.string() + " names no source",
                "Add a row for each directory or file to ship.");
  }
  return dataset;
}

Dataset load_dataset(const std::filesystem::path& file) {
  return parse_dataset(posix::read_file(file, kMaxDatasetBytes, ErrorKind::kUsage), file);
}

}  // namespace driveprep::job
