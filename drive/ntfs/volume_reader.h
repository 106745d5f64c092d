// Reads an NTFS volume: where a file is and what its record says. For verification and resume.
//
// Belongs to one thread; several readers may work at once. File data is not read through this class
// (except the few bytes inside a record): the caller reads the ranges from the same device.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "drive/block/block_device.h"
#include "drive/ntfs/types.h"

namespace driveprep::ntfs {

struct FileInfo {
  std::uint64_t size = 0;          // bytes of the unnamed data
  std::uint64_t valid_length = 0;  // behind it the file reads as zeros, whatever the disk holds
  FileTimes times;
  std::uint32_t attributes = 0;
  std::uint64_t record = 0;  // number of the $MFT record
  // Exactly one of the two describes the data of a file that is not empty:
  bool resident = false;
  Bytes content;                  // resident: the data itself
  std::vector<ByteRange> ranges;  // otherwise: whole clusters of the volume in file order

  bool is_directory() const { return (attributes & kAttributeDirectory) != 0; }
};

struct DirectoryEntry {
  std::u16string name;
  bool directory = false;
  std::uint64_t record = 0;
};

class VolumeReader {
 public:
  // Mounts read-only; `device` must outlive this and is never written. Throws kVerification
  // "volume-mount".
  explicit VolumeReader(const block::ReadableDevice& device);
  VolumeReader(const VolumeReader&) = delete;
  VolumeReader& operator=(const VolumeReader&) = delete;
  ~VolumeReader();

  const Geometry& geometry() const;
  // Whether the volume is marked as needing a check (an unfinished drive is).
  bool marked_dirty() const;
  std::string label() const;

  // `path`: components joined by '/', from the root, exact case; "" is the root itself. Files asked
  // for in directory order are fast: the current directory stays open. nullopt when there is no
  // such entry; throws kVerification "volume-damaged" when the volume cannot be understood, and
  // "file-layout" for compressed, encrypted or sparse data, which driveprep never writes.
  std::optional<FileInfo> open(std::u16string_view path);
  // The entries of a directory in index order, system files of the root included. Throws
  // kVerification "no-such-directory".
  std::vector<DirectoryEntry> list(std::u16string_view path);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driveprep::ntfs
