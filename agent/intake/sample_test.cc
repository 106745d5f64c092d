#include "agent/intake/sample_test.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "agent/intake/tags.h"
#include "base/zeros.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::intake {
namespace {

using Clock = std::chrono::steady_clock;

// A flush now and then bounds how late an error of writing comes to light.
constexpr std::uint64_t kFlushEvery = kGiB;
constexpr std::uint64_t kFewBits = 16;  // of a sector

std::uint64_t changed_bits(ByteView a, ByteView b) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    bits += static_cast<std::uint64_t>(std::popcount(std::to_integer<unsigned>(a[i] ^ b[i])));
  }
  return bits;
}

Finding classify(ByteView found, ByteView expected, std::uint64_t offset, const Guid& run) {
  Finding finding;
  finding.range = {offset, found.size()};
  if (all_zero(found)) {
    finding.defect = Defect::kZeros;
  } else if (const std::optional<Tag> tag = tag_of(found)) {
    finding.defect =
        tag->run == run && tag->offset != offset ? Defect::kOtherPlace : Defect::kOldRun;
    finding.written_at = tag->offset;
  } else if (const std::uint64_t bits = changed_bits(found, expected); bits <= kFewBits) {
    finding.defect = Defect::kFewBits;
    finding.bits = bits;
  }
  return finding;
}

bool continues(const Finding& before, const Finding& next) {
  if (before.defect != next.defect || before.range.end() != next.range.offset) return false;
  return next.defect != Defect::kOtherPlace ||
         next.written_at == before.written_at + before.range.length;
}

class Run {
 public:
  explicit Run(const SampleTest& test)
      : test_(test),
        sector_(test.device.sector_size()),
        result_{.places = test.places, .run = test.run},
        buffer_(largest_place()),
        expected_(buffer_.size()) {
    result_.states.resize(test.places.count(), PlaceState::kNotWritten);
  }

  SampleResult result() && {
    try {
      write();
      read();
    } catch (const Error& error) {
      result_.failure = error;
    }
    clear();
    std::ranges::sort(result_.findings, {}, [](const Finding& each) { return each.range.offset; });
    return std::move(result_);
  }

 private:
  std::size_t largest_place() const {
    std::uint64_t largest = kEndBytes;
    for (std::size_t i = 0; i < std::min<std::size_t>(test_.places.count(), 1024); ++i) {
      largest = std::max(largest, test_.places.at(i).length);
    }
    return largest;
  }

  bool stop() {
    if (test_.stop != nullptr && *test_.stop) result_.stopped = true;
    return result_.stopped;
  }
  void wait() {
    if (test_.before_each) test_.before_each();
  }
  void begin(report::Phase phase, std::uint64_t bytes) {
    if (test_.progress != nullptr) test_.progress->begin(phase, bytes);
  }
  void add(std::uint64_t bytes) {
    if (test_.progress != nullptr) test_.progress->add_bytes(bytes);
  }

  void write() {
    begin(report::Phase::kWriting, test_.places.bytes());
    const Clock::time_point start = Clock::now();
    std::uint64_t since_flush = 0;
    for (std::size_t i = 0; i < test_.places.count() && !stop(); ++i) {
      wait();
      const ByteRange place = test_.places.at(i);
      const MutableByteView block = buffer_.span().first(place.length);
      fill_with_tags(block, sector_, {test_.run, place.offset, i});
      result_.states[i] = PlaceState::kNotRead;
      test_.device.write(place.offset, block);
      result_.bytes_written += place.length;
      result_.writing = Clock::now() - start;
      add(place.length);
      since_flush += place.length;
      if (since_flush >= kFlushEvery) {
        test_.device.flush();
        since_flush = 0;
      }
    }
    test_.device.flush();
    result_.writing = Clock::now() - start;
  }

  void read() {
    if (stop()) return;
    const std::unique_ptr<block::ReadableDevice> reader = test_.open_for_reading();
    const std::uint64_t between =
        is_sample() ? std::min(test_.bytes_between, test_.device.size() / 2) : 0;
    begin(report::Phase::kVerifying, between + test_.places.bytes());
    read_between(*reader, between);
    const Clock::time_point start = Clock::now();
    for (const std::uint32_t i : random_order(test_.places.count(), seed_of(test_.run))) {
      if (stop()) break;
      if (unreadable_ >= kMostUnreadable) {
        result_.cut_short = true;
        break;
      }
      wait();
      result_.states[i] = came_back(*reader, i) ? PlaceState::kGood : PlaceState::kWrong;
      if (result_.states[i] == PlaceState::kWrong) ++result_.wrong_places;
      result_.bytes_read += test_.places.at(i).length;
      result_.reading = Clock::now() - start;
      add(test_.places.at(i).length);
    }
  }

