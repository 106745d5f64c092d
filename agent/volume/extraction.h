// One extraction at work. Internal to this module; see extract.h.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "agent/manifest/manifest_format.h"
#include "agent/volume/extract.h"
#include "agent/volume/output_tree.h"
#include "agent/volume/piece_check.h"
#include "agent/volume/tree_walk.h"
#include "drive/block/aligned_buffer.h"

namespace driveprep::volume {

class Extraction : private TreeVisitor {
 public:
  Extraction(ntfs::FileTree& tree, const ExtractRequest& request);

  ExtractReport run();

 private:
  // Thrown between two parts of a file.
  struct Stopped {};

  // TreeVisitor: what the manifest did not lead to.
  void file(std::u16string_view path, const ntfs::Entry& entry) override;
  bool enter(std::u16string_view path, const ntfs::Entry& directory) override;
  void leave(std::u16string_view path, const ntfs::Entry& directory) override;
  void problem(std::u16string_view path, const Error& error) override;

  // What a file is compared with: its length if it is known, and its pieces.
  struct Expected {
    std::optional<std::uint64_t> length;
    const std::vector<manifest::Piece>& pieces;
  };

  // manifest_pass.cc: the files that the manifest names.
  void follow_manifest(const ntfs::Found& manifest);
  void take_named(const std::string& file_path, std::optional<std::uint64_t> length,
                  const std::vector<manifest::Piece>& pieces);
  void take_attached(const std::optional<manifest::AttachedFile>& attached);
  void compare_again(const ntfs::Found& found, const Expected& expected);
  // nullopt when it is not there, which is reported, or was not asked for.
  std::optional<ntfs::Found> find_named(const std::string& file_path);
  // The components of the directory in the output where a file belongs; nullopt for a name that
  // does not exist on Linux.
  std::optional<std::vector<std::string>> output_directory(std::u16string_view path) const;

  // Copies a file to a directory of the output, and compares it unless `expected` is null. True
  // when it was copied.
  bool take(std::u16string_view path, const ntfs::Entry& entry,
            std::span<const std::string> directory, const Expected* expected);
  // Reads the file to its end; either may be null.
  void copy(ntfs::FileReader& file, OutputFile* output, PieceCheck* check);
  void compare(std::u16string_view path, ntfs::FileReader& file, OutputFile* output,
               const Expected& expected);

  bool done(std::u16string_view path, const ntfs::Entry& entry) const;
  void set_done(std::u16string_view path, const ntfs::Entry& entry);

  void report(ProblemKind kind, std::u16string_view path, std::optional<std::uint64_t> offset,
              const Error& error);
  void progress(bool at_once);
  void check_stop() const;

  ntfs::FileTree& tree_;
  const ExtractRequest& request_;
  ntfs::Found start_;
  std::u16string folded_start_;  // its path
  OutputTree output_;
  block::AlignedBuffer buffer_;
  std::vector<std::string> directory_;  // of the walk, as components in the output
  std::vector<bool> done_records_;
  std::unordered_set<std::u16string> done_paths_;  // of files with several names
  std::u16string manifest_path_;
  std::chrono::steady_clock::time_point told_;
  ExtractReport report_;
};

}  // namespace driveprep::volume
