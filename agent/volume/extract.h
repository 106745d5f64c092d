// What `volume extract` does: files and directories of a volume into a directory on Linux, compared
// with the drive manifest on the way when there is one.
//
// A manifest may name millions of files, so its hashes are never all in memory: it is read as a
// stream and leads. Each file that it names is looked up, copied and hashed at once; one bit a
// record of the volume remembers it. Then the directories are walked for whatever has no bit.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/volume/output_file.h"
#include "drive/ntfs/file_tree.h"

namespace driveprep::volume {

struct ExtractProgress {
  std::uint64_t files = 0;  // finished
  std::uint64_t bytes = 0;  // of all files so far, holes included
};

enum class ProblemKind {
  kFailed,   // not extracted, or not all that is in it
  kSkipped,  // a link of Windows: nothing is made of it
  kDiffers,  // extracted, but not what the manifest says
};

struct ExtractProblem {
  ProblemKind kind = ProblemKind::kFailed;
  std::string path;                     // on the volume, WTF-8
  std::optional<std::uint64_t> offset;  // in the file, where a block differs
  std::string code;
  std::string message;
  std::string remedy;
};

struct ExtractRequest {
  // WTF-8, '/' or '\' between components. "" or "/" is everything, whose entries go right into
  // `output`; a file or directory goes there under its own name.
  std::string path;
  std::filesystem::path output;  // made if missing
  Existing existing = Existing::kRefuse;
  // Compare with DriveManifest.xml in the root of the volume, if there is one.
  bool verify = true;
  std::function<void(const ExtractProgress&)> on_progress = {};  // a few times a second
  std::function<void(const ExtractProblem&)> on_problem = {};    // each of them
  const std::atomic<bool>* stop = nullptr;
};

// What the manifest had to say about the files that were asked for.
struct ManifestResult {
  std::uint64_t compared = 0;         // files: equal or not
  std::uint64_t differing_files = 0;  // of them
  std::uint64_t differing_blocks = 0;
  std::uint64_t missing = 0;  // named, and not on the volume
  std::uint64_t unnamed = 0;  // extracted, but not named; the manifest itself does not count
  // Bytes of extracted files that no block or page range covers: empty ranges of page blobs.
  std::uint64_t uncovered_bytes = 0;
  // False when the manifest could not be read to its end: what was not reached counts as unnamed.
  bool complete = false;
};

struct ExtractReport {
  std::uint64_t files = 0;
  std::uint64_t directories = 0;
  std::uint64_t bytes = 0;
  std::uint64_t failed = 0;  // problems of each kind
  std::uint64_t skipped = 0;
  std::uint64_t differing = 0;
  std::vector<ExtractProblem> problems;    // the first thousand
  std::optional<ManifestResult> manifest;  // nullopt: none on the volume, or not wanted
  bool stopped = false;

  bool ok() const { return !stopped && failed == 0 && differing == 0; }
};

// Files get their times of access and modification, directories too, but not `output` itself. A
// file with several names is extracted under each as a file of its own. Alternate data streams,
// owners and attributes are not kept.
//
// What goes wrong with one file is a problem in the report, and the rest goes on; so is a manifest
// that cannot be read. Throws what find_or_throw() does, and kWrite "output-write" when the output
// cannot be written any more.
ExtractReport extract(ntfs::FileTree& tree, const ExtractRequest& request);

}  // namespace driveprep::volume
