// Makes a checkpoint of one drive: everything done so far becomes safe, at once.
//
// The order is what makes a kill at any moment harmless: data and a flush; metadata into the redo
// file; hashes into the spool; the commit in the journal; only then metadata on the drive.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/journal/journal.h"
#include "agent/manifest/hash_spool.h"
#include "agent/prepare/copy_pipeline.h"
#include "drive/block/redo_device.h"
#include "drive/ntfs/volume_writer.h"

namespace driveprep::prepare {

// How far the copy has come.
struct CopyState {
  std::uint64_t next_file = 0;
  std::uint64_t bytes_done = 0;
  std::uint64_t files_done = 0;
  std::optional<journal::PartialFile> partial;
};

class Checkpointer {
 public:
  // `last_number`: of the last checkpoint committed, 0 when there is none. All must outlive this.
  Checkpointer(std::string drive_id, std::uint64_t last_number, ntfs::VolumeWriter& writer,
               CopyPipeline& pipeline, block::BlockDevice& partition, block::RedoDevice& redo,
               manifest::HashSpoolWriter& spool, journal::Journal& journal);

  enum class Kind {
    kMore,  // the volume stays marked as unfinished
    kLast,  // the mark is removed; the writer can be closed
  };
  void make(Kind kind, const CopyState& state, std::vector<journal::Failure> failures = {},
            std::vector<std::uint64_t> recovered = {});

 private:
  void commit(Kind kind, const CopyState& state, const std::vector<journal::Failure>& failures,
              const std::vector<std::uint64_t>& recovered);
  // Metadata into the redo file, hashes into the spool.
  journal::Checkpoint record(Kind kind, const CopyState& state);

  std::string drive_id_;
  std::uint64_t number_;
  ntfs::VolumeWriter& writer_;
  CopyPipeline& pipeline_;
  block::BlockDevice& partition_;
  block::RedoDevice& redo_;
  manifest::HashSpoolWriter& spool_;
  journal::Journal& journal_;
};

}  // namespace driveprep::prepare
