#include "agent/prepare/copy_pipeline.h"

#include <algorithm>
#include <utility>

#include "base/md5_lanes.h"
#include "base/zeros.h"

namespace driveprep::prepare {
namespace {

constexpr std::size_t kWriters = 2;  // keeps the drive busy while one write is being set up

}  // namespace

CopyPipeline::CopyPipeline(const bitlocker::EncryptedDevice& encryption, Below below,
                           std::uint64_t cluster_size, Options options)
    : encryption_(encryption),
      below_(below),
      cluster_size_(cluster_size),
      options_(std::move(options)),
      pool_(options_.buffers),
      work_(options_.buffers),
      writes_(options_.buffers) {
  for (std::size_t i = 0; i < options_.hashers; ++i) {
    threads_.emplace_back([this] { guarded([this] { run_hasher(); }); });
  }
  for (std::size_t i = 0; i < kWriters; ++i) {
    threads_.emplace_back([this] { guarded([this] { run_writer(); }); });
  }
}

CopyPipeline::~CopyPipeline() {
  pool_.close();
  work_.close();
  writes_.close();
  for (std::thread& thread : threads_) thread.join();
}

template <typename Body>
void CopyPipeline::guarded(Body body) {
  try {
    body();
  } catch (...) {
    fail(std::current_exception());
  }
}

// The cause is kept first and the waiting callers are woken last: whoever finds something closed,
// or comes back from drain(), finds the cause, and everything closed.
void CopyPipeline::fail(std::exception_ptr cause) {
  {
    std::scoped_lock lock(mutex_);
    if (!error_) error_ = std::move(cause);
  }
  pool_.close();
  work_.close();
  writes_.close();
  std::scoped_lock lock(mutex_);
  failed_ = true;
  idle_.notify_all();
}

void CopyPipeline::check() {
  std::scoped_lock lock(mutex_);
  if (error_) std::rethrow_exception(error_);
}

void CopyPipeline::add_outstanding(std::size_t count) {
  std::scoped_lock lock(mutex_);
  outstanding_ += count;
}

void CopyPipeline::one_done() {
  std::scoped_lock lock(mutex_);
  if (--outstanding_ == 0) idle_.notify_all();
}

bool CopyPipeline::submit(std::vector<Block> group) {
  if (group.empty()) return !failed_;
  add_outstanding(group.size());
  for (const Block& block : group) block.file->submitted = block.offset + block.length;
  return work_.push(std::move(group));
}

void CopyPipeline::write(Content content, std::uint64_t offset, block::AlignedBuffer data,
                         std::size_t length) {
  check();
  add_outstanding(1);
  if (!work_.push(Staged{offset, std::move(data), length, content})) check();
}

block::AlignedBuffer CopyPipeline::new_buffer() {
  static_assert(prepare::kBufferBytes == DataSink::kBufferBytes, "they come from one pool");
  std::optional<block::AlignedBuffer> buffer = pool_.take();
  if (!buffer) {
    check();
    internal_error("the copy pipeline was closed while it was in use");
  }
  return std::move(*buffer);
}

void CopyPipeline::drain() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return outstanding_ == 0 || failed_; });
  if (failed_) std::rethrow_exception(error_);
}

void CopyPipeline::run_hasher() {
  while (std::optional<Work> work = work_.pop()) {
    if (auto* group = std::get_if<std::vector<Block>>(&*work)) {
      process(std::move(*group));
    } else {
      Staged& staged = std::get<Staged>(*work);
      encryption_.encrypt(staged.offset, staged.buffer.span().first(staged.length));
      hand_over({std::move(staged.buffer), {{staged.offset, 0, staged.length}}, 0, staged.content});
    }
  }
}

void CopyPipeline::process(std::vector<Block> group) {
  hash(group);
  for (Block& block : group) hand_over(encrypt(std::move(block)));
}

void CopyPipeline::hash(const std::vector<Block>& group) {
  std::vector<ByteView> views;
  std::vector<const Block*> hashed;
  for (const Block& block : group) {
    if (!block.hash) continue;
    views.push_back(block.buffer.span().first(block.length));
    hashed.push_back(&block);
  }
  std::vector<Md5> digests(views.size());
  md5_lanes(views, digests);
  for (std::size_t i = 0; i < hashed.size(); ++i) {
    LargeFile& file = *hashed[i]->file;
    const std::size_t slot = (hashed[i]->offset - file.resume_from) / file.piece_length;
    file.hashes[slot] = digests[i];
    if (file.type == manifest::BlobType::kPage) file.present[slot] = !all_zero(views[i]);
  }
}

CopyPipeline::WriteTask CopyPipeline::encrypt(Block block) {
  // Behind the end of the file the last cluster is zeros, never what the buffer held before.
  const std::size_t padded = round_up(block.length, cluster_size_);
  std::fill(block.buffer.span().begin() + block.length, block.buffer.span().begin() + padded,
            std::byte{0});

  WriteTask task{{}, {}, block.length};
  std::uint64_t range_begin = 0;  // in the file
  for (const ByteRange& range : block.file->ranges()) {
    const std::uint64_t begin = std::max(range_begin, block.offset);
    const std::uint64_t end = std::min(range_begin + range.length, block.offset + padded);
    if (begin < end) {
      const Piece piece{range.offset + (begin - range_begin), begin - block.offset, end - begin};
      encryption_.encrypt(piece.offset, block.buffer.span().subspan(piece.begin, piece.length));
      task.pieces.push_back(piece);
    }
    range_begin += range.length;
  }
  task.buffer = std::move(block.buffer);
  return task;
}

void CopyPipeline::hand_over(WriteTask task) {
  // A closed queue drops the task: the pipeline has failed and nobody waits for it.
  writes_.push(std::move(task));
}

void CopyPipeline::run_writer() {
  while (std::optional<WriteTask> task = writes_.pop()) {
    if (options_.before_write) options_.before_write();
    block::BlockDevice& place =
        task->content == Content::kStructures ? below_.structures : below_.files;
    for (const Piece& piece : task->pieces) {
      place.write(piece.offset, task->buffer.span().subspan(piece.begin, piece.length));
    }
    pool_.give_back(std::move(task->buffer));
    if (options_.on_written && task->bytes > 0) options_.on_written(task->bytes);
    one_done();
  }
}

}  // namespace driveprep::prepare
