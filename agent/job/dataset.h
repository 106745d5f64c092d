// dataset.csv: what is shipped, one source a row, in any of the three header families:
//   BasePath,DstBlobPathOrPrefix,BlobType,Disposition,MetadataFile,PropertiesFile
//   BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile
//   BasePath,DstItemPathOrPrefix,ItemType
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/job/blob_files.h"

namespace driveprep::job {

enum class ItemType { kBlockBlob, kPageBlob, kFile };
enum class Disposition { kRename, kNoOverwrite, kOverwrite };
// As written in dataset.csv and in the manifest: "BlockBlob", "no-overwrite".
std::string_view to_string(ItemType type);
std::string_view to_string(Disposition disposition);

struct DatasetRow {
  unsigned line = 0;
  std::filesystem::path base_path;  // absolute, without a trailing slash
  bool is_directory = false;        // BasePath ends in a slash: everything below it
  std::string container;            // or share
  // Directory source: empty or "prefix/"; file source: the whole name of the blob.
  std::string name;
  ItemType type = ItemType::kBlockBlob;
  Disposition disposition = Disposition::kRename;
  std::shared_ptr<const BlobFile> metadata;    // null: none
  std::shared_ptr<const BlobFile> properties;  // null: none
};

enum class HeaderFamily { kBlobs, kItems, kItemsShort };

struct Dataset {
  std::filesystem::path file;
  HeaderFamily family = HeaderFamily::kItems;
  std::vector<DatasetRow> rows;  // at least one
};

// Relative paths start at the directory of `file`. Reads the metadata and properties files; does
// not look at the sources. Azure Files items are parsed; whoever plans them decides.
Dataset parse_dataset(std::string_view text, const std::filesystem::path& file);
Dataset load_dataset(const std::filesystem::path& file);

}  // namespace driveprep::job
