// Reads the sources of one drive in plan order, on a thread of its own.
//
// Small files arrive in batches; a large file is announced, its blocks go to the
// pipeline as soon as the receiver has given it clusters, and its end is announced again. Messages
// come strictly in plan order. A source that cannot be read, or is not what was planned, is a
// failure of that file and nothing else.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "agent/plan/plan_store.h"
#include "agent/prepare/copy_pipeline.h"
#include "agent/prepare/large_file.h"
#include "agent/prepare/retry_allowance.h"
#include "agent/prepare/small_batch.h"
#include "agent/prepare/source_failure.h"
#include "agent/prepare/source_opener.h"
#include "agent/prepare/source_warmer.h"
#include "base/bounded_queue.h"

namespace driveprep::prepare {

struct LargeBegin {
  std::shared_ptr<LargeFile> file;
};
struct LargeEnd {
  std::shared_ptr<LargeFile> file;
  std::optional<SourceFailure> failure;
};
// A file that could not be opened; nothing of it was announced.
struct Unopened {
  plan::FileItem item;
  SourceFailure failure;
};
// Everything read so far has been submitted; the reader waits for resume().
struct Paused {};
// The last message. `stopped`: the run was asked to end before everything was read.
struct EndOfSources {
  bool stopped = false;
};
using SourceMessage =
    std::variant<SmallBatch, LargeBegin, LargeEnd, Unopened, Paused, EndOfSources>;

struct ReadRequest {
  std::filesystem::path plan_file;
  const job::Dataset* dataset = nullptr;  // what was planned; must outlive the reader
  bool follow_links = false;              // the job's policy for symbolic links in sources
  std::size_t drive = 0;
  std::vector<std::uint64_t> retries;  // file numbers that failed before, ascending; read first
  std::uint64_t first_number = 0;      // then everything from here on
  std::uint64_t bytes_done = 0;        // of the files before it that have not failed
  std::uint64_t partial_valid = 0;     // bytes of file `first_number` that are safe already
  const std::atomic<bool>* stop = nullptr;  // set: stop at the next block
};

class SourceReader {
 public:
  // Starts reading. Blocks of large files go to `pipeline`, which must outlive this.
  SourceReader(ReadRequest request, CopyPipeline& pipeline);
  SourceReader(const SourceReader&) = delete;
  SourceReader& operator=(const SourceReader&) = delete;
  ~SourceReader();

  // The next message, or nullopt when there is none for `wait`: a large file is being read. Throws
  // what ended the reader (or the pipeline) early.
  std::optional<SourceMessage> next(std::chrono::milliseconds wait);
  // Takes back the memory of a batch that is no longer needed.
  void give_back(SmallBatch batch);
  // Asks for a Paused message. After it, resume() continues the reading.
  void request_pause() { pause_requested_ = true; }
  void resume();

 private:
  void run();
  bool stop_requested() const;
  void pause_point();
  bool send(SourceMessage message);

  // Files that failed before; false when the reading has to end.
  bool read_retries(const plan::PlanStore& plan);
  // `allowance`: for a file that is taken as it is now, within these limits; null: as planned only.
  // `item`: its texts may be exchanged for those of another file.
  bool read_item(plan::FileItem& item, std::uint64_t resume_from, RetryAllowance* allowance);
  bool add_to_batch(plan::FileItem& item);
  bool read_large(plan::FileItem item, int fd, const struct stat& before,
                  std::uint64_t resume_from);
  std::optional<SourceFailure> read_blocks(LargeFile& file, std::shared_ptr<LargeFile> shared,
                                           int fd, bool& stopped);
  // False when the reading has to end; the batch is dropped then.
  bool flush_batch();
  std::optional<SourceFailure> read_small(const plan::FileItem& item, MutableByteView content);
  void flush_group();

  ReadRequest request_;
  CopyPipeline& pipeline_;
  SourceOpener opener_;
  SourceWarmer warmer_;
  static constexpr std::size_t kMessages = 8;
  BoundedQueue<SourceMessage> messages_{kMessages};
  BoundedQueue<SmallBatch> spare_{kMessages + 4};  // one more is read, one more is written, ...
  std::atomic<bool> pause_requested_{false};
  std::binary_semaphore resumed_{0};
  std::atomic<bool> abandoned_{false};
  std::atomic<bool> finished_{false};
  std::optional<SmallBatch> batch_;
  std::vector<Block> group_;
  std::shared_ptr<LargeFile> current_;  // announced, perhaps waiting for clusters
  std::mutex current_mutex_;
  std::thread thread_;
};

}  // namespace driveprep::prepare
