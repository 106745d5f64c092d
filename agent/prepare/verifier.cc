#include "agent/prepare/verifier.h"

#include <fcntl.h>

#include <algorithm>
#include <memory>

#include "agent/manifest/manifest_reader.h"
#include "agent/report/sizes.h"
#include "base/encoding.h"
#include "base/md5_lanes.h"
#include "base/utf16.h"
#include "bitlocker/create.h"
#include "bitlocker/encrypted_device.h"
#include "bitlocker/open.h"
#include "drive/layout/gpt.h"
#include "drive/ntfs/consistency.h"
#include "drive/ntfs/volume_reader.h"

namespace driveprep::prepare {
namespace {

constexpr std::size_t kThreads = 3;  // one waits for the drive while two compute
constexpr std::size_t kWindowBytes = 4 * 1024 * 1024;
constexpr std::size_t kSmallBatch = 64;

[[noreturn]] void fail(std::string code, std::string message) {
  throw Error(ErrorKind::kVerification, std::move(code), std::move(message),
              "Do not ship this drive: prepare it again, on another drive if it happens twice.");
}

// Reads whole windows of the volume and keeps the last one: small files lie side by side in the
// order of the manifest, and the drive is spared one access a file.
class WindowReader {
 public:
  explicit WindowReader(const block::ReadableDevice& volume) : volume_(volume) {}

  void read(std::uint64_t offset, MutableByteView out) {
    for (std::size_t done = 0; done < out.size();) {
      const std::uint64_t at = offset + done;
      load(round_down(at, kWindowBytes));
      const std::size_t begin = at - start_;
      const std::size_t count = std::min(out.size() - done, length_ - begin);
      std::copy_n(buffer_.span().begin() + static_cast<std::ptrdiff_t>(begin), count,
                  out.begin() + static_cast<std::ptrdiff_t>(done));
      done += count;
    }
  }

 private:
  void load(std::uint64_t start) {
    if (length_ > 0 && start == start_) return;
    length_ = 0;
    const std::size_t length = std::min<std::uint64_t>(kWindowBytes, volume_.size() - start);
    volume_.read(start, buffer_.span().first(length));
    start_ = start;
    length_ = length;
  }

  const block::ReadableDevice& volume_;
  block::AlignedBuffer buffer_{kWindowBytes};
  std::uint64_t start_ = 0;
  std::size_t length_ = 0;
};

// The bytes [offset, offset + length) of a file as ranges of the volume.
std::vector<ByteRange> part_of(const std::vector<ByteRange>& ranges, std::uint64_t offset,
                               std::uint64_t length) {
  std::vector<ByteRange> part;
  std::uint64_t begin = 0;
  for (const ByteRange& range : ranges) {
    const std::uint64_t from = std::max(begin, offset);
    const std::uint64_t to = std::min(begin + range.length, offset + length);
    // To the end of the range's clusters: direct reads want whole sectors.
    const std::uint64_t end = std::min(begin + range.length, round_up(to, block::kDirectAlignment));
    if (from < to) part.push_back({range.offset + (from - begin), end - from});
    begin += range.length;
  }
  return part;
}

std::u16string path_components(const std::string& file_path) {
  std::optional<std::u16string> path = utf16_from_utf8(file_path);
  if (!path) fail("manifest-invalid", "a FilePath of the manifest is not valid UTF-8");
  std::u16string joined;
  for (char16_t unit : *path) joined.push_back(unit == u'\\' ? u'/' : unit);
  return joined.substr(joined.starts_with(u'/') ? 1 : 0);
}

manifest::ManifestReader::Source file_source(const block::ReadableDevice& volume,
                                             const ntfs::FileInfo& file) {
  struct State {
    WindowReader window;
    std::uint64_t position = 0;
  };
  auto state = std::make_shared<State>(State{WindowReader(volume), 0});
  return [state, &file](MutableByteView out) -> std::size_t {
    const std::size_t count = std::min<std::uint64_t>(out.size(), file.size - state->position);
    if (file.resident) {
      std::copy_n(file.content.begin() + static_cast<std::ptrdiff_t>(state->position), count,
                  out.begin());
    } else {
      std::size_t done = 0;
      std::uint64_t begin = 0;
      for (const ByteRange& range : file.ranges) {
        const std::uint64_t from = std::max(begin, state->position);
        const std::uint64_t to = std::min(begin + range.length, state->position + count);
        if (from < to) {
          state->window.read(range.offset + (from - begin), out.subspan(done, to - from));
          done += to - from;
        }
        begin += range.length;
      }
      require(done == count, "the manifest has no place on the volume");
    }
    state->position += count;
    return count;
  };
}

class DriveVerifier {
 public:
  explicit DriveVerifier(VerifyRequest request)
      : request_(std::move(request)),
        gpt_(layout::read_gpt(request_.disk)),
        partition_(request_.disk, gpt_.partition, request_.disk.name() + " (partition 1)"),
        opened_(open()),
        volume_(partition_, opened_.layout, opened_.cipher),
        reader_(volume_),
        window_(volume_),
        checker_(volume_, {.threads = kThreads, .buffers = request_.buffers},
                 [this](std::uint64_t bytes) { count_bytes(bytes); }) {}

