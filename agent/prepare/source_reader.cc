#include "agent/prepare/source_reader.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "agent/manifest/manifest_format.h"
#include "agent/plan/file_read_ahead.h"
#include "base/posix.h"

namespace driveprep::prepare {
namespace {

constexpr std::size_t kBatchFiles = 128;
constexpr std::size_t kBatchBytes = kSmallFileLimit;

manifest::BlobType blob_type(const plan::FileItem& item) {
  return item.type == job::ItemType::kPageBlob ? manifest::BlobType::kPage
                                               : manifest::BlobType::kBlock;
}

}  // namespace

SourceReader::SourceReader(ReadRequest request, CopyPipeline& pipeline)
    : request_(std::move(request)),
      pipeline_(pipeline),
      opener_(*request_.dataset, request_.follow_links),
      warmer_(*request_.dataset, request_.follow_links) {
  thread_ = std::thread([this] {
    try {
      run();
    } catch (...) {
      // The drive cannot go on without its sources' order: this is a fault of the plan or ours.
      pipeline_.fail(std::current_exception());
    }
    finished_ = true;
    messages_.close();
  });
}

SourceReader::~SourceReader() {
  abandoned_ = true;
  {
    std::scoped_lock lock(current_mutex_);
    if (current_) current_->give_up();
  }
  messages_.close();
  // An unfinished reader may be waiting for a buffer; the pipeline is of no use then anyway.
  if (!finished_) pipeline_.buffers().close();
  resumed_.release();
  thread_.join();
}

std::optional<SourceMessage> SourceReader::next(std::chrono::milliseconds wait) {
  std::optional<SourceMessage> message = messages_.pop_for(wait);
  if (!message) {
    pipeline_.check();
    if (messages_.is_finished()) internal_error("the source reader ended without a word");
  }
  return message;
}

void SourceReader::resume() { resumed_.release(); }

bool SourceReader::send(SourceMessage message) { return messages_.push(std::move(message)); }

bool SourceReader::stop_requested() const {
  return abandoned_ || pipeline_.failed() ||
         (request_.stop != nullptr && request_.stop->load(std::memory_order_relaxed));
}

void SourceReader::pause_point() {
  if (!pause_requested_.exchange(false)) return;
  const bool flushed = flush_batch();
  flush_group();
  if (flushed && send(Paused{})) resumed_.acquire();
}

void SourceReader::run() {
  const plan::PlanStore plan = plan::PlanStore::open(request_.plan_file);
  plan::FileReadAhead files(request_.plan_file, request_.drive, request_.first_number,
                            plan::ItemTexts::kCopy,
                            [this](std::span<const plan::FileItem> soon) { warmer_.look(soon); });
  plan::FileItem item;
  bool stopped = !read_retries(plan) || stop_requested();
  while (!stopped && files.next(item)) {
    const std::uint64_t resume_from =
        item.number == request_.first_number ? request_.partial_valid : 0;
    stopped = !read_item(item, resume_from, nullptr) || stop_requested();
  }
  if (!flush_batch()) stopped = true;
  flush_group();
  send(EndOfSources{stopped});
}

// They may have been put right since they failed: each is taken as it is now, if that still fits.
bool SourceReader::read_retries(const plan::PlanStore& plan) {
  if (request_.retries.empty()) return true;
  std::uint64_t planned = plan.bytes_before(request_.drive, request_.first_number);
  plan::FileItem item;
  const auto load = [&](std::uint64_t number) {
    plan::FileCursor cursor = plan.files(request_.drive, number);
    require(cursor.next(item) && item.number == number, "a failed file is not in the plan");
  };
  for (const std::uint64_t number : request_.retries) {
    load(number);
    planned -= item.size;
  }
  RetryAllowance allowance(
      plan.drives().at(request_.drive),
      static_cast<std::int64_t>(request_.bytes_done) - static_cast<std::int64_t>(planned));
  for (const std::uint64_t number : request_.retries) {
    load(number);
    if (!read_item(item, 0, &allowance)) return false;
  }
  return true;
}

// False when the reading has to end.
bool SourceReader::read_item(plan::FileItem& item, std::uint64_t resume_from,
                             RetryAllowance* allowance) {
  pause_point();
  if (allowance == nullptr && resume_from == 0 && item.size < kSmallFileLimit) {
    return add_to_batch(item);
  }
  const UniqueFd fd = opener_.open(item);
  struct stat status {};
  std::optional<SourceFailure> failure;
  if (!fd.valid()) {
    failure = source_not_opened(item, opener_, errno);
  } else if (::fstat(fd.get(), &status) != 0) {
    failure = source_unreadable(item, errno);
  } else if (allowance == nullptr || !S_ISREG(status.st_mode)) {
    failure = compare_with_plan(item, status);
  } else if (auto why = allowance->objection(item, static_cast<std::uint64_t>(status.st_size))) {
    failure = source_changed(item, *why);
  }
  if (failure) return flush_batch() && send(Unopened{std::move(item), std::move(*failure)});
  item.size = static_cast<std::uint64_t>(status.st_size);
  item.times.modified = FileTime::from_timespec(status.st_mtim);
  if (item.size < kSmallFileLimit && resume_from == 0) return add_to_batch(item);
  return flush_batch() && read_large(std::move(item), fd.get(), status, resume_from);
}

bool SourceReader::add_to_batch(plan::FileItem& item) {
  if (batch_ && !batch_->has_room(item.size) && !flush_batch()) return false;
  if (!batch_) batch_ = spare_.try_pop();
  if (!batch_) batch_.emplace(kBatchFiles, kBatchBytes);
  batch_->add(item);
  return true;
}

bool SourceReader::flush_batch() {
  if (!batch_ || batch_->empty()) return true;
  const auto begun = std::chrono::steady_clock::now();
  SmallBatch batch = std::move(*batch_);
  batch_.reset();
  for (SmallFile& file : batch.files()) {
    if (stop_requested()) return false;
    file.failure = read_small(file.item, batch.content_of(file));
  }
  warmer_.took(std::chrono::steady_clock::now() - begun, batch.files().size());
  return send(std::move(batch));
}

// Looked at once, when it has been read: whatever changed since the plan shows then. Half the time
// of a small file is system calls.
std::optional<SourceFailure> SourceReader::read_small(const plan::FileItem& item,
                                                      MutableByteView content) {
  const UniqueFd fd = opener_.open(item);
  if (!fd.valid()) return source_not_opened(item, opener_, errno);
  std::optional<SourceFailure> failure;
  try {
    if (posix::pread_up_to(fd.get(), 0, content, item.source_path, ErrorKind::kSource) !=
        content.size()) {
      failure = source_changed(item, "became shorter while it was read");
    }
  } catch (const Error& error) {
    failure = SourceFailure{"source-unreadable", error.what()};
  }
  // Says more than a failure to read does: a directory took the place of the file, for example.
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return source_unreadable(item, errno);
  if (auto difference = compare_with_plan(item, status)) return difference;
  return failure;
}

void SourceReader::give_back(SmallBatch batch) {
  batch.clear();
  spare_.push(std::move(batch));
}

// The files before the last one of a group have had their clusters for long.
void SourceReader::flush_group() {
  if (group_.empty()) return;
  std::vector<Block> group = std::exchange(group_, {});
  if (group.back().file->wait_for_ranges()) pipeline_.submit(std::move(group));
}

bool SourceReader::read_large(plan::FileItem item, int fd, const struct stat& before,
                              std::uint64_t resume_from) {
  auto file = std::make_shared<LargeFile>();
  file->type = blob_type(item);
  file->piece_length =
      file->type == manifest::BlobType::kPage
          ? kBufferBytes
          : manifest::block_length_for(item.size).value_or(manifest::kMaxPieceLength);
  file->resume_from = std::min(resume_from, item.size);
  file->submitted = file->resume_from;
  file->item = std::move(item);
  file->hashes.resize(file->pieces_behind_resume());
  if (file->type == manifest::BlobType::kPage) file->present.assign(file->hashes.size(), 1);
  {
    std::scoped_lock lock(current_mutex_);
    current_ = file;
    if (abandoned_) return false;
  }
  if (!send(LargeBegin{file})) return false;
  bool stopped = false;
  std::optional<SourceFailure> failure = read_blocks(*file, file, fd, stopped);
  if (stopped) return false;
  if (!failure) failure = compare_after_reading(file->item, before, fd);
  return send(LargeEnd{std::move(file), std::move(failure)});
}

std::optional<SourceFailure> SourceReader::read_blocks(LargeFile& file,
                                                       std::shared_ptr<LargeFile> shared, int fd,
                                                       bool& stopped) {
  const std::string name = file.item.source_path;
  // Pieces longer than a buffer (files above 195 GiB) are hashed here, in order; see the header of
  // md5_lanes for why the others are not.
  const bool hash_here = file.piece_length > kBufferBytes;
  Digest piece_digest(Digest::Algorithm::kMd5);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);

