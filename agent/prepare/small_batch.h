// Small files on their way from the source reader to the volume copier, many at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/plan/plan_store.h"
#include "agent/prepare/source_failure.h"
#include "base/bytes.h"
#include "base/digest.h"

namespace driveprep::prepare {

// Files below this travel in batches; the others block by block.
inline constexpr std::uint64_t kSmallFileLimit = 1024 * 1024;

struct SmallFile {
  plan::FileItem item;    // size and times as found at the open
  std::size_t begin = 0;  // of its content in the batch
  std::optional<SourceFailure> failure;
};

// The memory of its content and of the texts of its files goes around.
class SmallBatch {
 public:
  SmallBatch(std::size_t most_files, std::size_t most_bytes);

  bool has_room(std::uint64_t size) const;
  // Exchanges `item` for one of an earlier use. Only while it has room.
  void add(plan::FileItem& item);
  void clear();

  bool empty() const { return count_ == 0; }
  std::span<const SmallFile> files() const { return std::span(files_).first(count_); }
  std::span<SmallFile> files() { return std::span(files_).first(count_); }
  ByteView content_of(const SmallFile& file) const {
    return ByteView(content_).subspan(file.begin, file.item.size);
  }
  MutableByteView content_of(const SmallFile& file) {
    return MutableByteView(content_).subspan(file.begin, file.item.size);
  }
  // The MD5 of each file, in vector lanes.
  std::vector<Md5> hashes() const;

 private:
  std::vector<SmallFile> files_;
  std::size_t count_ = 0;
  Bytes content_;
  std::size_t used_ = 0;
};

}  // namespace driveprep::prepare
