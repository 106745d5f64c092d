#include "agent/erase/erase_disk.h"

#include <openssl/rand.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/zeros.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::erase {
namespace {

constexpr std::uint64_t kPiece = 4 * kMiB;
constexpr std::uint64_t kFlushEvery = kGiB;
constexpr std::uint64_t kEnds = kMiB;
constexpr std::size_t kMarks = 32;
constexpr std::uint64_t kMostUnwritable = 10'000;  // such a disk takes seconds for each of them

class Erasing {
 public:
  Erasing(const EraseRequest& request, EraseReport& report)
      : request_(request), disk_(request.disk), report_(report) {}

  void run() {
    if (stopping()) return;  // the disk is as it was
    // What the headers lead to goes within a second; looking for the rest takes longer.
    report_.before = named_key_places(disk_, request_.partitions);
    report_.before.everywhere = request_.method == Method::kMetadata && request_.partitions.empty();
    destroy_keys();
    const bool whole = search_key_places(disk_, report_.before, {request_.progress, request_.stop});
    destroy_keys();
    report_.metadata_destroyed = whole && !keys_failed_;
    report_.stopped = !whole;
    if (!whole && keys_failed_) throw *keys_failed_;
    if (!whole) return;
    if (report_.metadata_destroyed) report_.keys_gone = FileTime::now();
    if (request_.progress != nullptr) {
      request_.progress->begin(report::Phase::kErasing,
                               request_.method == Method::kMetadata ? 0 : disk_.size());
    }
    switch (request_.method) {
      case Method::kOverwrite: overwrite(); break;
      case Method::kDiscard: discard(); break;
      case Method::kMetadata: break;
    }
    if (!report_.stopped) remove_signatures();
    if (keys_failed_) throw *keys_failed_;
    report_.contents_gone = !report_.stopped;
  }

 private:
  void remove_signatures() {
    try {
      if (request_.remove_signatures) request_.remove_signatures();
      disk_.flush();
    } catch (const Error& error) {
      if (!keys_failed_ || error.kind() == ErrorKind::kBusy) throw;  // else keys are the worse loss
    }
  }

  // All that are not destroyed yet. A place that cannot be written saves neither the others nor the
  // rest of the disk, and the wipe fails at its end.
  void destroy_keys() {
    std::vector<KeyPlace> done;
    for (const KeyPlace& place : report_.before.places) {
      if (std::ranges::find(report_.destroyed, place.range, &KeyPlace::range) !=
          report_.destroyed.end()) {
        continue;
      }
      if (auto error = fill_with_noise(place.range)) {
        if (!keys_failed_) keys_failed_ = keys_left(*error);
      } else {
        done.push_back(place);
      }
    }
    disk_.flush();
    std::ranges::move(done, std::back_inserter(report_.destroyed));
  }

  static Error keys_left(const Error& error) {
    return Error(error.kind(), error.code(),
                 std::string(error.what()) + ": keys of a BitLocker volume may still be there",
                 "Check cable and port, and run the same command again; if it stays, do not let "
                 "this drive out of your hands: destroy it.");
  }

  // Not zeros: a disk that reports zeros without having written them would keep the keys. Of a
  // range with a bad block the others are written. An error counts even if trying again helps.
  std::optional<Error> fill_with_noise(const ByteRange& range) {
    const block::AlignedBuffer noise = noise_of(range.length);
    const std::optional<Error> failed = write_failed(range.offset, noise.span());
    for (std::uint64_t at = 0; failed && at < range.length; at += kSampleBytes) {
      write_failed(range.offset + at,
                   noise.span().subspan(at, std::min(kSampleBytes, range.length - at)));
    }
    return failed;
  }

  static block::AlignedBuffer noise_of(std::uint64_t length) {
    block::AlignedBuffer noise(length);
    if (RAND_bytes(uchars(noise.span()), static_cast<int>(length)) != 1) {
      throw Error(ErrorKind::kKey, "random-failed", "the random number generator failed",
                  "Check that the system's generator works (dd if=/dev/random), then run again.");
    }
    return noise;
  }

  std::optional<Error> write_failed(std::uint64_t offset, ByteView data) {
    try {
      disk_.write(offset, data);
      return std::nullopt;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kBusy) throw;  // it has gone
      return error;
    }
  }

  bool stopping() {
    if (request_.stop == nullptr || !*request_.stop) return false;
    report_.stopped = true;
    return true;
  }

  // The ends, where tables lie, last: until then the disk shows what it was.
  void overwrite() {
    const std::uint64_t size = disk_.size();
    const std::uint64_t first = std::min(kEnds, size);         // where the one end ends
    const std::uint64_t last = std::max(first, size - first);  // and the other one begins
    zero({first, last - first});
    zero({last, size - last});
    zero({0, first});
    if (keys_failed_ || !first_failure_) return;
    throw unwritable_ > 0 ? unwritable() : *first_failure_;
  }

