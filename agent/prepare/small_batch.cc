#include "agent/prepare/small_batch.h"

#include <utility>

#include "base/error.h"
#include "base/md5_lanes.h"

namespace driveprep::prepare {

SmallBatch::SmallBatch(std::size_t most_files, std::size_t most_bytes)
    : files_(most_files), content_(most_bytes) {}

bool SmallBatch::has_room(std::uint64_t size) const {
  return count_ < files_.size() && size <= content_.size() - used_;
}

void SmallBatch::add(plan::FileItem& item) {
  require(has_room(item.size), "a batch of small files is full");
  SmallFile& file = files_[count_++];
  std::swap(file.item, item);
  file.begin = used_;
  file.failure.reset();
  used_ += file.item.size;
}

void SmallBatch::clear() {
  count_ = 0;
  used_ = 0;
}

std::vector<Md5> SmallBatch::hashes() const {
  std::vector<ByteView> views;
  views.reserve(count_);
  for (const SmallFile& file : files()) views.push_back(content_of(file));
  std::vector<Md5> hashes(views.size());
  md5_lanes(views, hashes);
  return hashes;
}

}  // namespace driveprep::prepare
