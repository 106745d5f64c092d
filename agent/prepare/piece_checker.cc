#include "agent/prepare/piece_checker.h"

#include <algorithm>
#include <utility>

#include "agent/prepare/buffer_pool.h"
#include "base/encoding.h"
#include "base/md5_lanes.h"

namespace driveprep::prepare {
namespace {

constexpr std::size_t kLargestGroup = 16;  // as many as there are vector lanes
constexpr std::size_t kMismatchesKept = 100;

// Calls `take(part)` for the bytes of a piece, front to back, in parts of at most a buffer.
void read_piece(const block::ReadableDevice& volume, const CheckPiece& piece,
                MutableByteView buffer, const std::function<void(ByteView)>& take) {
  std::uint64_t left = piece.length;
  std::size_t filled = 0;
  for (const ByteRange& range : piece.ranges) {
    for (std::uint64_t at = 0; at < range.length && left > 0;) {
      const std::uint64_t count =
          std::min({range.length - at, static_cast<std::uint64_t>(buffer.size() - filled),
                    round_up(left, block::kDirectAlignment)});
      volume.read(range.offset + at, buffer.subspan(filled, count));
      at += count;
      const std::uint64_t useful = std::min(count, left);
      filled += useful;
      left -= useful;
      if (filled == buffer.size() || left == 0) {
        take(buffer.first(filled));
        filled = 0;
      }
    }
  }
  require(left == 0, "a piece of a file has no place on the volume");
}

// A place beyond the volume is a fault of what the drive says; an error of reading may pass.
Mismatch unread(const CheckPiece& piece, const Error& error) {
  return {*piece.blob, piece.offset, std::string("cannot be read: ") + error.what(),
          error.kind() == ErrorKind::kWrite};
}

}  // namespace

PieceChecker::PieceChecker(const block::ReadableDevice& volume, Limits limits,
                           std::function<void(std::uint64_t)> on_bytes)
    : volume_(volume),
      group_size_(std::clamp<std::size_t>(limits.buffers / limits.threads, 1, kLargestGroup)),
      on_bytes_(std::move(on_bytes)),
      queue_(limits.threads) {
  for (std::size_t i = 0; i < limits.threads; ++i) {
    threads_.emplace_back([this] {
      try {
        run();
      } catch (...) {
        std::scoped_lock lock(mutex_);
        if (!error_) error_ = std::current_exception();
        queue_.close();
      }
    });
  }
}

PieceChecker::~PieceChecker() {
  queue_.close();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void PieceChecker::add(CheckPiece piece) {
  group_.push_back(std::move(piece));
  if (group_.size() == group_size_) flush();
}

void PieceChecker::flush() {
  if (!group_.empty()) queue_.push(std::exchange(group_, {}));
}

void PieceChecker::finish() {
  flush();
  queue_.close();
  for (std::thread& thread : threads_) thread.join();
  if (error_) std::rethrow_exception(error_);
}

void PieceChecker::report(Mismatch mismatch) {
  ++mismatch_count_;
  if (mismatch.unreadable) ++unreadable_count_;
  std::scoped_lock lock(mutex_);
  mismatches_.insert(std::ranges::upper_bound(mismatches_, mismatch), std::move(mismatch));
  if (mismatches_.size() > kMismatchesKept) mismatches_.pop_back();
}

void PieceChecker::run() {
  while (std::optional<std::vector<CheckPiece>> group = queue_.pop()) check(*group);
}

void PieceChecker::compare(const CheckPiece& piece, const Md5& found, bool zeros) {
  if (found == piece.expected) return;
  std::string what = "expected MD5 " + hex_upper(piece.expected) + ", found " + hex_upper(found);
  if (zeros) what += " (all zeros)";
  report({*piece.blob, piece.offset, std::move(what)});
}

void PieceChecker::check(std::vector<CheckPiece>& group) {
  thread_local std::vector<block::AlignedBuffer> buffers(kLargestGroup);
  std::vector<ByteView> views;
  std::vector<const CheckPiece*> pieces;
  for (const CheckPiece& piece : group) {
    if (piece.length > kBufferBytes) {
      check_long(piece);
      continue;
    }
    block::AlignedBuffer& buffer = buffers[views.size()];
    if (buffer.size() == 0) buffer = block::AlignedBuffer(kBufferBytes);
    try {
      read_piece(volume_, piece, buffer.span(), [&](ByteView) {});
    } catch (const Error& error) {
      report(unread(piece, error));
      continue;
    }
    views.push_back(buffer.span().first(piece.length));
    pieces.push_back(&piece);
  }
  std::vector<Md5> found(views.size());
  md5_lanes(views, found);
  for (std::size_t i = 0; i < views.size(); ++i) {
    const bool zeros = found[i] != pieces[i]->expected &&
                       std::ranges::all_of(views[i], [](std::byte b) { return b == std::byte{0}; });
    compare(*pieces[i], found[i], zeros);
    on_bytes_(pieces[i]->length);
  }
}

void PieceChecker::check_long(const CheckPiece& piece) {
  block::AlignedBuffer buffer(kBufferBytes);
  Digest digest(Digest::Algorithm::kMd5);
  try {
    read_piece(volume_, piece, buffer.span(), [&](ByteView part) { digest.update(part); });
  } catch (const Error& error) {
    report(unread(piece, error));
    return;
  }
  const Bytes raw = digest.finish();
  Md5 found;
  std::copy(raw.begin(), raw.end(), found.begin());
  compare(piece, found, false);
  on_bytes_(piece.length);
}

}  // namespace driveprep::prepare
