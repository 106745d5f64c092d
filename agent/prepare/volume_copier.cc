#include "agent/prepare/volume_copier.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "agent/prepare/times.h"
#include "base/posix.h"

namespace driveprep::prepare {
namespace {

// A checkpoint bounds the memory of the metadata cache, the work lost by a kill, and the time until
// a failing drive is noticed.
constexpr std::chrono::seconds kCheckpointInterval{30};
constexpr std::chrono::milliseconds kLookForCheckpoint{500};

std::vector<Md5> present_hashes(const LargeFile& file, std::size_t first, std::size_t last) {
  std::vector<Md5> hashes;
  hashes.reserve(last - first);
  for (std::size_t i = first; i < last; ++i) {
    if (file.present.empty() || file.present[i]) hashes.push_back(file.hashes[i]);
  }
  return hashes;
}

// The record for the pieces of [begin, end) of a large file.
manifest::FileHashes large_record(const LargeFile& file, manifest::SpoolStatus status,
                                  std::uint64_t begin, std::uint64_t end) {
  const std::size_t first = (begin - file.resume_from) / file.piece_length;
  const std::size_t last = (end - file.resume_from + file.piece_length - 1) / file.piece_length;
  manifest::FileHashes record;
  record.number = file.item.number;
  record.status = status;
  record.type = file.type;
  record.piece_length = file.piece_length;
  record.begin = begin;
  record.length = end;
  record.hashes = present_hashes(file, first, last);
  if (!file.present.empty()) {
    record.present.assign(file.present.begin() + static_cast<std::ptrdiff_t>(first),
                          file.present.begin() + static_cast<std::ptrdiff_t>(last));
  }
  return record;
}

}  // namespace

VolumeCopier::VolumeCopier(Parts parts, CopyHooks hooks)
    : parts_(std::move(parts)),
      hooks_(std::move(hooks)),
      walk_(parts_.plan, parts_.writer),
      last_checkpoint_(std::chrono::steady_clock::now()) {}

CopyOutcome VolumeCopier::run(const CopyState& state, ReadRequest request) {
  state_ = state;
  retries_ = request.retries;
  request.first_number = state.next_file;
  request.bytes_done = state.bytes_done;
  request.partial_valid = state.partial ? state.partial->valid_length : 0;
  state_.partial.reset();
  write_attachments();

  CopyOutcome outcome;
  SourceReader reader(std::move(request), parts_.pipeline);
  for (bool more = true; more;) {
    // Within a large file there is no message for long; checkpoints are due all the same.
    std::optional<SourceMessage> message = reader.next(kLookForCheckpoint);
    if (!message) {
      // Nothing to do but to look at the clock.
    } else if (auto* batch = std::get_if<SmallBatch>(&*message)) {
      handle(*batch);
      reader.give_back(std::move(*batch));
    } else if (auto* begin = std::get_if<LargeBegin>(&*message)) {
      handle(std::move(*begin));
    } else if (auto* end = std::get_if<LargeEnd>(&*message)) {
      handle(std::move(*end));
    } else if (auto* unopened = std::get_if<Unopened>(&*message)) {
      handle(std::move(*unopened));
    } else if (std::holds_alternative<Paused>(*message)) {
      checkpoint();
      pausing_ = false;
      reader.resume();
    } else {
      outcome.stopped = std::get<EndOfSources>(*message).stopped;
      more = false;
    }
    if (more && !pausing_ && checkpoint_due()) {
      pausing_ = true;
      reader.request_pause();
    }
  }
  checkpoint();
  outcome.failures = failure_count_;
  outcome.state = state_;
  return outcome;
}

bool VolumeCopier::checkpoint_due() const {
  return parts_.writer.dirty_bytes() >= parts_.changed_metadata ||
         std::chrono::steady_clock::now() - last_checkpoint_ >= kCheckpointInterval;
}

void VolumeCopier::write_attachments() {
  for (const plan::Attachment& attachment : parts_.plan.attachments(parts_.drive)) {
    walk_.go_to(attachment.directory_id);
    if (parts_.writer.find(attachment.ntfs_name)) continue;
    const FileTime now = FileTime::now();
    parts_.writer.write_small(attachment.ntfs_name, {now, now, now}, as_bytes(attachment.content));
  }
}

void VolumeCopier::handle(const SmallBatch& batch) {
  std::uint64_t bytes = 0;
  const std::vector<Md5> hashes = batch.hashes();
  for (std::size_t i = 0; const SmallFile& file : batch.files()) {
    const Md5& hash = hashes[i++];
    if (file.failure) {
      record_failure(file.item, *file.failure);
      continue;
    }
    const ByteView content = batch.content_of(file);
    walk_.go_to(file.item.directory_id);
    parts_.writer.write_small(file.item.ntfs_name, file_times(file.item.times), content);
    Ended ended;
    ended.number = file.item.number;
    ended.length = file.item.size;
    ended.hash = hash;
    if (file.item.type == job::ItemType::kPageBlob) {
      ended.type = manifest::BlobType::kPage;
      ended.left_out = std::ranges::all_of(content, [](std::byte b) { return b == std::byte{0}; });
    }
    ended_.push_back(std::move(ended));
    done(file.item.number, file.item.size);
    bytes += file.item.size;
  }
  if (hooks_.on_small_bytes) hooks_.on_small_bytes(bytes);
}

void VolumeCopier::handle(LargeBegin begin) {
  LargeFile& file = *begin.file;
  walk_.go_to(file.item.directory_id);
  std::optional<ntfs::ExistingFile> found = parts_.writer.find(file.item.ntfs_name);
  const bool same_size = found && !found->directory && found->size == file.item.size;
  if (file.resume_from > 0 && (!same_size || found->valid_length < file.resume_from)) {
    throw Error(ErrorKind::kJournalMismatch, "partial-file-missing",
                "the journal says that a part of " + file.item.source_path +
                    " is on the drive, but the drive does not have it",
                "Find out what else has written to the drive.");
  }
  std::vector<ByteRange> ranges;
  if (same_size && !found->ranges.empty()) {
    // Begun by an earlier run: its clusters are taken over, with or without what is in them.
    ranges = std::move(found->ranges);
    length_lowered_ = true;
  } else {
    if (found) parts_.writer.remove(file.item.ntfs_name);
    ranges = parts_.writer.allocate(file.item.size);
    // Counts as whole: a checkpoint in between lowers it to what is safe then.
    parts_.writer.write_file(file.item.ntfs_name, file_times(file.item.times), file.item.size,
                             ranges, file.item.size);
    length_lowered_ = false;
  }
  parts_end_ = file.resume_from;
  in_flight_ = begin.file;
  file.set_ranges(std::move(ranges));
}

void VolumeCopier::handle(LargeEnd end) {
  require(in_flight_ == end.file, "the end of a file that was not begun");
  LargeFile& file = *end.file;
  in_flight_.reset();
  if (end.failure) {
    parts_.writer.remove(file.item.ntfs_name);
    record_failure(file.item, *end.failure);
    return;
  }
  if (length_lowered_) {
    parts_.writer.set_valid_length(file.item.ntfs_name, file.item.size,
                                   file_times(file.item.times));
  }
  Ended ended;
  ended.number = file.item.number;
  ended.length = file.item.size;
  ended.type = file.type;
  ended.parts_end = parts_end_;
  ended.large = std::move(end.file);
  done(file.item.number, file.item.size);
  ended_.push_back(std::move(ended));
}

void VolumeCopier::handle(Unopened unopened) {
  // A part of it may be on the drive from an earlier run.
  walk_.go_to(unopened.item.directory_id);
  if (parts_.writer.find(unopened.item.ntfs_name)) parts_.writer.remove(unopened.item.ntfs_name);
  record_failure(unopened.item, unopened.failure);
}

void VolumeCopier::record_failure(const plan::FileItem& item, const SourceFailure& failure) {
  ++failure_count_;
  journal::Failure record;
  record.file = item.number;
  record.path = item.source_path;
  record.code = failure.code;
  record.message = failure.message;
  if (hooks_.on_failure) hooks_.on_failure(record);
  failures_.push_back(std::move(record));
  Ended ended;
  ended.number = item.number;
  ended.failed = true;
  ended_.push_back(std::move(ended));
  state_.next_file = std::max(state_.next_file, item.number + 1);
}

void VolumeCopier::done(std::uint64_t number, std::uint64_t bytes) {
  if (std::ranges::binary_search(retries_, number)) recovered_.push_back(number);
  state_.next_file = std::max(state_.next_file, number + 1);
  state_.bytes_done += bytes;
  ++state_.files_done;
  if (hooks_.on_files) hooks_.on_files(1);
}

void VolumeCopier::spool_hashes() {
  for (const Ended& ended : ended_) {
    if (ended.failed) {
      parts_.spool.append_failed(ended.number);
    } else if (ended.large) {
      parts_.spool.append(
          large_record(*ended.large, manifest::SpoolStatus::kDone, ended.parts_end, ended.length));
    } else {
      manifest::FileHashes record;
      record.number = ended.number;
      record.type = ended.type;
      record.length = ended.length;
      if (ended.length > 0 && !ended.left_out) record.hashes = {ended.hash};
      if (ended.type == manifest::BlobType::kPage && ended.length > 0) {
        record.present = {static_cast<std::uint8_t>(ended.left_out ? 0 : 1)};
      }
      parts_.spool.append(record);
    }
  }
  ended_.clear();
}

void VolumeCopier::checkpoint() {
  parts_.writer.flush_data();
  parts_.pipeline.drain();
  spool_hashes();
  state_.partial.reset();
  const bool partial = in_flight_ && !std::ranges::binary_search(retries_, in_flight_->item.number);
  if (in_flight_) {
    const LargeFile& file = *in_flight_;
    const std::uint64_t safe = round_down(file.submitted, file.piece_length);
    parts_.writer.set_valid_length(file.item.ntfs_name, safe, file_times(file.item.times));
    length_lowered_ = true;
    if (partial && safe > 0) {
      if (safe > parts_end_) {
        parts_.spool.append(large_record(file, manifest::SpoolStatus::kPart, parts_end_, safe));
        parts_end_ = safe;
      }
      state_.partial = journal::PartialFile{file.item.number, safe};
    }
  }
  parts_.checkpointer.make(Checkpointer::Kind::kMore, state_, std::exchange(failures_, {}),
                           std::exchange(recovered_, {}));
  last_checkpoint_ = std::chrono::steady_clock::now();
}

void VolumeCopier::complete_directories() {
  plan::DirectoryCursor cursor = parts_.plan.directories(parts_.drive);
  plan::Directory directory;
  while (cursor.next(directory)) walk_.go_to(directory.id);
  walk_.go_to_root();
}

void VolumeCopier::write_root_file(std::u16string_view name, const std::filesystem::path& path) {
  walk_.go_to_root();
  if (parts_.writer.find(name)) parts_.writer.remove(name);
  const UniqueFd fd = posix::open(path, O_RDONLY, ErrorKind::kWrite);
  const auto size =
      static_cast<std::uint64_t>(posix::fstat(fd.get(), path.string(), ErrorKind::kWrite).st_size);
  const FileTime now = FileTime::now();
  const ntfs::FileTimes times{now, now, now};
  if (size < kSmallFileLimit) {
    Bytes content(size);
    posix::pread_exact(fd.get(), 0, content, path.string(), ErrorKind::kWrite);
    parts_.writer.write_small(name, times, content);
    return;
  }
  auto file = std::make_shared<LargeFile>();
  file->item.size = size;
  std::vector<ByteRange> ranges = parts_.writer.allocate(size);
  parts_.writer.write_file(name, times, size, ranges, size);
  file->set_ranges(std::move(ranges));
  for (std::uint64_t offset = 0; offset < size; offset += kBufferBytes) {
    std::optional<block::AlignedBuffer> buffer = parts_.pipeline.buffers().take();
    if (!buffer) break;
    Block block;
    block.file = file;
    block.offset = offset;
    block.length = std::min<std::uint64_t>(kBufferBytes, size - offset);
    block.hash = false;
    block.buffer = std::move(*buffer);
    posix::pread_exact(fd.get(), offset, block.buffer.span().first(block.length), path.string(),
                       ErrorKind::kWrite);
    std::vector<Block> group;
    group.push_back(std::move(block));
    if (!parts_.pipeline.submit(std::move(group))) break;
  }
  parts_.pipeline.check();
}

}  // namespace driveprep::prepare