  for (std::uint64_t offset = file.resume_from; offset < file.item.size; offset += kBufferBytes) {
    pause_point();
    if (stop_requested()) {
      stopped = true;
      return std::nullopt;
    }
    std::optional<block::AlignedBuffer> buffer = pipeline_.buffers().take();
    if (!buffer) {
      stopped = true;
      return std::nullopt;
    }
    Block block;
    block.offset = offset;
    block.length = std::min<std::uint64_t>(kBufferBytes, file.item.size - offset);
    block.buffer = std::move(*buffer);
    block.hash = !hash_here;
    ::posix_fadvise(fd, static_cast<off_t>(offset + kBufferBytes), 2 * kBufferBytes,
                    POSIX_FADV_WILLNEED);
    const MutableByteView content = block.buffer.span().first(block.length);
    try {
      if (posix::pread_up_to(fd, offset, content, name, ErrorKind::kSource) != block.length) {
        pipeline_.buffers().give_back(std::move(block.buffer));
        return source_changed(file.item, "became shorter while it was read");
      }
    } catch (const Error& error) {
      pipeline_.buffers().give_back(std::move(block.buffer));
      return SourceFailure{"source-unreadable", error.what()};
    }
    if (hash_here) {
      piece_digest.update(content);
      const std::uint64_t end = offset + block.length;
      if (end % file.piece_length == 0 || end == file.item.size) {
        const Bytes digest = piece_digest.finish();
        const std::size_t slot = (end - 1 - file.resume_from) / file.piece_length;
        std::copy(digest.begin(), digest.end(), file.hashes[slot].begin());
        piece_digest = Digest(Digest::Algorithm::kMd5);
      }
    }
    block.file = shared;
    group_.push_back(std::move(block));
    if (group_.size() >= pipeline_.group()) flush_group();
  }
  if (!file.wait_for_ranges()) stopped = true;
  return std::nullopt;
}

}  // namespace driveprep::prepare
