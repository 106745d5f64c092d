#include "agent/prepare/small_batch.h"

#include "base/md5_lanes.h"

namespace driveprep::prepare {

std::vector<Md5> SmallBatch::hashes() const {
  std::vector<ByteView> views;
  views.reserve(files.size());
  for (const SmallFile& file : files) views.push_back(content_of(file));
  std::vector<Md5> hashes(views.size());
  md5_lanes(views, hashes);
  return hashes;
}

}  // namespace driveprep::prepare
