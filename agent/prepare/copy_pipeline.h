// The data path of one drive: blocks come in plain and leave encrypted.
//
//   submit(blocks) ─> [ hash 16 at once, encrypt ] x cores ─> [ write O_DIRECT ] x 2 ─> buffer pool
//
// What the NTFS writer has packed, small files and new metadata, comes in through the DataSink side
// and takes the same way without hashing. The first error of any thread is kept; everything then
// stops and every later call throws it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "agent/prepare/buffer_pool.h"
#include "agent/prepare/large_file.h"
#include "base/bounded_queue.h"
#include "bitlocker/encrypted_device.h"
#include "drive/ntfs/data_sink.h"

namespace driveprep::prepare {

// A piece of up to 4 MiB of a large file. `hash`: false when the reader hashes the (longer) pieces
// of a very large file itself.
struct Block {
  std::shared_ptr<LargeFile> file;
  std::uint64_t offset = 0;  // in the file, a multiple of 4 MiB
  block::AlignedBuffer buffer;
  std::size_t length = 0;
  bool hash = true;
};

class CopyPipeline final : public ntfs::DataSink {
 public:
  struct Options {
    std::size_t hashers = 2;
    std::size_t buffers = 44;                                  // of 4 MiB: the memory of the copy
    std::size_t group = 16;                                    // blocks hashed together
    std::function<void(std::uint64_t bytes)> on_written = {};  // called from the writer threads
    std::function<void()> before_write = {};                   // the same; may wait, and may throw
  };

  // The partition, below the encryption: where the ciphertext goes, by what it is.
  struct Below {
    block::BlockDevice& files;
    block::BlockDevice& structures;
  };

  // `encryption` maps and encrypts volume offsets. It and the devices must outlive this.
  CopyPipeline(const bitlocker::EncryptedDevice& encryption, Below below,
               std::uint64_t cluster_size, Options options);
  ~CopyPipeline() override;

  BufferPool& buffers() { return pool_; }
  std::size_t group() const { return options_.group; }

  // Blocks whose files have their ranges. False when the pipeline has failed or was stopped.
  bool submit(std::vector<Block> group);

  void write(Content content, std::uint64_t offset, block::AlignedBuffer data,
             std::size_t length) override;
  void wait() override { drain(); }
  block::AlignedBuffer new_buffer() override;

  // Returns when everything submitted so far is written (not flushed). Throws the first error.
  void drain();
  // Throws the first error of any thread.
  void check();
  // Everything stops as after an error; `cause` becomes the first error unless there is one.
  void fail(std::exception_ptr cause);
  bool failed() const { return failed_; }

 private:
  struct Staged {
    std::uint64_t offset;
    block::AlignedBuffer buffer;
    std::size_t length;
    Content content;
  };
  using Work = std::variant<std::vector<Block>, Staged>;
  struct Piece {
    std::uint64_t offset;  // of the volume
    std::size_t begin;     // in the buffer
    std::size_t length;
  };
  struct WriteTask {
    block::AlignedBuffer buffer;
    std::vector<Piece> pieces;
    std::uint64_t bytes;  // of user data, for the progress
    Content content = Content::kFiles;
  };

  void run_hasher();
  void run_writer();
  void process(std::vector<Block> group);
  void hash(const std::vector<Block>& group);
  WriteTask encrypt(Block block);
  void hand_over(WriteTask task);
  void add_outstanding(std::size_t count);
  void one_done();
  template <typename Body>
  void guarded(Body body);

  const bitlocker::EncryptedDevice& encryption_;
  const Below below_;
  const std::uint64_t cluster_size_;
  const Options options_;
  BufferPool pool_;
  BoundedQueue<Work> work_;
  BoundedQueue<WriteTask> writes_;

  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t outstanding_ = 0;
  std::exception_ptr error_;
  std::atomic<bool> failed_{false};
  std::vector<std::thread> threads_;
};

}  // namespace driveprep::prepare
