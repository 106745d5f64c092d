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
  commit(kind, state, failures, recovered);
  redo_.apply();
  journal_.mark_applied(drive_id_, number_);
  writer_.checkpoint_done();
}

void Checkpointer::commit(Kind kind, const CopyState& state,
                          const std::vector<journal::Failure>& failures,
                          const std::vector<std::uint64_t>& recovered) {
  bool may_have_committed = false;
  try {
    const journal::Checkpoint checkpoint = record(kind, state);
    may_have_committed = true;
    journal_.commit_checkpoint(drive_id_, checkpoint, failures, recovered);
  } catch (const Error& error) {
    // A commit that found no room did not happen; after any other failure of it the journal may
    // show it all the same, and the redo file is needed.
    if (!may_have_committed || error.code() == "job-directory-full") redo_.abandon();
    throw;
  }
}

journal::Checkpoint Checkpointer::record(Kind kind, const CopyState& state) {
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
  return checkpoint;
}

}  // namespace driveprep::prepare
