#include "drive/block/redo_device.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/md5_lanes.h"
#include "base/posix.h"
#include "base/system_error.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::block {
namespace {

constexpr std::array<std::uint8_t, 8> kMagic = {'D', 'P', 'R', 'E', 'D', 'O', 0, 2};
constexpr std::size_t kHeaderSize = 8 + 3 * 8 + 32;
constexpr std::size_t kRecordHeaderSize = 16;
constexpr std::size_t kDigestPiece = 64 * kKiB;
constexpr std::size_t kCopyBytes = 16 * kDigestPiece;

struct Header {
  std::uint64_t number = 0;
  std::uint64_t record_count = 0;
  std::uint64_t total_bytes = 0;  // everything after the header
  Sha256 digest{};
};

Bytes serialise(const Header& header) {
  ByteWriter writer;
  writer.bytes(std::as_bytes(std::span(kMagic)));
  writer.u64(header.number).u64(header.record_count).u64(header.total_bytes);
  writer.bytes(header.digest);
  return writer.take();
}

Header parse_header(ByteView raw) {
  ByteReader reader(raw);
  const ByteView magic = reader.take(kMagic.size());
  if (!std::ranges::equal(magic, std::as_bytes(std::span(kMagic)))) {
    throw FormatError("not a redo file");
  }
  Header header;
  header.number = reader.u64();
  header.record_count = reader.u64();
  header.total_bytes = reader.u64();
  const ByteView digest = reader.take(header.digest.size());
  std::copy(digest.begin(), digest.end(), header.digest.begin());
  return header;
}

// Part of a record's data; all parts but the last are whole pieces.
void add_data(Digest& digest, ByteView data) {
  std::vector<ByteView> pieces;
  for (; data.size() > kDigestPiece; data = data.subspan(kDigestPiece)) {
    pieces.push_back(data.first(kDigestPiece));
  }
  pieces.push_back(data);
  std::vector<Md5> hashes(pieces.size());
  md5_lanes(pieces, hashes);
  for (const Md5& hash : hashes) digest.update(hash);
}

}  // namespace

RedoDevice::RedoDevice(BlockDevice& below, std::filesystem::path redo_path)
    : below_(below), path_(std::move(redo_path)) {}

void RedoDevice::begin(std::uint64_t number) {
  require(!recording_, "a redo recording is already open");
  in_job_directory([&] {
    if (!file_.valid()) {
      file_ = posix::open(path_, O_RDWR | O_CREAT | O_NOFOLLOW, ErrorKind::kWrite, 0600);
    }
    // The old header must be gone before new records overwrite what it vouches for.
    posix::ftruncate(file_.get(), 0, path_.string(), ErrorKind::kWrite);
  });
  records_.clear();
  digest_ = Digest(Digest::Algorithm::kSha256);
  number_ = number;
  position_ = kHeaderSize;
  recording_ = true;
}

void RedoDevice::write(std::uint64_t offset, ByteView data) {
  if (!recording_) {
    below_.write(offset, data);
    return;
  }
  check_range(*this, offset, data.size(), "write");
  if (data.empty()) return;
  ByteWriter header;
  header.u64(offset).u64(data.size());
  digest_.update(header.view());
  add_data(digest_, data);
  in_job_directory([&] {
    posix::pwrite_all(file_.get(), position_, header.view(), path_.string(), ErrorKind::kWrite);
    position_ += kRecordHeaderSize;
    posix::pwrite_all(file_.get(), position_, data, path_.string(), ErrorKind::kWrite);
  });
  records_.push_back({offset, data.size(), position_});
  position_ += data.size();
}

Sha256 RedoDevice::seal() {
  require(recording_, "no redo recording is open");
  Header header;
  header.number = number_;
  header.record_count = records_.size();
  header.total_bytes = position_ - kHeaderSize;
  const Bytes digest = digest_.finish();
  std::copy(digest.begin(), digest.end(), header.digest.begin());
  in_job_directory([&] {
    posix::pwrite_all(file_.get(), 0, serialise(header), path_.string(), ErrorKind::kWrite);
    posix::fsync(file_.get(), path_.string(), ErrorKind::kWrite);
    posix::fsync_directory(path_.parent_path().empty() ? "." : path_.parent_path(),
                           ErrorKind::kWrite);
  });
  return header.digest;
}

void RedoDevice::apply() {
  require(recording_, "no redo recording is open");
  copy_to_device(records_);
  recording_ = false;
  records_.clear();
}

void RedoDevice::abandon() {
  recording_ = false;
  records_.clear();
  // What follows an error is recorded in the same directory, which the file may have filled.
  if (file_.valid() && ::ftruncate(file_.get(), 0) != 0) file_ = UniqueFd();
}

bool RedoDevice::replay(std::uint64_t number, const Sha256& digest) {
  require(!recording_, "replay during a recording");
  std::optional<UniqueFd> file =
      posix::open_if_exists(path_, O_RDWR | O_NOFOLLOW, ErrorKind::kWrite);
  if (!file) return false;
  file_ = std::move(*file);

  Bytes raw(kHeaderSize);
  if (posix::pread_up_to(file_.get(), 0, raw, path_.string(), ErrorKind::kWrite) < kHeaderSize) {
    return false;
  }
  std::vector<Record> records;
  try {
    const Header header = parse_header(raw);
    if (header.number != number || header.digest != digest) return false;
    const auto file_size = static_cast<std::uint64_t>(
        posix::fstat(file_.get(), path_.string(), ErrorKind::kWrite).st_size);
    if (file_size < kHeaderSize || header.total_bytes > file_size - kHeaderSize) return false;

    // The digest does not cover the header: its numbers are held to each other.
    Digest check(Digest::Algorithm::kSha256);
    Bytes piece(kCopyBytes);
    std::uint64_t position = kHeaderSize;
    const std::uint64_t end = kHeaderSize + header.total_bytes;
    for (std::uint64_t i = 0; i < header.record_count; ++i) {
      if (end - position < kRecordHeaderSize) return false;
      Bytes head(kRecordHeaderSize);
      posix::pread_exact(file_.get(), position, head, path_.string(), ErrorKind::kWrite);
      check.update(head);
      ByteReader reader(head);
      Record record{reader.u64(), reader.u64(), position + kRecordHeaderSize};
      if (record.length > end - record.file_position) return false;
      for (std::uint64_t done = 0; done < record.length; done += piece.size()) {
        const MutableByteView part = MutableByteView(piece).first(
            std::min<std::uint64_t>(piece.size(), record.length - done));
        posix::pread_exact(file_.get(), record.file_position + done, part, path_.string(),
                           ErrorKind::kWrite);
        add_data(check, part);
      }
      position = record.file_position + record.length;
      records.push_back(record);
    }
    if (position != end) return false;
    const Bytes found = check.finish();
    if (!std::ranges::equal(found, digest)) return false;
  } catch (const FormatError&) {
    return false;
  }
  copy_to_device(records);
  return true;
}

void RedoDevice::copy_to_device(const std::vector<Record>& records) {
  AlignedBuffer buffer(kCopyBytes);
  for (const Record& record : records) {
    for (std::uint64_t done = 0; done < record.length; done += buffer.size()) {
      const MutableByteView part =
          buffer.span().first(std::min<std::uint64_t>(buffer.size(), record.length - done));
      posix::pread_exact(file_.get(), record.file_position + done, part, path_.string(),
                         ErrorKind::kWrite);
      below_.write(record.offset + done, part);
    }
  }
  below_.flush();
}

}  // namespace driveprep::block
