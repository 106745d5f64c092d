// The drive manifest (DriveManifest.xml) as values, and the rules its blobs obey
// (docs/job-directory.md, "Drive manifest"). Writer and reader share them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/units.h"

namespace driveprep::manifest {

inline constexpr std::string_view kManifestVersion = "2014-11-01";
inline constexpr std::string_view kManifestFileName = "DriveManifest.xml";
// As the service is told: relative to the volume, with a backslash.
inline constexpr std::string_view kManifestFilePath = "\\DriveManifest.xml";

inline constexpr std::uint64_t kPieceLength = 4 * kMiB;
inline constexpr std::uint64_t kMaxBlocks = 50'000;
// Longest piece this program handles: the service's largest block is 4000 MiB.
inline constexpr std::uint64_t kMaxPieceLength = 4000 * kMiB;
inline constexpr std::uint64_t kPageSize = 512;

enum class BlobType { kBlock, kPage };

enum class Disposition { kRename, kNoOverwrite, kOverwrite };
std::string_view to_string(Disposition disposition);  // "rename", "no-overwrite", "overwrite"
std::optional<Disposition> disposition_from(std::string_view name);

// The length of every block but the last of a block blob with `blob_length` bytes: 4 MiB, or the
// smallest multiple of it that keeps the blob within 50 000 blocks. nullopt when even the largest
// block is too small (above 190 TiB).
std::optional<std::uint32_t> block_length_for(std::uint64_t blob_length);

// A metadata or properties file on the drive.
struct AttachedFile {
  std::string path;  // drive-relative: '\' separated, starts with '\'
  Md5 hash{};
  friend bool operator==(const AttachedFile&, const AttachedFile&) = default;
};

struct ManifestHeader {
  std::string version{kManifestVersion};
  std::string drive_id;        // the serial; no white space
  std::string client_creator;  // empty: left out
  friend bool operator==(const ManifestHeader&, const ManifestHeader&) = default;
};

struct BlobList {
  std::string id;  // "session#n-m"; empty: left out
  std::optional<AttachedFile> metadata;
  std::optional<AttachedFile> properties;
  friend bool operator==(const BlobList&, const BlobList&) = default;
};

// A blob without its pieces.
struct BlobHeader {
  std::string blob_path;    // container/blob
  std::string file_path;    // drive-relative: '\' separated, starts with '\'
  std::string client_data;  // empty: left out
  std::string snapshot;     // only in the service's export manifests; empty: left out
  std::uint64_t length = 0;
  std::optional<Disposition> disposition;
  BlobType type = BlobType::kBlock;
  std::optional<AttachedFile> metadata;  // instead of those of the list
  std::optional<AttachedFile> properties;
  friend bool operator==(const BlobHeader&, const BlobHeader&) = default;
};

// A block or a page range.
struct Piece {
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  Md5 hash{};
  friend bool operator==(const Piece&, const Piece&) = default;
};

// Checks the pieces of one blob as they pass. Every function returns nullptr, or what is wrong.
class PieceRules {
 public:
  const char* begin(BlobType type, std::uint64_t blob_length);
  const char* piece(std::uint64_t offset, std::uint64_t length);
  const char* end() const;
  std::uint64_t count() const { return count_; }

 private:
  BlobType type_ = BlobType::kBlock;
  std::uint64_t blob_length_ = 0;
  std::uint64_t longest_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t count_ = 0;
};

// nullptr, or what is wrong with the value, to follow its name in a sentence.
// A drive-relative path is '\a\b': no '/', no empty component, no '.' or '..'.
const char* drive_path_problem(std::string_view path);
// A blob path is container/name.
const char* blob_path_problem(std::string_view path);
// A drive id has no white space.
const char* drive_id_problem(std::string_view id);
// The two published versions.
bool is_known_version(std::string_view version);

}  // namespace driveprep::manifest
