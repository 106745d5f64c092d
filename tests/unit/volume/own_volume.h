// A volume as driveprep writes it, in memory, with a manifest if one is wanted.
#pragma once

#include <map>
#include <string>

#include "agent/manifest/manifest_writer.h"
#include "base/utf16.h"
#include "drive/block/memory_device.h"
#include "tests/unit/ntfs/volume_fixture.h"

namespace driveprep::volume::test {

inline Bytes bytes_of(std::string_view text) {
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

// Files by path ("a/b/c"), all of them with the times of ntfs::test::times_of(1), and directories
// with those of times_of(2).
inline void write_files(ntfs::VolumeWriter& writer, block::BlockDevice& device,
                        const std::map<std::string, Bytes>& files) {
  for (const auto& [path, content] : files) {
    std::string_view rest = path;
    for (std::size_t slash; (slash = rest.find('/')) != std::string_view::npos;
         rest.remove_prefix(slash + 1)) {
      writer.enter_directory(*utf16_from_utf8(rest.substr(0, slash)));
    }
    const std::u16string name = *utf16_from_utf8(rest);
    if (content.size() > kMiB) {
      ntfs::test::write_large(writer, device, name, ntfs::test::times_of(1), content);
    } else {
      writer.write_small(name, ntfs::test::times_of(1), content);
    }
    while (writer.depth() > 0) writer.leave_directory(ntfs::test::times_of(2));
  }
}

class OwnVolume {
 public:
  static constexpr std::uint64_t kSize = 128 * kMiB;

  OwnVolume() : device(kSize) {
    ntfs::format_volume({kSize, SectorSize(512), Lba{2048}, "OWN", {}}).copy_to(device);
  }

  void write(const std::map<std::string, Bytes>& files) {
    ntfs::DirectSink sink(device);
    ntfs::VolumeWriter writer(device, sink, {});
    write_files(writer, device, files);
    ntfs::test::finish(writer);
  }

  // Changes one byte of a file on the volume, behind the manifest's back.
  void damage(const std::string& path, std::uint64_t offset) {
    ntfs::VolumeReader reader(device);
    const ntfs::FileInfo info = *reader.open(*utf16_from_utf8(path));
    REQUIRE(!info.resident);
    for (const ByteRange& range : info.ranges) {
      if (offset < range.length) {
        Bytes byte(1);
        device.read(range.offset + offset, byte);
        byte[0] ^= std::byte{0x40};
        device.write(range.offset + offset, byte);
        return;
      }
      offset -= range.length;
    }
    FAIL("the file is too short");
  }

  block::MemoryDevice device;
};

// A manifest of block blobs with 4 MiB blocks for these files.
inline Bytes manifest_of(const std::map<std::string, Bytes>& files) {
  Bytes xml;
  manifest::ManifestWriter writer(
      [&](ByteView part) { xml.insert(xml.end(), part.begin(), part.end()); },
      {std::string(manifest::kManifestVersion), "SERIAL", "driveprep"});
  writer.begin_list({});
  for (const auto& [path, content] : files) {
    manifest::BlobHeader header;
    header.blob_path = "container/" + path;
    header.file_path = "\\" + path;
    std::ranges::replace(header.file_path, '/', '\\');
    header.length = content.size();
    writer.begin_blob(header);
    for (std::size_t at = 0; at < content.size(); at += manifest::kPieceLength) {
      const ByteView piece =
          ByteView(content).subspan(at, std::min(manifest::kPieceLength, content.size() - at));
      writer.piece(at, static_cast<std::uint32_t>(piece.size()), md5(piece));
    }
    writer.end_blob();
  }
  writer.end_list();
  writer.finish();
  return xml;
}

}  // namespace driveprep::volume::test