  VerifyReport run() {
    if (!request_.metadata_offsets) check_volume_header();
    check_metadata_copies();
    check_root();
    if (reader_.marked_dirty()) {
      fail("volume-unfinished",
           "the file system on " + request_.disk.name() + " is marked as not properly finished");
    }
    // First, as it takes seconds: nobody shall wait for hours to hear of it.
    report_.inconsistency = ntfs::find_inconsistency(volume_, reader_, request_.stop);
    report_.cache_bypassed = request_.disk.bypasses_cache();
    if (report_.inconsistency) return std::move(report_);
    const std::optional<ntfs::FileInfo> file = reader_.open(u"DriveManifest.xml");
    if (!file || file->is_directory()) {
      fail("manifest-missing",
           "there is no DriveManifest.xml in the root of " + request_.disk.name());
    }
    manifest::ManifestReader manifest(file_source(volume_, *file),
                                      "DriveManifest.xml on " + request_.disk.name());
    if (manifest.header().drive_id != request_.drive_id) {
      fail("manifest-drive-id", "the manifest on " + request_.disk.name() + " is for drive " +
                                    manifest.header().drive_id + ", not " + request_.drive_id);
    }
    manifest::Blob blob;
    while (!stopped() && manifest.next(blob)) {
      count_files();
      check_blob(blob);
    }
    flush_small();
    checker_.finish();
    count_files();
    if (!stopped()) {
      check_attached(manifest);
      check_manifest_hash(manifest);
    }

    report_.stopped = stopped();
    report_.bytes = bytes_;
    report_.mismatch_count = checker_.mismatch_count();
    report_.unreadable_count = checker_.unreadable_count();
    report_.mismatches = checker_.mismatches();
    return std::move(report_);
  }

 private:
  struct Small {
    std::shared_ptr<const std::string> blob;
    Bytes content;
    Md5 expected{};
  };

  bitlocker::OpenedVolume open() {
    bitlocker::OpenOptions options;
    options.metadata_offsets = request_.metadata_offsets;
    bitlocker::OpenedVolume opened =
        bitlocker::open_volume(partition_, request_.recovery_password.clone(), options);
    if (opened.volume_id != request_.volume) {
      throw Error(ErrorKind::kJournalMismatch, "drive-other-volume",
                  request_.disk.name() + " holds BitLocker volume " + opened.volume_id.lower() +
                      ", the journal knows " + request_.volume.lower(),
                  "Put back the drive that was prepared, and verify it.");
    }
    return opened;
  }

  bool stopped() const { return request_.stop != nullptr && *request_.stop; }

  void count_bytes(std::uint64_t bytes) {
    bytes_ += bytes;
    if (request_.progress != nullptr) request_.progress->add_bytes(bytes);
  }

  // A file counts as done when the next one is begun.
  void count_files() {
    if (request_.progress != nullptr) request_.progress->add_files(report_.files - files_counted_);
    files_counted_ = report_.files;
  }

