#include "tests/unit/ntfs/volume_fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>

namespace driveprep::ntfs::test {

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "driveprep-ntfs-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::unique_ptr<block::FileDevice> make_image(const std::filesystem::path& path, std::uint64_t size,
                                              SectorSize sector) {
  UniqueFd fd = posix::open(path, O_RDWR | O_CREAT | O_TRUNC, ErrorKind::kWrite);
  posix::ftruncate(fd.get(), size, path.string(), ErrorKind::kWrite);
  return std::make_unique<block::FileDevice>(std::move(fd), path.filename().string(), size, sector);
}

void export_device(const block::ReadableDevice& device, const std::filesystem::path& path) {
  const auto image = make_image(path, device.size(), device.sector_size());
  block::AlignedBuffer buffer(kMiB);
  for (std::uint64_t at = 0; at < device.size(); at += buffer.size()) {
    const auto part =
        buffer.span().first(std::min<std::uint64_t>(buffer.size(), device.size() - at));
    device.read(at, part);
    const bool empty = std::ranges::all_of(part, [](std::byte b) { return b == std::byte{0}; });
    if (!empty) image->write(at, part);
  }
}

void RecordingSink::write(Content content, std::uint64_t offset, block::AlignedBuffer data,
                          std::size_t length) {
  DirectSink::write(content, offset, std::move(data), length);
  writes.push_back({offset, length});
}

Bytes content_of(std::uint64_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(round_up(size, 8));
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    const std::uint64_t word = random() | 1;  // never all zeros
    std::memcpy(bytes.data() + i, &word, 8);
  }
  bytes.resize(size);
  return bytes;
}

FileTimes times_of(std::uint64_t seed) {
  const std::uint64_t base = 133'000'000'000'000'001 + seed * 1'000'000'007;
  return {{base}, {base + 12'345'678}, {base + 98'765'432'109}};
}

void write_large(VolumeWriter& writer, block::BlockDevice& device, std::u16string_view name,
                 const FileTimes& times, ByteView content) {
  const std::vector<ByteRange> ranges = writer.allocate(content.size());
  std::size_t done = 0;
  for (const ByteRange& range : ranges) {
    block::AlignedBuffer buffer(range.length);
    const std::size_t count = std::min<std::size_t>(range.length, content.size() - done);
    std::copy_n(content.begin() + done, count, buffer.span().begin());
    std::fill(buffer.span().begin() + count, buffer.span().end(), std::byte{0});
    device.write(range.offset, buffer.span());
    done += count;
  }
  writer.write_file(name, times, content.size(), ranges, content.size());
}

void checkpoint(VolumeWriter& writer) {
  writer.flush_data();
  writer.flush_metadata();
  writer.checkpoint_done();
}

void finish(VolumeWriter& writer) {
  writer.flush_data();
  writer.finish();
  writer.checkpoint_done();
  writer.close();
}

Bytes read_file(VolumeReader& reader, const block::ReadableDevice& device,
                std::u16string_view path) {
  const std::optional<FileInfo> info = reader.open(path);
  REQUIRE(info.has_value());
  if (info->resident) return info->content;
  Bytes bytes;
  for (const ByteRange& range : info->ranges) {
    const std::size_t at = bytes.size();
    bytes.resize(at + range.length);
    device.read(range.offset, MutableByteView(bytes).subspan(at));
  }
  REQUIRE(bytes.size() >= info->size);
  bytes.resize(info->size);
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(info->valid_length), bytes.end(),
            std::byte{0});
  return bytes;
}

namespace {

std::string path_of(const std::string& program) {
  for (const char* directory : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (::access((directory + program).c_str(), X_OK) == 0) return directory + program;
  }
  return {};
}

}  // namespace

bool have(const std::string& program) {
  if (!path_of(program).empty()) return true;
  WARN("SKIPPED in part: " << program << " is not installed");
  return false;
}

SubprocessResult run(const std::string& program, const std::vector<std::string>& arguments) {
  return run_subprocess(path_of(program), arguments);
}

std::string complaints(const std::filesystem::path& image) {
  std::string said;
  if (have("ntfsresize")) {
    const auto result = run("ntfsresize", {"--info", "--force", "--no-progress-bar", image});
    if (result.exit_status != 0) said += result.output;
  }
  if (have("ntfsfix")) {
    const auto result = run("ntfsfix", {"-n", image});
    if (result.exit_status != 0) said += result.output;
  }
  return said;
}

std::map<std::string, std::string> listed_by_sleuthkit(const std::filesystem::path& image) {
  // Through a file: the output of a program is kept only in part.
  const TemporaryDirectory directory;
  const std::filesystem::path out = directory / "listed";
  const auto result =
      run_subprocess("/bin/sh", {"-c", "fls -r -p -F -f ntfs \"$0\" > \"$1\"", image, out});
  REQUIRE(result.exit_status == 0);
  std::map<std::string, std::string> found;
  std::ifstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    // "r/r 64-128-2:\tdirectory/name"
    const std::size_t colon = line.find(":\t");
    const std::size_t space = line.rfind(' ', colon);
    if (colon == std::string::npos || space == std::string::npos) continue;
    found[line.substr(colon + 2)] = line.substr(space + 1, colon - space - 1);
  }
  return found;
}

Bytes extracted_by_sleuthkit(const std::filesystem::path& image, const std::string& record,
                             const TemporaryDirectory& directory) {
  const std::filesystem::path out = directory / "extracted";
  const auto result =
      run_subprocess("/bin/sh", {"-c", "icat -f ntfs \"$0\" \"$1\" > \"$2\"", image, record, out});
  REQUIRE(result.exit_status == 0);
  const std::string text = posix::read_file(out, kGiB, ErrorKind::kInternal);
  const ByteView bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

}  // namespace driveprep::ntfs::test