  // From the middle on. That something there cannot be read says nothing of what was written.
  void read_between(const block::ReadableDevice& reader, std::uint64_t bytes) {
    const std::uint64_t from = round_down(test_.device.size() / 2, block::kDirectAlignment);
    for (std::uint64_t done = 0; done < bytes && !stop(); done += buffer_.size()) {
      const std::uint64_t length = std::min<std::uint64_t>(buffer_.size(), bytes - done);
      try {
        reader.read(from + done, buffer_.span().first(length));
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kWrite) throw;
        return;
      }
      add(length);
    }
  }

  bool came_back(const block::ReadableDevice& reader, std::size_t index) {
    const ByteRange place = test_.places.at(index);
    const MutableByteView found = buffer_.span().first(place.length);
    const MutableByteView expected = expected_.span().first(place.length);
    try {
      reader.read(place.offset, found);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kWrite) throw;  // it is gone
      ++unreadable_;
      Finding finding;
      finding.range = place;
      finding.defect = Defect::kUnreadable;
      finding.cause = error.what();
      keep(std::move(finding));
      return false;
    }
    fill_with_tags(expected, sector_, {test_.run, place.offset, index});
    if (std::memcmp(found.data(), expected.data(), found.size()) == 0) return true;
    std::optional<Finding> open;
    for (std::size_t at = 0; at < found.size(); at += sector_.bytes()) {
      const ByteView one = found.subspan(at, sector_.bytes());
      const ByteView wanted = expected.subspan(at, sector_.bytes());
      if (std::memcmp(one.data(), wanted.data(), one.size()) == 0) continue;
      Finding finding = classify(one, wanted, place.offset + at, test_.run);
      if (open && continues(*open, finding)) {
        open->range.length += finding.range.length;
        open->bits += finding.bits;
      } else {
        if (open) keep(std::move(*open));
        open = std::move(finding);
      }
    }
    keep(std::move(*open));
    return false;
  }

  void keep(Finding finding) {
    const std::uint64_t at = finding.range.offset;
    result_.lowest_wrong = result_.wrong_bytes == 0 ? at : std::min(result_.lowest_wrong, at);
    result_.wrong_bytes += finding.range.length;
    result_.bytes_by_defect[static_cast<std::size_t>(finding.defect)] += finding.range.length;
    if (finding.defect == Defect::kOtherPlace) {
      result_.wrap = std::gcd(result_.wrap,
                              std::max(at, finding.written_at) - std::min(at, finding.written_at));
    }
    if (result_.findings.size() < kMostFindings) result_.findings.push_back(std::move(finding));
  }

  // The places of a sample become zeros again; of a whole drive the ends, so that it does not look
  // like anything.
  void clear() {
    begin(report::Phase::kFinishing, 0);
    try {
      std::ranges::fill(buffer_.span(), std::byte{0});
      const std::uint64_t size = test_.device.size();
      const std::uint64_t last = round_down(size - kEndBytes, block::kDirectAlignment);
      zero({last, size - last});
      zero({0, kEndBytes});
      for (std::size_t i = 0; is_sample() && i < test_.places.count(); ++i) {
        if (result_.states[i] != PlaceState::kNotWritten) zero(test_.places.at(i));
      }
      test_.device.flush();
      result_.cleared = true;
    } catch (const Error& error) {
      result_.not_cleared = error;
    }
  }
  void zero(const ByteRange& range) {
    test_.device.write(range.offset, buffer_.span().first(range.length));
  }
  bool is_sample() const { return test_.places.bytes() < test_.device.size(); }

  const SampleTest& test_;
  SectorSize sector_;
  SampleResult result_;
  block::AlignedBuffer buffer_;
  block::AlignedBuffer expected_;
  std::uint64_t unreadable_ = 0;
};

}  // namespace

std::string_view to_string(Defect defect) {
  switch (defect) {
    case Defect::kOtherPlace: return "other-place";
    case Defect::kOldRun: return "old-run";
    case Defect::kZeros: return "zeros";
    case Defect::kFewBits: return "few-bits";
    case Defect::kCorrupted: return "corrupted";
    case Defect::kUnreadable: return "unreadable";
  }
  return "unknown";
}

std::uint64_t seed_of(const Guid& run) { return ByteReader(run.on_disk()).u64(); }

SampleResult run_sample(const SampleTest& test) { return Run(test).result(); }

}  // namespace driveprep::intake