  // Ranges of a page blob that hold nothing are not in the manifest, and so not compared.
  void count_empty(const manifest::Blob& blob) {
    std::uint64_t listed = 0;
    for (const manifest::Piece& piece : blob.pieces) listed += piece.length;
    const std::uint64_t empty = blob.header.length - std::min(listed, blob.header.length);
    report_.empty_bytes += empty;
    if (request_.progress != nullptr) request_.progress->skip_bytes(empty);
  }

  // This program would open the volume with less than that, others would not.
  void check_volume_header() {
    Bytes boot_sector(opened_.layout.sector_size.bytes());
    volume_.read(0, boot_sector);
    const std::optional<std::size_t> at =
        bitlocker::header_difference(partition_, opened_.layout, boot_sector);
    if (at) {
      fail("bitlocker-header-differs", "the BitLocker volume header on " + request_.disk.name() +
                                           " is not as it was written: byte " +
                                           std::to_string(*at) + " differs");
    }
  }

  void check_metadata_copies() {
    Bytes first(bitlocker::kMetadataSize);
    Bytes other(bitlocker::kMetadataSize);
    partition_.read(opened_.layout.metadata[0], first);
    for (std::size_t copy = 1; copy < 3; ++copy) {
      partition_.read(opened_.layout.metadata[copy], other);
      if (other != first) {
        fail("bitlocker-copies-differ", "copy " + std::to_string(copy + 1) +
                                            " of the BitLocker metadata on " +
                                            request_.disk.name() + " differs from the first");
      }
    }
  }

  // The service must find nothing in the root that it could take for something else.
  void check_root() {
    std::size_t sessions = 0;
    for (const ntfs::DirectoryEntry& entry : reader_.list(u"")) {
      if (entry.name.starts_with(u'$') || entry.name == u"." ||
          entry.name == u"System Volume Information" || entry.name == u"DriveManifest.xml") {
        continue;
      }
      if (!entry.directory || ++sessions > 1) {
        fail("unexpected-root-entry",
             "the root of the volume on " + request_.disk.name() +
                 " holds something else: " + utf8_from_utf16(entry.name).value_or("?"));
      }
    }
  }

  void check_blob(const manifest::Blob& blob) {
    auto name = std::make_shared<const std::string>(blob.header.blob_path);
    ++report_.files;
    report_.blocks += blob.pieces.size();
    const std::optional<ntfs::FileInfo> file = reader_.open(path_components(blob.header.file_path));
    if (!file || file->is_directory()) {
      checker_.report({*name, 0, "the file " + blob.header.file_path + " is not on the drive"});
      return;
    }
    if (file->size != blob.header.length || file->valid_length < file->size) {
      checker_.report({*name, 0,
                       "the file " + blob.header.file_path + " has " +
                           std::to_string(std::min(file->size, file->valid_length)) +
                           " valid bytes, the manifest says " +
                           std::to_string(blob.header.length)});
      return;
    }
    count_empty(blob);
    // Small, and in the order of the drive: cheaper here than handed to another thread.
    const bool small = file->size <= kWindowBytes / 4 && blob.pieces.size() <= 1;
    for (const manifest::Piece& piece : blob.pieces) {
      if (small) {
        add_small(name, *file, piece);
      } else {
        checker_.add({name, piece.offset, piece.length, piece.hash,
                      part_of(file->ranges, piece.offset, piece.length)});
      }
    }
  }

  void add_small(const std::shared_ptr<const std::string>& name, const ntfs::FileInfo& file,
                 const manifest::Piece& piece) {
    Small small{name, {}, piece.hash};
    if (file.resident) {
      small.content.assign(file.content.begin(), file.content.end());
    } else {
      small.content.resize(file.size);
      std::size_t done = 0;
      for (const ByteRange& range : file.ranges) {
        const std::size_t count = std::min<std::uint64_t>(range.length, file.size - done);
        window_.read(range.offset, MutableByteView(small.content).subspan(done, count));
        done += count;
      }
    }
    small.content =
        Bytes(small.content.begin() + static_cast<std::ptrdiff_t>(piece.offset),
              small.content.begin() + static_cast<std::ptrdiff_t>(piece.offset + piece.length));
    small_.push_back(std::move(small));
    if (small_.size() == kSmallBatch) flush_small();
  }

