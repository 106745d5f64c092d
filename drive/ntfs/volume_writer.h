// Fills an NTFS volume: directories, files, their records and their places.
//
// Metadata goes through a write-back cache. What changes on the device reaches `metadata_device`
// only inside flush_metadata(), all of it at once, so that a redo log below can make it atomic. New
// records and index blocks, in clusters that no checkpoint refers to, need no such care: they go to
// the DataSink as they are completed, as packed small files do. Large files get clusters from
// allocate() and are written by the caller.
//
// One checkpoint, seen from the caller:
//     writer.flush_data();             the last small files and new records are with the sink
//     (wait for the sink, flush the data device)
//     redo.begin(n); writer.flush_metadata(); redo.seal();
//     (commit in the journal)  redo.apply(); writer.checkpoint_done();
// The last one has finish() in place of flush_metadata(), and close() after checkpoint_done().
//
// A VolumeWriter belongs to one thread and starts none. Several of them may work in several
// threads. After any Error of kind kInternal, kWrite or kBusy the writer is failed: every later
// call throws "volume-failed", and nothing is ever written again, the destructor included.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "drive/block/aligned_buffer.h"
#include "drive/block/block_device.h"
#include "drive/ntfs/data_sink.h"
#include "drive/ntfs/types.h"

namespace driveprep::ntfs {

struct WriterOptions {
  // Files and directories of the whole plan of this volume (those of earlier runs included); sizes
  // the zones for $MFT and for directory indexes, and the space that file data leaves for records.
  // 0: unknown. Too small only costs locality.
  std::uint64_t planned_records = 0;
  // Average UTF-16 units of a name in the plan; sizes the zone for directory indexes.
  std::uint32_t average_name_units = 24;
  // Bytes of clean metadata blocks kept between checkpoints. Dirty blocks are not limited here: the
  // caller watches dirty_bytes().
  std::uint64_t cache_cap = 48 * kMiB;
  // Free clusters when known (a fresh format tells them); otherwise $Bitmap is counted once.
  std::optional<std::uint64_t> free_clusters = {};
};

struct ExistingFile {
  bool directory = false;
  std::uint64_t size = 0;  // bytes
  std::uint64_t valid_length =
      0;  // bytes before which the data is valid; behind it NTFS reads zeros
  FileTimes times;
  // Whole clusters in file order; empty when the data is inside the record.
  std::vector<ByteRange> ranges;
};

class VolumeWriter {
 public:
  // Mounts the volume on `metadata_device` (read-write). Both must outlive this.
  // Errors: kVerification "volume-mount" (not NTFS, damaged, or used by Windows since: its log is
  // not empty), kUsage "cluster-size" for clusters below 4096 bytes.
  VolumeWriter(block::BlockDevice& metadata_device, DataSink& sink, const WriterOptions& options);
  VolumeWriter(const VolumeWriter&) = delete;
  VolumeWriter& operator=(const VolumeWriter&) = delete;
  // Writes nothing.
  ~VolumeWriter();

  const Geometry& geometry() const;

  // Creates "System Volume Information" and one file for each range, all hidden and system, in
  // exactly those clusters. Directly after format; on resume, files that are there with the same
  // ranges are left alone. Throws kInternal "reserved-range" when ranges overlap each other or
  // clusters in use.
  void reserve(std::span<const ReservedFile> files);

  // The path is a stack that starts at the root. Names have been judged by check_name() before.
  // Creates the directory, or opens it when it exists ("name-not-directory" when it is a file).
  void enter_directory(std::u16string_view name);
  // `times`: set after the last child was added; without, the directory keeps what it has.
  void leave_directory(const std::optional<FileTimes>& times = std::nullopt);
  std::size_t depth() const;  // 0 at the root

  // Creates a file of up to DataSink::kBufferBytes: inside its record when it fits, otherwise
  // packed behind the previous one. Throws kInternal "name-exists".
  void write_small(std::u16string_view name, const FileTimes& times, ByteView content);

  // Whole clusters for `bytes` bytes, ascending where the volume allows, in as few ranges as
  // possible. Throws kWrite "volume-full"; nothing is taken then.
  std::vector<ByteRange> allocate(std::uint64_t bytes);
  // Gives clusters back; they are not handed out again before the next checkpoint is done.
  void release(std::span<const ByteRange> ranges);

  // Creates a file of `size` bytes in `ranges` (from allocate(size), or resumed). The first
  // `valid_length` bytes are durable, or will be before the next checkpoint.
  void write_file(std::u16string_view name, const FileTimes& times, std::uint64_t size,
                  std::span<const ByteRange> ranges, std::uint64_t valid_length);
  // For a file made by write_file(), in this or an earlier run.
  void set_valid_length(std::u16string_view name, std::uint64_t valid_length,
                        const FileTimes& times);
  // An entry of the current directory, by its exact name.
  std::optional<ExistingFile> find(std::u16string_view name);
  // Removes a file of the current directory; its clusters are released as by release().
  void remove(std::u16string_view name);

  // Hands the partly filled buffer of small files, and new metadata, to the sink.
  void flush_data();
  // Bytes of metadata that the next flush_metadata() will write, about.
  std::uint64_t dirty_bytes() const;
  // Everything the library and the allocator know goes to metadata_device: sorted, joined. The
  // first one marks the volume dirty. Requires flush_data() before. Until checkpoint_done() these
  // blocks are served from memory, because the device may still show their old content.
  void flush_metadata();
  // The blocks of the last flush are on the device: forgets down to the cache cap; released
  // clusters may be used again.
  void checkpoint_done();
  // As flush_metadata(), with the dirty mark cleared. All directories are left first.
  void finish();
  // Unmounts; writes nothing. Only checkpoint_done() has been called since finish().
  void close();

  std::uint64_t free_bytes() const;    // whole free clusters, before any rounding by files
  std::uint64_t records_used() const;  // $MFT records in use when last extended, about
  std::uint64_t files_created() const;
  std::uint64_t directories_created() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driveprep::ntfs
