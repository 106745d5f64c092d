// The files of any NTFS volume, as a tree to look at and to read from: made by Windows or anybody
// else, read-only, past no lock and no mount.
//
// Read are resident, non-resident, sparse and compressed files. Named and never guessed at are
// files that Windows keeps in another way: encrypted ones (EFS), and reparse points (links,
// deduplicated files, placeholders of a cloud). Alternate data streams are passed over.
//
// Names are UTF-16 as they stand on the volume, lone surrogates included. Belongs to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "drive/block/block_device.h"
#include "drive/ntfs/file_reader.h"
#include "drive/ntfs/types.h"

namespace driveprep::ntfs {

enum class EntryKind {
  kFile,
  kDirectory,     // also one with a reparse point whose entries are its own
  kSymbolicLink,  // of Windows or WSL, to a file or a directory
  kJunction,      // or mount point
  kReparsePoint,  // anything else of which Windows makes something: `reparse_tag` says what
};

// What the record of a file says.
struct Entry {
  std::u16string name;  // empty: the root
  EntryKind kind = EntryKind::kFile;
  std::uint64_t size = 0;       // bytes of the unnamed data; 0 for a directory
  std::uint64_t allocated = 0;  // bytes that it takes on the volume
  FileTimes times;
  std::uint32_t attributes = 0;   // kAttribute...
  std::uint64_t record = 0;       // number of the $MFT record
  std::uint64_t reference = 0;    // the same with the sequence number
  std::uint32_t reparse_tag = 0;  // 0: no reparse point
  std::uint32_t links = 1;        // names of the file; the short ones for DOS are not counted

  bool is_directory() const { return kind == EntryKind::kDirectory; }
  bool encrypted() const { return kind == EntryKind::kFile && (attributes & kAttributeEncrypted); }
};

// A name in a directory.
struct ListedName {
  std::u16string name;
  std::uint64_t reference = 0;
};

// What a path leads to, spelt as on the volume: components joined by '/'.
struct Found {
  Entry entry;
  std::u16string path;
};

class FileTree {
 public:
  // Mounts read-only; `device` must outlive this and is never written. A volume that was not
  // properly dismounted opens as it is. Throws kRefused "file-system-unsupported" for something
  // else than NTFS, kVerification "volume-mount".
  explicit FileTree(const block::ReadableDevice& device);
  FileTree(const FileTree&) = delete;
  FileTree& operator=(const FileTree&) = delete;
  ~FileTree();

  std::string name() const;   // of the device
  std::string label() const;  // of the volume
  // Whether the volume was not properly dismounted, or wants a check.
  bool marked_dirty() const;

  // All functions below throw kVerification "volume-damaged" when the volume cannot be understood,
  // and what the device throws.

  Entry root();
  // Components between '/' or '\' from the root; empty ones and "." are left out. A component is
  // taken by its exact name, or else by the only name that is the same but for upper and lower
  // case. nullopt when there is none; kUsage "path-ambiguous" when there are several; kRefused
  // "file-reparse-point" when the path leads through one.
  std::optional<Found> find(std::u16string_view path);

  enum class Metafiles { kHide, kShow };
  // The names in a directory (of kind kDirectory), sorted as Windows does: without regard to case,
  // then by case. Hidden and system files are among them; the files of the file system itself
  // ($MFT, $Extend, ...) in the root only when they are asked for.
  std::vector<ListedName> list(const Entry& directory, Metafiles metafiles = Metafiles::kHide);
  Entry entry(const ListedName& listed);

  // The content of a file. kRefused "file-encrypted", "file-reparse-point"; kUsage
  // "file-is-directory". `path` is for messages.
  std::unique_ptr<FileReader> open(const Entry& file, std::u16string_view path);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driveprep::ntfs