  // Writes what can be written: one bad block saves no other one. Returns how many bytes were. An
  // error counts even if trying again helps.
  std::uint64_t write_around(std::uint64_t offset, ByteView data) {
    const std::optional<Error> failed = write_failed(offset, data);
    if (!failed) return data.size();
    if (!first_failure_) first_failure_ = failed;
    std::uint64_t written = 0;
    for (std::size_t at = 0; at < data.size() && !stopping(); at += kSampleBytes) {
      const ByteView block = data.subspan(at, std::min(kSampleBytes, data.size() - at));
      if (!write_failed(offset + at, block)) {
        written += block.size();
        continue;
      }
      if (unwritable_++ == 0) first_unwritable_ = offset + at;
      if (unwritable_ == kMostUnwritable) throw keys_failed_ ? *keys_failed_ : unwritable();
    }
    return written;
  }

  Error unwritable() const {
    return Error(ErrorKind::kWrite, "wipe-unwritable",
                 disk_.name() + " has " + std::to_string(unwritable_) +
                     (unwritable_ == kMostUnwritable ? " or more" : "") +
                     " blocks of 4096 bytes that cannot be written, the first at byte " +
                     std::to_string(first_unwritable_) + ": they may hold what they held",
                 "The keys of its BitLocker volumes are gone; for the rest, destroy this drive.");
  }

  void zero(const ByteRange& range) {
    const block::AlignedBuffer zeros = zeros_of(std::min(kPiece, range.length));
    std::uint64_t unflushed = 0;
    for (std::uint64_t at = range.offset; at < range.end() && !stopping();) {
      const std::uint64_t length = std::min(kPiece, range.end() - at);
      if (request_.before_each) request_.before_each();
      unflushed += write_around(at, zeros.span().first(length));
      at += length;
      if (request_.progress != nullptr) request_.progress->add_bytes(length);
      if (unflushed >= kFlushEvery) {
        disk_.flush();
        report_.covered += std::exchange(unflushed, 0);
      }
    }
    disk_.flush();
    report_.covered += unflushed;
  }

  static block::AlignedBuffer zeros_of(std::uint64_t length) {
    block::AlignedBuffer zeros(length);
    std::ranges::fill(zeros.span(), std::byte{0});
    return zeros;
  }

  void discard() {
    write_marks();
    remember_samples();
    for (std::uint64_t at = 0; at < disk_.size() && !stopping();) {
      const std::uint64_t length = std::min(kFlushEvery, disk_.size() - at);
      if (request_.before_each) request_.before_each();
      request_.discard({at, length});
      at += length;
      report_.covered += length;
      if (request_.progress != nullptr) request_.progress->add_bytes(length);
    }
  }

  // A disk that was nearly empty could do nothing, and show nothing of it.
  void write_marks() {
    std::vector<std::uint64_t> places = random_places(disk_.size(), std::random_device()());
    std::ranges::shuffle(places, std::mt19937_64(std::random_device()()));
    for (std::size_t i = 0; i < std::min(places.size(), kMarks); ++i) {
      const std::uint64_t length = std::min<std::uint64_t>(kSampleBytes, disk_.size() - places[i]);
      block::AlignedBuffer noise = noise_of(length);
      if (write_failed(places[i], noise.span())) continue;
      report_.held.push_back({places[i], Bytes(noise.span().begin(), noise.span().end())});
    }
    disk_.flush();
  }

  // A place that cannot be read cannot show afterwards that it has changed; others can.
  void remember_samples() {
    block::AlignedBuffer buffer(kSampleBytes);
    for (const std::uint64_t at : random_places(disk_.size(), std::random_device()())) {
      const MutableByteView bytes =
          buffer.span().first(std::min<std::uint64_t>(kSampleBytes, disk_.size() - at));
      try {
        disk_.read(at, bytes);
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::kBusy) throw;  // it has gone
        continue;
      }
      if (!all_zero(bytes)) report_.held.push_back({at, Bytes(bytes.begin(), bytes.end())});
    }
  }

  const EraseRequest& request_;
  block::BlockDevice& disk_;
  EraseReport& report_;
  std::optional<Error> keys_failed_;    // the first of each
  std::optional<Error> first_failure_;  // of the rest
  std::uint64_t unwritable_ = 0;        // blocks
  std::uint64_t first_unwritable_ = 0;
};

}  // namespace

void erase_disk(const EraseRequest& request, EraseReport& report) {
  Erasing(request, report).run();
}

}  // namespace driveprep::erase
