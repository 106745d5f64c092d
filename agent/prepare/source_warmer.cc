#include "agent/prepare/source_warmer.h"

#include <fcntl.h>

#include <future>
#include <system_error>

#include "agent/prepare/small_batch.h"
#include "base/units.h"

namespace driveprep::prepare {
namespace {

using Clock = std::chrono::steady_clock;

// A file of which everything is in memory takes about 10 microseconds, from a disk 100 and more.
constexpr std::chrono::microseconds kQuickLook{15};
constexpr std::chrono::microseconds kSlowRead{50};
constexpr std::size_t kFilesToJudge = 128;
constexpr std::size_t kThreads = 4;  // mostly waiting for a directory entry or an inode
// A thousand files are looked at ahead: together they shall not push others out of the cache.
constexpr std::uint64_t kLargestToWarm = 128 * kKiB;
static_assert(kLargestToWarm < kSmallFileLimit);

}  // namespace

SourceWarmer::SourceWarmer(const job::Dataset& dataset, bool follow_links) {
  for (std::size_t i = 0; i < kThreads; ++i) openers_.emplace_back(dataset, follow_links);
}

void SourceWarmer::look(std::span<const plan::FileItem> files) {
  if (!warming()) return;
  std::vector<std::future<Looked>> others;
  try {
    for (std::size_t i = 1; i < openers_.size(); ++i) {
      others.push_back(std::async(std::launch::async, [this, files, i] { return look(files, i); }));
    }
  } catch (const std::system_error&) {  // no more threads: the copy goes on without this
    warming_ = false;
    return;
  }
  Looked all = look(files, 0);
  for (std::future<Looked>& other : others) {
    const Looked looked = other.get();
    all.files += looked.files;
    all.time += looked.time;
  }
  if (all.files >= kFilesToJudge && all.time < all.files * kQuickLook) warming_ = false;
}

// Every kThreads-th file, so that the first ones are ready first.
SourceWarmer::Looked SourceWarmer::look(std::span<const plan::FileItem> files, std::size_t first) {
  Looked looked;
  const Clock::time_point begun = Clock::now();
  for (std::size_t i = first; i < files.size(); i += openers_.size()) {
    if (files[i].size > kLargestToWarm) continue;
    ++looked.files;
    const UniqueFd fd = openers_[first].open(files[i]);
    if (fd.valid()) ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_WILLNEED);
  }
  looked.time = Clock::now() - begun;
  return looked;
}

void SourceWarmer::took(std::chrono::nanoseconds time, std::size_t files) {
  spent_ += time;
  counted_ += files;
  if (counted_ < kFilesToJudge) return;
  if (spent_ > counted_ * kSlowRead) warming_ = true;
  counted_ = 0;
  spent_ = {};
}

}  // namespace driveprep::prepare
