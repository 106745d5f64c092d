#include "agent/manifest/hash_spool.h"

#include <algorithm>
#include <cstring>

#include "base/posix.h"
#include "base/system_error.h"

namespace driveprep::manifest {
namespace {

constexpr std::string_view kMagic{"DPHASH\0\1", 8};
constexpr std::size_t kRecordHeader = 32;
constexpr std::size_t kBufferSize = kMiB;
constexpr const char* kRemedy = "Restore hashes.spool of this drive from a copy.";

struct RecordHeader {
  std::uint64_t number = 0;
  std::uint8_t status = 0;
  std::uint8_t kind = 0;
  std::uint16_t reserved = 0;
  std::uint32_t piece_length = 0;
  std::uint64_t length = 0;
  std::uint64_t begin = 0;

  static RecordHeader parse(ByteView raw) {
    ByteReader reader(raw);
    RecordHeader header;
    header.number = reader.u64();
    header.status = reader.u8();
    header.kind = reader.u8();
    header.reserved = reader.u16();
    header.piece_length = reader.u32();
    header.length = reader.u64();
    header.begin = reader.u64();
    return header;
  }
  void serialise(ByteWriter& out) const {
    out.u64(number).u8(status).u8(kind).u16(reserved).u32(piece_length).u64(length).u64(begin);
  }

