// The metadata thread of one drive: takes the messages of the source reader in order, makes the
// files on the volume, keeps their hashes, and makes checkpoints.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/plan/plan_store.h"
#include "agent/prepare/checkpointer.h"
#include "agent/prepare/directory_walk.h"
#include "agent/prepare/source_reader.h"

namespace driveprep::prepare {

struct CopyOutcome {
  bool stopped = false;        // asked to stop; everything done so far is safe
  std::uint64_t failures = 0;  // sources that failed in this run
  CopyState state;
};

struct CopyHooks {
  std::function<void(std::uint64_t files)> on_files;  // files done, small and large
  std::function<void(std::uint64_t bytes)> on_small_bytes;
  std::function<void(const journal::Failure&)> on_failure;
};

class VolumeCopier {
 public:
  struct Parts {
    const plan::PlanStore& plan;
    std::size_t drive = 0;
    ntfs::VolumeWriter& writer;
    CopyPipeline& pipeline;
    manifest::HashSpoolWriter& spool;
    Checkpointer& checkpointer;
    std::uint64_t changed_metadata;  // bytes of it that make a checkpoint due
  };

  VolumeCopier(Parts parts, CopyHooks hooks);

  // Copies everything from `state` on. Source failures are counted and recorded; anything else that
  // goes wrong is thrown. Ends with a checkpoint.
  CopyOutcome run(const CopyState& state, ReadRequest request);

  // Directories without files, and everybody's times. After run() was not stopped.
  void complete_directories();
  // A file in the volume's root with the content of `path` (the manifest). Replaces one of that
  // name.
  void write_root_file(std::u16string_view name, const std::filesystem::path& path);

 private:
  void write_attachments();
  void handle(const SmallBatch& batch);
  void handle(LargeBegin begin);
  void handle(LargeEnd end);
  void handle(Unopened unopened);
  void record_failure(const plan::FileItem& item, const SourceFailure& failure);
  void done(std::uint64_t number, std::uint64_t bytes);
  void spool_hashes();
  void checkpoint();
  bool checkpoint_due() const;

  Parts parts_;
  CopyHooks hooks_;
  DirectoryWalk walk_;

  CopyState state_;
  std::vector<std::uint64_t> retries_;
  std::vector<journal::Failure> failures_;  // since the last checkpoint
  std::vector<std::uint64_t> recovered_;    // since the last checkpoint
  std::uint64_t failure_count_ = 0;

  // A file whose blocks are under way, from LargeBegin to LargeEnd.
  std::shared_ptr<LargeFile> in_flight_;
  std::uint64_t parts_end_ = 0;  // of it, in the spool
  bool length_lowered_ = false;  // its valid length on the volume is not its size
  // Files that ended since the last checkpoint, in order. Their hashes are complete once the
  // pipeline is drained; then they go to the spool.
  struct Ended {
    std::uint64_t number = 0;
    std::uint64_t length = 0;
    Md5 hash{};  // of a small file
    manifest::BlobType type = manifest::BlobType::kBlock;
    bool left_out = false;  // a small page blob of zeros
    bool failed = false;
    std::shared_ptr<LargeFile> large;  // null for a small one
    std::uint64_t parts_end = 0;       // of a large one
  };
  std::vector<Ended> ended_;
  std::chrono::steady_clock::time_point last_checkpoint_;
  bool pausing_ = false;
};

}  // namespace driveprep::prepare
