#include "drive/ntfs/volume_writer.h"

#include <utility>

#include "drive/ntfs/writer_session.h"

namespace driveprep::ntfs {

// Guards the session: order of calls, and the failed state.
class VolumeWriter::Impl {
 public:
  Impl(block::BlockDevice& device, DataSink& sink, const WriterOptions& options)
      : session_(std::in_place, device, sink, options) {
    session_->mount().check();
  }

  WriterSession& session() {
    require(session_.has_value(), "the volume is closed");
    return *session_;
  }

  // Runs a call that touches the volume. Whatever it throws leaves the library's memory in an
  // unknown state, so nothing of it may be written any more.
  template <typename Call>
  auto run(Call call) {
    ready();
    failed_ = true;  // until it has gone well
    session_->mount().begin();
    if constexpr (std::is_void_v<decltype(call(*session_))>) {
      call(*session_);
      session_->mount().check();
      failed_ = false;
    } else {
      auto result = call(*session_);
      session_->mount().check();
      failed_ = false;
      return result;
    }
  }

  // The same for calls that change the volume: not between flush_metadata() and checkpoint_done().
  template <typename Call>
  auto change(Call call) {
    require(!flushed_, "the volume is changed in the middle of a checkpoint");
    require(!finished_, "the volume is changed after it was finished");
    return run(std::move(call));
  }

  void need_room(std::uint64_t bytes) {
    ready();
    if (session().has_room(bytes)) return;
    throw Error(ErrorKind::kWrite, "volume-full",
                "there is no room for " + std::to_string(bytes) + " more bytes on " +
                    session().mount().name() + ": " + std::to_string(session().free_bytes()) +
                    " bytes are free, some of them kept for records",
                "Use a larger drive or fewer files.");
  }

  void flush(bool mark_dirty) {
    require(!flushed_, "the previous checkpoint is not done");
    require(!session().has_unflushed_data(), "small files are not with the sink yet");
    run([&](WriterSession& s) { s.flush_metadata(mark_dirty); });
    flushed_ = true;
  }

  void checkpoint_done() {
    require(flushed_, "there is no checkpoint to be done with");
    run([](WriterSession& s) { s.checkpoint_done(); });
    flushed_ = false;
  }

  void finish() {
    while (session().depth() != 0) {
      change([](WriterSession& s) { s.leave_directory(std::nullopt); });
    }
    flush(false);
    finished_ = true;
  }

  void close() {
    require(finished_ && !flushed_, "the volume is closed before it was finished");
    ready();
    session_.reset();
  }

 private:
  void ready() {
    if (failed_) {
      throw Error(ErrorKind::kWrite, "volume-failed",
                  "an earlier error on " + session().mount().name() +
                      " left the file system in an unknown state; nothing more is written",
                  "Start again: it continues at the last checkpoint.");
    }
    require(session_.has_value(), "the volume is closed");
  }

  std::optional<WriterSession> session_;
  bool failed_ = false;
  bool flushed_ = false;  // between flush_metadata() and checkpoint_done()
  bool finished_ = false;
};

VolumeWriter::VolumeWriter(block::BlockDevice& metadata_device, DataSink& sink,
                           const WriterOptions& options)
    : impl_(std::make_unique<Impl>(metadata_device, sink, options)) {}
VolumeWriter::~VolumeWriter() = default;

const Geometry& VolumeWriter::geometry() const { return impl_->session().geometry(); }

void VolumeWriter::reserve(std::span<const ReservedFile> files) {
  impl_->change([&](WriterSession& s) { s.reserve(files); });
}

void VolumeWriter::enter_directory(std::u16string_view name) {
  impl_->change([&](WriterSession& s) { s.enter_directory(name); });
}

void VolumeWriter::leave_directory(const std::optional<FileTimes>& times) {
  impl_->change([&](WriterSession& s) { s.leave_directory(times); });
}

std::size_t VolumeWriter::depth() const { return impl_->session().depth(); }

void VolumeWriter::write_small(std::u16string_view name, const FileTimes& times, ByteView content) {
  require(content.size() <= DataSink::kBufferBytes, "a small file has more than 4 MiB");
  impl_->need_room(content.size());
  impl_->change([&](WriterSession& s) { s.write_small(name, times, content); });
}

std::vector<ByteRange> VolumeWriter::allocate(std::uint64_t bytes) {
  if (bytes == 0) return {};
  impl_->need_room(bytes);
  return impl_->change([&](WriterSession& s) {
    const std::uint64_t cluster = s.geometry().cluster_size;
    std::vector<ByteRange> ranges;
    for (const ClusterRun& run : s.take((bytes + cluster - 1) / cluster)) {
      ranges.push_back({run.first * cluster, run.count * cluster});
    }
    require(!ranges.empty(), "clusters that were counted as free were not found");
    return ranges;
  });
}

void VolumeWriter::release(std::span<const ByteRange> ranges) {
  impl_->change([&](WriterSession& s) { s.release(ranges); });
}

void VolumeWriter::write_file(std::u16string_view name, const FileTimes& times, std::uint64_t size,
                              std::span<const ByteRange> ranges, std::uint64_t valid_length) {
  impl_->change([&](WriterSession& s) { s.write_file(name, times, size, ranges, valid_length); });
}

void VolumeWriter::set_valid_length(std::u16string_view name, std::uint64_t valid_length,
                                    const FileTimes& times) {
  impl_->change([&](WriterSession& s) { s.set_valid_length(name, valid_length, times); });
}

std::optional<ExistingFile> VolumeWriter::find(std::u16string_view name) {
  return impl_->run([&](WriterSession& s) { return s.find(name); });
}

void VolumeWriter::remove(std::u16string_view name) {
  impl_->change([&](WriterSession& s) { s.remove(name); });
}

void VolumeWriter::flush_data() {
  impl_->change([](WriterSession& s) { s.flush_data(); });
}

std::uint64_t VolumeWriter::dirty_bytes() const { return impl_->session().dirty_bytes(); }
void VolumeWriter::flush_metadata() { impl_->flush(true); }
void VolumeWriter::checkpoint_done() { impl_->checkpoint_done(); }
void VolumeWriter::finish() { impl_->finish(); }
void VolumeWriter::close() { impl_->close(); }

std::uint64_t VolumeWriter::free_bytes() const { return impl_->session().free_bytes(); }
std::uint64_t VolumeWriter::records_used() const { return impl_->session().records_used(); }
std::uint64_t VolumeWriter::files_created() const { return impl_->session().files_created(); }
std::uint64_t VolumeWriter::directories_created() const {
  return impl_->session().directories_created();
}

}  // namespace driveprep::ntfs
