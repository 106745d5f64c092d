#include "agent/prepare/checkpointer.h"

#include <utility>

namespace driveprep::prepare {

Checkpointer::Checkpointer(std::string drive_id, std::uint64_t last_number,
                           ntfs::VolumeWriter& writer, CopyPipeline& pipeline,
                           block::BlockDevice& partition, block::RedoDevice& redo,
                           manifest::HashSpoolWriter& spool, journal::Journal& journal)
    : drive_id_(std::move(drive_id)),
      number_(last_number),
      writer_(writer),
      pipeline_(pipeline),
      partition_(partition),
      redo_(redo),
      spool_(spool),
      journal_(journal) {}

void Checkpointer::make(Kind kind, const CopyState& state, std::vector<journal::Failure> failures,
                        std::vector<std::uint64_t> recovered) {
  writer_.flush_data();
  pipeline_.drain();
  partition_.flush();

  ++number_;
  redo_.begin(number_);
  if (kind == Kind::kLast) {
    writer_.finish();
  } else {
    writer_.flush_metadata();
  }
  journal::Checkpoint checkpoint;
  checkpoint.number = number_;
  checkpoint.redo_digest = redo_.seal();
  checkpoint.spool_length = spool_.sync();
  checkpoint.next_file = state.next_file;
  checkpoint.bytes_done = state.bytes_done;
  checkpoint.files_done = state.files_done;
  checkpoint.partial = state.partial;
  journal_.commit_checkpoint(drive_id_, checkpoint, failures, recovered);

  redo_.apply();
  journal_.mark_applied(drive_id_, number_);
  writer_.checkpoint_done();
}

}  // namespace driveprep::prepare
