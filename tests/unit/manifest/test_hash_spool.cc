#include <catch2/catch.hpp>
#include <fstream>

#include "agent/manifest/hash_spool.h"
#include "base/posix.h"
#include "tests/unit/manifest/worked_example.h"

namespace driveprep::manifest {
namespace {

std::vector<Md5> hashes(std::size_t count, int seed) {
  std::vector<Md5> result;
  for (std::size_t i = 0; i < count; ++i) {
    result.push_back(md5(as_bytes(std::to_string(seed) + "/" + std::to_string(i))));
  }
  return result;
}

FileHashes block_file(std::uint64_t number, std::uint64_t length) {
  FileHashes file;
  file.number = number;
  file.length = length;
  file.hashes = hashes(file.piece_count(), static_cast<int>(number));
  return file;
}

FileHashes page_file(std::uint64_t number, std::vector<std::uint8_t> present) {
  FileHashes file;
  file.number = number;
  file.type = BlobType::kPage;
  file.length = present.size() * kPieceLength;
  std::size_t count = 0;
  for (const std::uint8_t one : present) count += one;
  file.hashes = hashes(count, static_cast<int>(number));
  file.present = std::move(present);
  return file;
}

FileHashes part(FileHashes file, std::uint64_t from_piece, std::uint64_t to_piece) {
  const auto first = static_cast<std::ptrdiff_t>(from_piece);
  const auto last = static_cast<std::ptrdiff_t>(to_piece);
  if (to_piece * file.piece_length < file.length) {
    file.status = SpoolStatus::kPart;
    file.length = to_piece * file.piece_length;
  }
  file.begin = from_piece * file.piece_length;
  file.hashes = {file.hashes.begin() + first, file.hashes.begin() + last};
  return file;
}

void check_equal(const FileHashes& a, const FileHashes& b) {
  CHECK(a.number == b.number);
  CHECK(a.status == b.status);
  CHECK(a.type == b.type);
  CHECK(a.piece_length == b.piece_length);
  CHECK(a.length == b.length);
  CHECK(a.begin == b.begin);
  CHECK(a.hashes == b.hashes);
  CHECK(a.present == b.present);
}

std::vector<FileHashes> read_all(const std::filesystem::path& path, std::uint64_t length) {
  HashSpoolReader reader(path, length);
  std::vector<FileHashes> files;
  FileHashes file;
  while (reader.next(file)) files.push_back(file);
  return files;
}

TEST_CASE("files come back from the spool in their order") {
  const test::ScratchDirectory directory;
  const auto path = directory.path() / "hashes";
  const std::vector<FileHashes> written = {
      block_file(0, 0), block_file(1, 1), block_file(2, kPieceLength), block_file(3, 5 * kPieceLength + 9),
      page_file(4, {1, 0, 0, 1, 1, 1, 1, 1, 0, 1}), page_file(5, {0, 0, 0}),
      page_file(6, {1, 1, 1, 1, 1, 1, 1, 1}), page_file(7, {})};
  HashSpoolWriter writer(path, 0);
  for (const FileHashes& file : written) writer.append(file);
  writer.append_failed(8);
  const std::uint64_t length = writer.sync();
  CHECK(length == std::filesystem::file_size(path));
  const std::vector<FileHashes> read = read_all(path, length);
  REQUIRE(read.size() == written.size() + 1);
  for (std::size_t i = 0; i < written.size(); ++i) {
    INFO(i);
    check_equal(read[i], written[i]);
  }
  CHECK(read.back().number == 8);
  CHECK(read.back().status == SpoolStatus::kFailed);
  CHECK(read.back().hashes.empty());
}

TEST_CASE("a spool is longer than the buffers of its writer and reader") {
  const test::ScratchDirectory directory;
  const auto path = directory.path() / "hashes";
  HashSpoolWriter writer(path, 0);
  const FileHashes large = block_file(1, 200'000ULL * kPieceLength);
  writer.append(large);
  for (std::uint64_t i = 2; i < 30'000; ++i) writer.append(block_file(i, i));
  const std::uint64_t length = writer.sync();
  HashSpoolReader reader(path, length);
  FileHashes file;
  REQUIRE(reader.next(file));
  check_equal(file, large);
  for (std::uint64_t i = 2; i < 30'000; ++i) {
    REQUIRE(reader.next(file));
    REQUIRE(file.number == i);
    REQUIRE(file.length == i);
    REQUIRE(file.hashes == hashes(1, static_cast<int>(i)));
  }
  CHECK_FALSE(reader.next(file));
}

TEST_CASE("what lies behind the committed length is ignored, then overwritten") {
  const test::ScratchDirectory directory;
  const auto path = directory.path() / "hashes";
  std::uint64_t committed = 0;
  {
    HashSpoolWriter writer(path, 0);
    writer.append(block_file(0, 10));
    committed = writer.sync();
    writer.append(block_file(1, 20));
    writer.sync();
  }
  std::ofstream(path, std::ios::app | std::ios::binary) << "torn";
  CHECK(read_all(path, committed).size() == 1);
  HashSpoolWriter writer(path, committed);
  writer.append(block_file(7, 30));
  const std::uint64_t length = writer.sync();
  CHECK(length == std::filesystem::file_size(path));
  const std::vector<FileHashes> files = read_all(path, length);
  REQUIRE(files.size() == 2);
  check_equal(files[0], block_file(0, 10));
  check_equal(files[1], block_file(7, 30));
}

TEST_CASE("a committed length of zero starts anew and reads as nothing") {
  const test::ScratchDirectory directory;
  const auto path = directory.path() / "hashes";
  CHECK(read_all(path, 0).empty());
  {
    HashSpoolWriter writer(path, 0);
    writer.append(block_file(0, 10));
    writer.sync();
  }
  HashSpoolWriter writer(path, 0);
  CHECK(read_all(path, writer.sync()).empty());
}

TEST_CASE("the parts of a long file are joined") {
  const test::ScratchDirectory directory;
  const auto path = directory.path() / "hashes";
  const FileHashes block = block_file(5, 9 * kPieceLength + 1);
  FileHashes page = page_file(6, {0, 1, 1, 0, 1});
  HashSpoolWriter writer(path, 0);
  writer.append(part(block, 0, 4));
  writer.append(part(block, 4, 8));
  writer.append(part(block, 8, 10));
  FileHashes first = page;
  first.status = SpoolStatus::kPart;
  first.length = 3 * kPieceLength;
  first.present = {0, 1, 1};
  first.hashes = {page.hashes[0], page.hashes[1]};
  writer.append(first);
  FileHashes rest = page;
  rest.begin = 3 * kPieceLength;
  rest.present = {0, 1};
  rest.hashes = {page.hashes[2]};
  writer.append(rest);
  const std::vector<FileHashes> files = read_all(path, writer.sync());
  REQUIRE(files.size() == 2);
  check_equal(files[0], block);
  check_equal(files[1], page);
}

TEST_CASE("a file that starts over, fails, or is not finished leaves no hashes of its parts") {
  const test::ScratchDirectory directory;
  const auto path = directory.path() / "hashes";
  HashSpoolWriter writer(path, 0);
  const FileHashes file = block_file(5, 3 * kPieceLength);
  writer.append(part(block_file(5, 9 * kPieceLength), 0, 4));
  writer.append(file);
  writer.append(part(block_file(6, 9 * kPieceLength), 0, 4));
  writer.append_failed(6);
  writer.append(part(block_file(7, 9 * kPieceLength), 0, 4));
  const std::vector<FileHashes> files = read_all(path, writer.sync());
  REQUIRE(files.size() == 2);
  check_equal(files[0], file);
  CHECK(files[1].number == 6);
  CHECK(files[1].status == SpoolStatus::kFailed);
  CHECK(files[1].hashes.empty());
}

TEST_CASE("a spool that is shorter than the journal says is refused") {
  const test::ScratchDirectory directory;
  const auto path = directory.path() / "hashes";
  CHECK(error_of([&] { HashSpoolReader(path, 100); }) == "journal-mismatch/open-failed");
  CHECK(error_of([&] { HashSpoolWriter(path, 100); }) == "journal-mismatch/hash-spool-short");
  CHECK(error_of([&] { HashSpoolReader(path, 100); }) == "journal-mismatch/hash-spool-short");
}

TEST_CASE("anything malformed within the committed length is refused") {
  const test::ScratchDirectory directory;
  const auto path = directory.path() / "hashes";
  const std::string magic("DPHASH\0\1", 8);
  const auto read = [&](const Bytes& records, const std::string& head) {
    const std::string text = head + std::string(as_text(records));
    std::ofstream(path, std::ios::binary) << text;
    return error_of([&] { read_all(path, text.size()); });
  };
  const auto record = [](std::uint64_t number, std::uint8_t status, std::uint8_t kind,
                         std::uint16_t reserved, std::uint32_t piece, std::uint64_t length,
                         std::uint64_t begin) {
    ByteWriter writer;
    writer.u64(number).u8(status).u8(kind).u16(reserved).u32(piece).u64(length).u64(begin);
    return writer;
  };
  const auto malformed = "journal-mismatch/hash-spool-malformed";
  CHECK(read(record(1, 1, 0, 0, 512, 0, 0).take(), magic) == "");
  CHECK(read({}, std::string("DPHASH\0\2", 8)) == malformed);
  CHECK(read({}, "DPHA") == malformed);
  CHECK(read(record(1, 0, 0, 0, 512, 0, 0).take(), magic) == malformed);
  CHECK(read(record(1, 4, 0, 0, 512, 0, 0).take(), magic) == malformed);
  CHECK(read(record(1, 1, 2, 0, 512, 0, 0).take(), magic) == malformed);
  CHECK(read(record(1, 1, 0, 1, 512, 0, 0).take(), magic) == malformed);
  CHECK(read(record(1, 1, 0, 0, 0, 0, 0).take(), magic) == malformed);
  CHECK(read(record(1, 1, 0, 0, 0xFFFF'FFFF, 0, 0).take(), magic) == malformed);
  CHECK(read(record(1, 1, 0, 0, 512, 512, 1024).take(), magic) == malformed);
  CHECK(read(record(1, 1, 0, 0, 512, 512, 100).take(), magic) == malformed);
  CHECK(read(record(1, 3, 0, 0, 512, 100, 0).zeros(16).take(), magic) == malformed);
  // Counts that would need more memory than the spool has bytes.
  CHECK(read(record(1, 1, 0, 0, 1, ~0ULL, 0).take(), magic) == malformed);
  CHECK(read(record(1, 1, 1, 0, 1, ~0ULL, 0).take(), magic) == malformed);
  CHECK(read(record(1, 1, 0, 0, 512, 512, 0).zeros(15).take(), magic) == malformed);
  CHECK(read(Bytes(31), magic) == malformed);
  // Bits of pieces behind the end.
  CHECK(read(record(1, 1, 1, 0, 512, 512, 0).u8(3).zeros(32).take(), magic) == malformed);
  // A part without the one before it, another file between, another piece length.
  CHECK(read(record(1, 1, 0, 0, 512, 1024, 512).zeros(16).take(), magic) == malformed);
  const Bytes start = record(1, 3, 0, 0, 512, 512, 0).zeros(16).take();
  const auto after = [&](ByteWriter second) {
    return read(ByteWriter().bytes(start).bytes(second.view()).take(), magic);
  };
  CHECK(after(record(1, 1, 0, 0, 512, 1024, 512).zeros(16)) == "");
  CHECK(after(record(2, 1, 0, 0, 512, 0, 0)) == malformed);
  CHECK(after(record(1, 1, 0, 0, 256, 768, 512).zeros(16)) == malformed);
  CHECK(after(record(1, 1, 0, 0, 512, 1536, 1024).zeros(16)) == malformed);
  CHECK(after(record(1, 1, 1, 0, 512, 1024, 512).u8(0)) == malformed);
}

TEST_CASE("a record that contradicts itself is a bug of the caller") {
  const test::ScratchDirectory directory;
  HashSpoolWriter writer(directory.path() / "hashes", 0);
  FileHashes file = block_file(1, 2 * kPieceLength);
  SECTION("a hash is missing") { file.hashes.pop_back(); }
  SECTION("a part ends within a piece") {
    file.status = SpoolStatus::kPart;
    file.length -= 1;
  }
  SECTION("failed with hashes") { file.status = SpoolStatus::kFailed; }
  SECTION("a page blob without a map") { file.type = BlobType::kPage; }
  SECTION("a map with other counts") {
    file.type = BlobType::kPage;
    file.present = {1, 0};
  }
  CHECK(error_of([&] { writer.append(file); }) == "internal/internal");
}

}  // namespace
}  // namespace driveprep::manifest