  void flush_small() {
    std::vector<ByteView> views;
    for (const Small& small : small_) views.push_back(small.content);
    std::vector<Md5> found(views.size());
    md5_lanes(views, found);
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i] != small_[i].expected) {
        checker_.report(
            {*small_[i].blob, 0,
             "expected MD5 " + hex_upper(small_[i].expected) + ", found " + hex_upper(found[i])});
      }
      count_bytes(views[i].size());
    }
    small_.clear();
  }

  // Metadata and properties files that the lists of the manifest refer to.
  void check_attached(const manifest::ManifestReader& manifest) {
    for (const manifest::BlobList& list : manifest.lists()) {
      for (const auto& attached : {list.metadata, list.properties}) {
        if (!attached) continue;
        const std::optional<ntfs::FileInfo> file = reader_.open(path_components(attached->path));
        Bytes content;
        if (file) {
          const auto source = file_source(volume_, *file);
          content.resize(file->size);
          source(content);
        }
        if (!file || md5(content) != attached->hash) {
          checker_.report({attached->path, 0, "the file is missing or differs from its hash"});
        }
      }
    }
  }

  void check_manifest_hash(manifest::ManifestReader& manifest) {
    const std::string found = hex_upper(manifest.md5());
    if (!request_.manifest_md5.empty() && found != request_.manifest_md5) {
      fail("manifest-hash", "the manifest on " + request_.disk.name() + " has MD5 " + found +
                                ", the journal says " + request_.manifest_md5);
    }
  }

  VerifyRequest request_;
  layout::GptLayout gpt_;
  block::ReadableSlice partition_;
  bitlocker::OpenedVolume opened_;
  bitlocker::DecryptedDevice volume_;
  ntfs::VolumeReader reader_;
  WindowReader window_;
  VerifyReport report_;
  std::uint64_t files_counted_ = 0;
  std::atomic<std::uint64_t> bytes_{0};
  std::vector<Small> small_;
  PieceChecker checker_;  // last: its threads use what is above
};

}  // namespace

void require_disk(const block::FileDevice& disk, const Guid& expected) {
  if (layout::names_disk(disk, expected)) return;
  throw Error(
      ErrorKind::kJournalMismatch, "image-not-the-one-begun",
      disk.name() +
          " is not the drive that was prepared: neither copy of a partition table "
          "on it has disk GUID " +
          expected.lower(),
      "Put the right drive back, and verify it; if this is it, both copies of its partition "
      "table are damaged: do not ship it.");
}

VerifyReport verify_drive(VerifyRequest request) {
  if (request.progress != nullptr) {
    request.progress->begin(report::Phase::kVerifying, request.expected_bytes,
                            request.expected_files);
  }
  // Where direct reads are impossible, at least nothing of the file shall be in the page cache.
  if (!request.disk.bypasses_cache()) {
    ::posix_fadvise(request.disk.fd(), 0, 0, POSIX_FADV_DONTNEED);
  }
  return DriveVerifier(std::move(request)).run();
}

Error verification_error(const std::string& drive_id, const VerifyReport& report) {
  if (report.inconsistency) {
    return Error(ErrorKind::kVerification, "file-system-inconsistent",
                 "drive " + drive_id + ": its file system is not whole: " + *report.inconsistency,
                 "Do not ship this drive: prepare it again, on another drive if it happens twice.");
  }
  require(report.mismatch_count > 0, "a verification without a finding has failed");
  const std::string first = ", the first in " + report.mismatches.front().blob;
  if (report.mismatch_count == report.unreadable_count) {
    return Error(
        ErrorKind::kVerification, "blocks-unreadable",
        "drive " + drive_id + ": " + report::counted(report.mismatch_count, "block") +
            " could not be read" + first + ": " + report.mismatches.front().what,
        "Look at the cable and the kernel's messages, then read it again; if that repeats, "
        "use another drive.");
  }
  return Error(ErrorKind::kVerification, "blocks-differ",
               "drive " + drive_id + ": " + report::counted(report.mismatch_count, "difference") +
                   " from the manifest" + first,
               "Do not ship this drive: prepare it again, on another drive if it happens twice.");
}

}  // namespace driveprep::prepare
