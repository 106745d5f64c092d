// What is known about an image file that shall become a drive.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/guid.h"
#include "base/units.h"
#include "drive/guard/verdict.h"
#include "drive/inventory/signatures.h"

namespace driveprep::guard {

// What makes an image file *this* image file, as long as it is not copied elsewhere.
struct ImageIdentity {
  std::uint64_t device = 0;  // st_dev
  std::uint64_t inode = 0;   // st_ino
  std::uint64_t size = 0;    // bytes

  // "file:<device>:<inode>:<size>", for the journal and the plan.
  std::string to_string() const;
  friend bool operator==(const ImageIdentity&, const ImageIdentity&) = default;
};

struct ImageRequest {
  std::filesystem::path path;
  std::string drive_id;  // the synthetic serial, from the job
  SectorSize sector;
  std::vector<std::filesystem::path> sources;  // what the job reads: the image must not be inside
};

enum class PathKind { kFile, kDevicePath, kSerial };
// "serial:...", a block device (also behind a link), and what is not there but would be in /dev
// name physical drives; anything else is a file: /dev/shm holds files, too.
PathKind path_kind(const std::filesystem::path& path);

struct ImageFacts {
  ImageRequest request;
  PathKind kind = PathKind::kFile;
  Fact<bool> exists;
  Fact<bool> symbolic_link;
  Fact<bool> regular;
  Fact<std::uint64_t> links;
  Fact<bool> owned;  // by the calling user, or that user is root
  Fact<bool> writable;
  Fact<ImageIdentity> identity;
  Fact<std::string> loop_device;    // "loop3" when the file backs one, "" when none
  Fact<std::string> inside_source;  // the source that holds the image, "" when none
  Fact<bool> locked;                // another run holds it
  Fact<inventory::Contents> contents;
  Fact<std::string> disk_guid;  // of a valid GPT on it, lower case; "" when there is none
};

// Looks, without writing. Never throws for what it finds: what cannot be read is an unreadable
// fact.
ImageFacts gather_image_facts(const ImageRequest& request);

// The same through a descriptor that was opened without following a link and holds the exclusive
// lock.
ImageFacts gather_image_facts_of(const ImageRequest& request, int locked_fd);

}  // namespace driveprep::guard
