// What the NTFS tests share: image files, deterministic content, the checkers of other projects.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/posix.h"
#include "base/subprocess.h"
#include "drive/block/file_device.h"
#include "drive/block/memory_device.h"
#include "drive/ntfs/direct_sink.h"
#include "drive/ntfs/format.h"
#include "drive/ntfs/volume_reader.h"
#include "drive/ntfs/volume_writer.h"

namespace driveprep::ntfs::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// A sparse image file as a device.
std::unique_ptr<block::FileDevice> make_image(const std::filesystem::path& path, std::uint64_t size,
                                              SectorSize sector);
// The whole device as a sparse file.
void export_device(const block::ReadableDevice& device, const std::filesystem::path& path);

// Remembers where data went.
class RecordingSink : public DirectSink {
 public:
  using DirectSink::DirectSink;
  void write(Content content, std::uint64_t offset, block::AlignedBuffer data,
             std::size_t length) override;
  std::vector<ByteRange> writes;
};

// Bytes that differ for each seed; the same on every run.
Bytes content_of(std::uint64_t size, std::uint64_t seed);
FileTimes times_of(std::uint64_t seed);

// A file made the way the pipeline does it: its clusters, whole, and the zeros behind its end.
void write_large(VolumeWriter& writer, block::BlockDevice& device, std::u16string_view name,
                 const FileTimes& times, ByteView content);
// Allowed to the writer's caller in one go: flush_data, flush_metadata, checkpoint_done.
void checkpoint(VolumeWriter& writer);
void finish(VolumeWriter& writer);

// The file's bytes as NTFS shows them.
Bytes read_file(VolumeReader& reader, const block::ReadableDevice& device,
                std::u16string_view path);

// True when the program is installed; otherwise warns, so that the skip is seen.
bool have(const std::string& program);
SubprocessResult run(const std::string& program, const std::vector<std::string>& arguments);
// Cluster accounting of every attribute against $Bitmap (ntfsresize), and $MFTMirr and both boot
// sectors (ntfsfix): empty when both are content, otherwise what they said.
std::string complaints(const std::filesystem::path& image);

// "path in the volume" -> number of the record, by sleuthkit.
std::map<std::string, std::string> listed_by_sleuthkit(const std::filesystem::path& image);
Bytes extracted_by_sleuthkit(const std::filesystem::path& image, const std::string& record,
                             const TemporaryDirectory& directory);

}  // namespace driveprep::ntfs::test
