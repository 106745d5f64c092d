// Metadata and properties files: small XML documents that give every blob of a dataset row its
// metadata and HTTP properties (docs/job-directory.md). They are copied to the drive byte for byte.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace driveprep::job {

enum class BlobFileKind { kMetadata, kProperties };

inline constexpr std::uint64_t kMaxBlobFileBytes = 64 * 1024;
inline constexpr std::size_t kMaxMetadataBytes = 8 * 1024;

struct BlobFile {
  BlobFileKind kind = BlobFileKind::kMetadata;
  std::filesystem::path path;
  std::string content;                                       // as read
  std::vector<std::pair<std::string, std::string>> entries;  // element name, text

  const std::string* find(std::string_view name) const;
};

// Checks: well-formed, root <Metadata> or <Properties>, no document type, no nesting, no
// attributes. Metadata names are C# identifiers in ASCII, unique without regard to case, values are
// text that an HTTP header can carry, 8 KiB in all. Properties are Content-Type, Content-MD5,
// Content-Encoding, Content-Language, Cache-Control. Errors are kUsage and name file and line.
BlobFile parse_blob_file(BlobFileKind kind, std::string content, const std::filesystem::path& path);
BlobFile load_blob_file(BlobFileKind kind, const std::filesystem::path& path);

}  // namespace driveprep::job
