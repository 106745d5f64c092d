// The mounted volume of a VolumeWriter: what each of its calls does with the library, the cache and
// the allocator. Knows nothing of failed states; VolumeWriter guards it. Internal to this module.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "drive/ntfs/block_cache.h"
#include "drive/ntfs/cluster_allocator.h"
#include "drive/ntfs/file_record.h"
#include "drive/ntfs/interval_set.h"
#include "drive/ntfs/library.h"
#include "drive/ntfs/new_entries.h"
#include "drive/ntfs/record_supply.h"
#include "drive/ntfs/small_file_packer.h"
#include "drive/ntfs/volume_writer.h"

namespace driveprep::ntfs {

class WriterSession {
 public:
  WriterSession(block::BlockDevice& device, DataSink& sink, const WriterOptions& options);
  WriterSession(const WriterSession&) = delete;
  WriterSession& operator=(const WriterSession&) = delete;
  ~WriterSession();

  library::Mount& mount() { return mount_; }
  const Geometry& geometry() const { return geometry_; }
  // The device has the last flush.
  void checkpoint_done() { cache_.settle(); }
  // Bytes of metadata that are not on the device, about.
  std::uint64_t dirty_bytes() const {
    return cache_.dirty_bytes() + records_->pending_bytes() + entries_.bytes();
  }

  void reserve(std::span<const ReservedFile> files);
  void enter_directory(std::u16string_view name);
  void leave_directory(const std::optional<FileTimes>& times);
  std::size_t depth() const { return open_.size() - 1; }

  // Whether `bytes` more of file data fit beside what is still needed for records.
  bool has_room(std::uint64_t bytes) const;
  void write_small(std::u16string_view name, const FileTimes& times, ByteView content);
  std::vector<ClusterRun> take(std::uint64_t clusters);
  void release(std::span<const ByteRange> ranges);
  void write_file(std::u16string_view name, const FileTimes& times, std::uint64_t size,
                  std::span<const ByteRange> ranges, std::uint64_t valid_length);
  void set_valid_length(std::u16string_view name, std::uint64_t valid_length,
                        const FileTimes& times);
  std::optional<ExistingFile> find(std::u16string_view name);
  void remove(std::u16string_view name);

  // Small files and new metadata go to the sink.
  void flush_data();
  bool has_unflushed_data() const { return !packer_.empty(); }
  // Everything in the library's memory goes to the cache, the cache to the device.
  void flush_metadata(bool mark_dirty);

  std::uint64_t free_bytes() const { return allocator_->available() * geometry_.cluster_size; }
  std::uint64_t records_used() const;
  std::uint64_t files_created() const { return files_created_; }
  std::uint64_t directories_created() const { return directories_created_; }

 private:
  // Exactly one inode object exists for each open directory; two would overwrite each other.
  struct OpenDirectory {
    MFT_REF reference = 0;
    ntfs_inode* inode = nullptr;
    bool has_entries = false;  // in its index; false also when nobody has looked yet
  };

  class Storage : public library::Storage {
   public:
    explicit Storage(BlockCache& cache) : cache_(cache) {}
    std::uint64_t size() const override { return cache_.size(); }
    void read(std::uint64_t offset, MutableByteView out) override { cache_.read(offset, out); }
    void write(std::uint64_t offset, ByteView data) override { cache_.write(offset, data); }

   private:
    BlockCache& cache_;
  };

  class Bitmap : public ClusterBitmap {
   public:
    explicit Bitmap(library::Mount& mount) : mount_(mount) {}
    std::uint64_t total_clusters() const override;
    std::uint64_t free_clusters() const override;
    void read(std::uint64_t first_byte, MutableByteView out) override;
    void mark(std::uint64_t first, std::uint64_t count, bool used) override;

   private:
    library::Mount& mount_;
  };

  ntfs_volume* volume() const { return mount_.volume(); }
  ntfs_inode* current() const { return open_.back().inode; }
  std::uint64_t clusters_for(std::uint64_t bytes) const {
    return (bytes + geometry_.cluster_size - 1) / geometry_.cluster_size;
  }
  ByteRange bytes_of(const ClusterRun& run) const {
    return {run.first * geometry_.cluster_size, run.count * geometry_.cluster_size};
  }

  void complete_mft_inode();
  void refuse_used_log();
  void count_free_clusters(block::BlockDevice& device, const WriterOptions& options);
  void set_zones(const WriterOptions& options);
  void extend_record_bitmap(std::uint64_t records);
  void mark_zone_fresh(std::uint64_t first, std::uint64_t end);
  void choose_security();
  std::uint64_t count_free(const ClusterRun& run);
  bool has_free(const ClusterRun& run);

  std::optional<ClusterRun> find_free_run(std::uint64_t from, std::uint64_t to,
                                          std::uint64_t wanted);
  ByteRange clusters_for_records(std::uint64_t wanted, std::uint64_t clusters);
  std::vector<ByteRange> clusters_for_index(std::uint64_t clusters);

  // Makes the record and the entry of a file; false when its runs do not fit into one record.
  bool add_file(const NewFile& file);
  void add_scattered_file(const NewFile& file);
  // What add_file() holds back goes to the library, which then sees every file.
  void settle_entries();
  void settle_files();
  library::Inode create(std::u16string_view name, bool directory);
  library::Inode open(std::u16string_view name);
  void close_in_current(library::Inode inode, std::u16string_view name);
  void hide(ntfs_inode* inode);
  void give_to_data(ByteRange range);
  // The whole clusters of the range. Marks them, unless the file is there already.
  ByteRange mark_reserved(const ReservedFile& file, bool exists);
  void pack_indexes();
  void close_directories();
  void reopen_directories();
  void sync(ntfs_inode* inode, const char* what);
  void write_ahead();

  BlockCache cache_;
  Storage storage_;
  library::Mount mount_;
  Geometry geometry_;
  Bitmap bitmap_{mount_};
  std::optional<ClusterAllocator> allocator_;
  std::optional<RecordSupply> records_;
  NewEntries entries_;  // of the current directory
  DataSink& sink_;
  SmallFilePacker packer_;
  const std::uint64_t
      most_ahead_;           // bytes of metadata with the sink, in memory until it has written
  IntervalSet data_ranges_;  // given to the data path: no metadata may be written there
  std::vector<OpenDirectory> open_;  // from the root to the current directory
  le32 file_security_ = 0;
  le32 directory_security_ = 0;
  LCN index_position_ = 0;  // where the next index block is looked for
  LCN index_zone_end_ = 0;
  std::uint64_t planned_records_ = 0;
  std::uint64_t files_created_ = 0;
  std::uint64_t directories_created_ = 0;
};

}  // namespace driveprep::ntfs
