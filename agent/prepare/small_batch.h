// Small files on their way from the source reader to the volume copier, many at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/plan/plan_store.h"
#include "base/bytes.h"
#include "base/digest.h"

namespace driveprep::prepare {

// Files below this travel in batches; the others block by block.
inline constexpr std::uint64_t kSmallFileLimit = 1024 * 1024;

struct SourceFailure {
  std::string code;     // "source-missing", "source-unreadable", "source-changed"
  std::string message;  // names the file and the cause
};

struct SmallFile {
  plan::FileItem item;    // size and times as found at the open
  std::size_t begin = 0;  // of its content in the batch
  std::optional<SourceFailure> failure;
};

struct SmallBatch {
  Bytes content;  // longer than what is used of it: the memory goes around
  std::size_t used = 0;
  std::vector<SmallFile> files;

  ByteView content_of(const SmallFile& file) const {
    return ByteView(content).subspan(file.begin, file.item.size);
  }
  // The MD5 of each file, in vector lanes.
  std::vector<Md5> hashes() const;
};

}  // namespace driveprep::prepare