  // nullptr, or what is wrong with the header on its own.
  const char* problem() const {
    if (status < 1 || status > 3) return "an unknown status";
    if (kind > 1 || reserved != 0) return "an unknown kind";
    if (status == static_cast<std::uint8_t>(SpoolStatus::kFailed)) return nullptr;
    if (piece_length == 0 || piece_length > kMaxPieceLength) return "an impossible piece length";
    if (begin > length || begin % piece_length != 0) return "an impossible beginning";
    if (status == static_cast<std::uint8_t>(SpoolStatus::kPart) && length % piece_length != 0) {
      return "a part that ends within a piece";
    }
    return nullptr;
  }
};

std::uint64_t pieces_between(std::uint64_t begin, std::uint64_t length, std::uint32_t piece) {
  const std::uint64_t bytes = length - begin;
  return bytes / piece + (bytes % piece != 0);
}

}  // namespace

std::uint64_t FileHashes::piece_count() const {
  if (status == SpoolStatus::kFailed) return 0;
  return pieces_between(begin, length, piece_length);
}

HashSpoolWriter::HashSpoolWriter(const std::filesystem::path& path, std::uint64_t committed_length)
    : name_(path.string()),
      fd_(in_job_directory([&] {
        return posix::open(path, O_RDWR | O_CREAT | O_NOFOLLOW, ErrorKind::kWrite);
      })) {
  const auto size =
      static_cast<std::uint64_t>(posix::fstat(fd_.get(), name_, ErrorKind::kWrite).st_size);
  if (size < committed_length) {
    throw Error(ErrorKind::kJournalMismatch, "hash-spool-short",
                name_ + " has " + std::to_string(size) + " bytes, the journal counts on " +
                    std::to_string(committed_length),
                kRemedy);
  }
  posix::ftruncate(fd_.get(), committed_length, name_, ErrorKind::kWrite);
  written_ = committed_length;
  if (committed_length == 0) {
    posix::fsync_directory(std::filesystem::absolute(path).parent_path(), ErrorKind::kWrite);
    buffer_.bytes(as_bytes(kMagic));
  }
}

void HashSpoolWriter::append(const FileHashes& file) {
  const RecordHeader header{file.number,
                            static_cast<std::uint8_t>(file.status),
                            static_cast<std::uint8_t>(file.type == BlobType::kPage),
                            0,
                            file.piece_length,
                            file.length,
                            file.begin};
  require(file.status != SpoolStatus::kFailed, "a failed file has no hashes to append");
  if (const char* problem = header.problem()) {
    internal_error("the hash record of file " + std::to_string(file.number) + " has " + problem);
  }
  const std::uint64_t pieces = file.piece_count();
  header.serialise(buffer_);
  if (file.type == BlobType::kPage) {
    require(file.present.size() == pieces, "a page blob's map has not one entry a piece");
    std::uint64_t present = 0;
    std::uint8_t bits = 0;
    for (std::size_t i = 0; i < pieces; ++i) {
      if (file.present[i] != 0) {
        bits = static_cast<std::uint8_t>(bits | 1U << (i % 8));
        ++present;
      }
      if (i % 8 == 7 || i + 1 == pieces) buffer_.u8(std::exchange(bits, std::uint8_t{0}));
    }
    require(file.hashes.size() == present, "a page blob has not one hash a present piece");
  } else {
    require(file.hashes.size() == pieces, "a block blob has not one hash a piece");
  }
  for (const Md5& hash : file.hashes) {
    buffer_.bytes(hash);
    if (buffer_.size() >= kBufferSize) drain();
  }
  if (buffer_.size() >= kBufferSize) drain();
}

void HashSpoolWriter::append_failed(std::uint64_t number) {
  RecordHeader header;
  header.number = number;
  header.status = static_cast<std::uint8_t>(SpoolStatus::kFailed);
  header.serialise(buffer_);
  if (buffer_.size() >= kBufferSize) drain();
}

std::uint64_t HashSpoolWriter::sync() {
  drain();
  in_job_directory([&] { posix::fdatasync(fd_.get(), name_, ErrorKind::kWrite); });
  return written_;
}

void HashSpoolWriter::drain() {
  const Bytes data = buffer_.take();
  buffer_ = {};
  in_job_directory(
      [&] { posix::pwrite_all(fd_.get(), written_, data, name_, ErrorKind::kWrite); });
  written_ += data.size();
}

HashSpoolReader::HashSpoolReader(const std::filesystem::path& path, std::uint64_t committed_length)
    : name_(path.string()), end_(committed_length), buffer_(kBufferSize) {
  if (committed_length == 0) return;
  fd_ = posix::open(path, O_RDONLY, ErrorKind::kJournalMismatch);
  const auto size = static_cast<std::uint64_t>(
      posix::fstat(fd_.get(), name_, ErrorKind::kJournalMismatch).st_size);
  if (size < committed_length) {
    throw Error(ErrorKind::kJournalMismatch, "hash-spool-short",
                name_ + " has " + std::to_string(size) + " bytes, the journal counts on " +
                    std::to_string(committed_length),
                kRemedy);
  }
  std::array<std::byte, kMagic.size()> magic{};
  fill(magic);
  if (as_text(magic) != kMagic) malformed(0, "another magic or version");
}

bool HashSpoolReader::next(FileHashes& file) {
  bool parts = false;
  while (position_ < end_) {
    const std::uint64_t at = position_;
    std::array<std::byte, kRecordHeader> raw{};
    fill(raw);
    const RecordHeader header = RecordHeader::parse(raw);
    if (const char* problem = header.problem()) malformed(at, problem);
    if (parts && header.number != file.number) malformed(at, "a file between the parts of another");
    const auto status = static_cast<SpoolStatus>(header.status);
    const BlobType type = header.kind == 1 ? BlobType::kPage : BlobType::kBlock;
    if (header.begin == 0 || status == SpoolStatus::kFailed) {
      file.hashes.clear();
      file.present.clear();
    } else if (!parts || header.begin != file.length || type != file.type ||
               header.piece_length != file.piece_length) {
      malformed(at, "a part that does not continue the one before it");
    }
    file.number = header.number;
    file.status = status;
    file.type = type;
    file.piece_length = header.piece_length;
    file.length = header.length;
    file.begin = 0;
    if (status == SpoolStatus::kFailed) return true;
    read_hashes(file, at, pieces_between(header.begin, header.length, header.piece_length));
    if (status == SpoolStatus::kDone) return true;
    parts = true;
  }
  return false;
}

void HashSpoolReader::read_hashes(FileHashes& file, std::uint64_t at, std::uint64_t pieces) {
  std::uint64_t count = pieces;
  if (file.type == BlobType::kPage) {
    const std::uint64_t map_bytes = pieces / 8 + (pieces % 8 != 0);
    if (map_bytes > end_ - position_) malformed(at, "a map longer than the spool");
    Bytes map(map_bytes);
    fill(map);
    count = 0;
    for (std::uint64_t i = 0; i < map_bytes * 8; ++i) {
      const bool set = (std::to_integer<unsigned>(map[i / 8]) >> (i % 8) & 1) != 0;
      if (i < pieces) {
        file.present.push_back(set);
        count += set;
      } else if (set) {
        malformed(at, "a map with pieces behind the end of the file");
      }
    }
  }
  if (count > (end_ - position_) / sizeof(Md5)) {
    malformed(at, "more hashes than the spool has room for");
  }
  const std::size_t before = file.hashes.size();
  file.hashes.resize(before + count);
  fill(std::as_writable_bytes(std::span(file.hashes).subspan(before)));
}

void HashSpoolReader::fill(MutableByteView out) {
  if (out.size() > end_ - position_) malformed(position_, "the end of the spool within a record");
  while (!out.empty()) {
    if (position_ >= buffer_start_ + buffered_) {
      buffer_start_ = position_;
      buffered_ =
          static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), end_ - position_));
      posix::pread_exact(fd_.get(), buffer_start_, MutableByteView(buffer_).first(buffered_), name_,
                         ErrorKind::kJournalMismatch);
    }
    const auto from = static_cast<std::size_t>(position_ - buffer_start_);
    const std::size_t count = std::min(out.size(), buffered_ - from);
    std::memcpy(out.data(), buffer_.data() + from, count);
    out = out.subspan(count);
    position_ += count;
  }
}

void HashSpoolReader::malformed(std::uint64_t at, const char* problem) const {
  throw Error(ErrorKind::kJournalMismatch, "hash-spool-malformed",
              name_ + ": the record at byte " + std::to_string(at) + " has " + problem, kRemedy);
}

}  // namespace driveprep::manifest
