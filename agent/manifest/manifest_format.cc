#include "agent/manifest/manifest_format.h"

#include <algorithm>

namespace driveprep::manifest {

std::string_view to_string(Disposition disposition) {
  switch (disposition) {
    case Disposition::kRename: return "rename";
    case Disposition::kNoOverwrite: return "no-overwrite";
    case Disposition::kOverwrite: return "overwrite";
  }
  return "rename";
}

std::optional<Disposition> disposition_from(std::string_view name) {
  for (const Disposition disposition :
       {Disposition::kRename, Disposition::kNoOverwrite, Disposition::kOverwrite}) {
    if (to_string(disposition) == name) return disposition;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> block_length_for(std::uint64_t blob_length) {
  const std::uint64_t needed = blob_length / kMaxBlocks + (blob_length % kMaxBlocks != 0);
  const std::uint64_t length = std::max(kPieceLength, round_up(needed, kPieceLength));
  if (length > kMaxPieceLength) return std::nullopt;
  return static_cast<std::uint32_t>(length);
}

const char* PieceRules::begin(BlobType type, std::uint64_t blob_length) {
  type_ = type;
  blob_length_ = blob_length;
  longest_ = kPieceLength;
  end_ = 0;
  count_ = 0;
  if (type == BlobType::kPage) {
    return blob_length % kPageSize == 0 ? nullptr
                                        : "the length of a page blob is not a multiple of 512";
  }
  const std::optional<std::uint32_t> longest = block_length_for(blob_length);
  if (!longest) return "the blob is longer than 50000 of the largest blocks";
  longest_ = *longest;
  return nullptr;
}

const char* PieceRules::piece(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return "a piece of length 0";
  if (length > longest_) return "a piece is longer than the blob's length allows";
  if (offset > blob_length_ || length > blob_length_ - offset) {
    return "a piece ends behind the end of the blob";
  }
  if (type_ == BlobType::kBlock) {
    if (offset != end_) return "a block does not begin where the one before it ends";
    if (count_ == kMaxBlocks) return "more than 50000 blocks";
  } else {
    if (offset < end_) return "a page range overlaps the one before it, or comes too late";
    if (offset % kPageSize != 0 || length % kPageSize != 0) {
      return "a page range is not aligned to 512 bytes";
    }
  }
  end_ = offset + length;
  ++count_;
  return nullptr;
}

const char* PieceRules::end() const {
  if (type_ == BlobType::kBlock && end_ != blob_length_) {
    return "the blocks do not cover the whole blob";
  }
  return nullptr;
}

const char* drive_path_problem(std::string_view path) {
  if (!path.starts_with('\\')) return "does not begin with a backslash";
  if (path.find('/') != std::string_view::npos) return "has a slash";
  for (std::size_t start = 1;;) {
    const std::size_t end = std::min(path.find('\\', start), path.size());
    const std::string_view component = path.substr(start, end - start);
    if (component.empty()) return "has an empty component";
    if (component == "." || component == "..") return "has a component '.' or '..'";
    if (end == path.size()) return nullptr;
    start = end + 1;
  }
}

const char* blob_path_problem(std::string_view path) {
  const std::size_t slash = path.find('/');
  if (slash == 0) return "begins with a slash";
  if (slash == std::string_view::npos || slash + 1 == path.size()) {
    return "is not a container, a slash and a name";
  }
  return nullptr;
}

const char* drive_id_problem(std::string_view id) {
  if (id.empty()) return "is empty";
  if (id.find_first_of(" \t\r\n") != std::string_view::npos) return "has white space";
  return nullptr;
}

bool is_known_version(std::string_view version) {
  return version == kManifestVersion || version == "2011-10-01";
}

}  // namespace driveprep::manifest
