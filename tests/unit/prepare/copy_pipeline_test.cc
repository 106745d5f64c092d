#include <catch2/catch.hpp>

#include <random>

#include "agent/prepare/copy_pipeline.h"
#include "bitlocker/layout.h"
#include "drive/block/memory_device.h"
#include "drive/block/remembering_device.h"

using namespace driveprep;
using namespace driveprep::prepare;

namespace {

constexpr std::uint64_t kVolume = 256 * kMiB;
constexpr std::uint64_t kCluster = 4096;

struct Rig {
  block::MemoryDevice partition{kVolume};
  bitlocker::VolumeLayout layout =
      bitlocker::place_metadata(kVolume, SectorSize(512), kCluster, {});
  std::shared_ptr<const bitlocker::SectorCipher> cipher =
      std::make_shared<const bitlocker::SectorCipher>(bitlocker::Cipher::kXtsAes256,
                                                      SecretBytes::random(64), SectorSize(512));
  bitlocker::EncryptedDevice volume{partition, layout, cipher};
};

Bytes random_bytes(std::size_t size, unsigned seed) {
  std::mt19937 generator(seed);
  Bytes bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(generator());
  return bytes;
}

std::shared_ptr<LargeFile> file_of(std::uint64_t size, manifest::BlobType type) {
  auto file = std::make_shared<LargeFile>();
  file->item.size = size;
  file->type = type;
  file->hashes.resize(file->pieces_behind_resume());
  if (type == manifest::BlobType::kPage) file->present.assign(file->hashes.size(), 1);
  return file;
}

std::vector<Block> blocks_of(CopyPipeline& pipeline, const std::shared_ptr<LargeFile>& file,
                             ByteView content) {
  std::vector<Block> blocks;
  for (std::uint64_t offset = 0; offset < content.size(); offset += kBufferBytes) {
    Block block;
    block.file = file;
    block.offset = offset;
    block.length = std::min<std::uint64_t>(kBufferBytes, content.size() - offset);
    block.buffer = pipeline.buffers().take().value();
    std::ranges::fill(block.buffer.span(), std::byte{0xEE});
    std::ranges::copy(content.subspan(offset, block.length), block.buffer.span().begin());
    blocks.push_back(std::move(block));
  }
  return blocks;
}

}  // namespace

TEST_CASE("a file arrives encrypted in its clusters, hashed block by block, zeros behind its end") {
  Rig rig;
  const std::uint64_t size = 2 * kBufferBytes + 5000;
  const Bytes content = random_bytes(size, 1);
  auto file = file_of(size, manifest::BlobType::kBlock);
  std::atomic<std::uint64_t> written{0};
  CopyPipeline::Options options;
  options.buffers = 8;
  options.on_written = [&](std::uint64_t bytes) { written += bytes; };
  CopyPipeline pipeline(rig.volume, {rig.partition, rig.partition}, kCluster, options);
  // In three pieces, none of which begins or ends with a block.
  const std::vector<ByteRange> ranges = {
      {100 * kMiB, kMiB}, {120 * kMiB, 5 * kMiB}, {140 * kMiB, 4 * kMiB}};
  file->set_ranges(ranges);
  REQUIRE(pipeline.submit(blocks_of(pipeline, file, content)));
  pipeline.drain();

  Bytes found;
  for (const ByteRange& range : ranges) {
    Bytes part(range.length);
    rig.volume.read(range.offset, part);
    found.insert(found.end(), part.begin(), part.end());
  }
  CHECK(std::equal(content.begin(), content.end(), found.begin()));
  const std::size_t padded = round_up(size, kCluster);
  CHECK(std::all_of(found.begin() + static_cast<std::ptrdiff_t>(size),
                    found.begin() + static_cast<std::ptrdiff_t>(padded),
                    [](std::byte b) { return b == std::byte{0}; }));
  Bytes raw(4096);
  rig.partition.read(100 * kMiB, raw);
  CHECK_FALSE(std::equal(raw.begin(), raw.end(), content.begin()));
  CHECK(file->hashes[0] == md5(ByteView(content).first(kBufferBytes)));
  CHECK(file->hashes[2] == md5(ByteView(content).subspan(2 * kBufferBytes)));
  CHECK(written == size);
}

TEST_CASE("pieces of zeros of a page blob are marked to be left out") {
  Rig rig;
  Bytes content(3 * kBufferBytes);
  content[kBufferBytes] = std::byte{1};
  auto file = file_of(content.size(), manifest::BlobType::kPage);
  CopyPipeline pipeline(rig.volume, {rig.partition, rig.partition}, kCluster, {.buffers = 8});
  file->set_ranges({{100 * kMiB, content.size()}});
  REQUIRE(pipeline.submit(blocks_of(pipeline, file, content)));
  pipeline.drain();
  CHECK(file->present == std::vector<std::uint8_t>{0, 1, 0});
}

TEST_CASE("packed data of small files takes the same way, and so do structures, told apart") {
  using Content = ntfs::DataSink::Content;
  Rig rig;
  block::RememberingDevice structures(rig.partition);
  CopyPipeline pipeline(rig.volume, {rig.partition, structures}, kCluster, {.buffers = 8});
  const Bytes content = random_bytes(3 * kCluster, 2);
  const Content kind = GENERATE(Content::kFiles, Content::kStructures);
  block::AlignedBuffer buffer = pipeline.new_buffer();
  std::ranges::copy(content, buffer.span().begin());
  pipeline.write(kind, 150 * kMiB, std::move(buffer), content.size());
  pipeline.drain();
  CHECK_FALSE(structures.first_difference());
  Bytes found(content.size());
  rig.volume.read(150 * kMiB, found);
  CHECK(found == content);
  rig.partition.write(150 * kMiB, Bytes(kCluster));
  CHECK(structures.first_difference().has_value() == (kind == Content::kStructures));
}

TEST_CASE("the first write error stops the pipeline and is what every later call tells") {
  Rig rig;
  rig.partition.before_write = [](std::uint64_t, std::uint64_t, ByteView) {
    throw Error(ErrorKind::kWrite, "write-failed", "the drive says no");
  };
  CopyPipeline pipeline(rig.volume, {rig.partition, rig.partition}, kCluster, {.buffers = 8});
  auto file = file_of(kBufferBytes, manifest::BlobType::kBlock);
  file->set_ranges({{100 * kMiB, kBufferBytes}});
  pipeline.submit(blocks_of(pipeline, file, Bytes(kBufferBytes)));
  CHECK_THROWS_WITH(pipeline.drain(), "the drive says no");
  CHECK_THROWS_WITH(pipeline.check(), "the drive says no");
  CHECK(pipeline.failed());
  CHECK_FALSE(pipeline.buffers().take());
}
