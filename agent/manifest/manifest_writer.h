// Writes DriveManifest.xml as a stream: memory use does not depend on its size, and a block costs
// no allocation.
//
// Order of calls: begin_list { begin_blob piece* end_blob }* end_list ... finish. A list without
// blobs is left out of the manifest. Errors: kUsage "manifest-invalid-value" for a value the
// manifest cannot hold (characters that XML has no way to write, a path that is not drive-relative,
// a missing drive id); kUsage "manifest-empty" from finish() when there was no blob at all (the
// format wants at least one); kInternal for a wrong order of calls or pieces that break the
// coverage rules.
#pragma once

#include <functional>
#include <future>
#include <string>

#include "agent/manifest/manifest_format.h"
#include "base/bytes.h"

namespace driveprep::manifest {

struct ManifestSummary {
  Md5 md5{};
  std::string md5_hex;  // upper case, as announced in the job
  std::uint64_t bytes = 0;
  std::uint64_t lists = 0;
  std::uint64_t blobs = 0;
  std::uint64_t pieces = 0;
};

class ManifestWriter {
 public:
  // Takes a run of the manifest's bytes, up to 256 KiB. Called from another thread, one call at a
  // time; an exception reaches a later call of the writer.
  using Sink = std::function<void(ByteView)>;

  ManifestWriter(Sink sink, const ManifestHeader& header);

  void begin_list(const BlobList& list);
  void begin_blob(const BlobHeader& blob);
  // Ascending offsets. Blocks get ids (a 32-bit little-endian counter, base64) when the blob has
  // more than one.
  void piece(std::uint64_t offset, std::uint32_t length, const Md5& hash);
  void end_blob();
  void end_list();
  // Everything has gone to the sink when this returns. The last call.
  ManifestSummary finish();

 private:
  enum class State { kDrive, kList, kBlob, kFinished };

  void make_room(std::size_t size);
  void raw(std::string_view text);
  void escaped(std::string_view text);
  void element(std::string_view indent, std::string_view name, std::string_view text);
  void attached(std::string_view indent, std::string_view name,
                const std::optional<AttachedFile>& file);
  void drain();

  Sink sink_;
  Bytes buffer_;
  Bytes full_;  // on its way to the sink
  std::size_t used_ = 0;
  Digest digest_{Digest::Algorithm::kMd5};
  ManifestSummary summary_;
  State state_ = State::kDrive;
  BlobList pending_list_;
  bool list_open_ = false;  // its start tag has been written
  PieceRules rules_;
  BlobHeader blob_;  // the open one
  bool with_ids_ = false;
  std::future<void> draining_;  // of full_; last, so that its end is waited for first
};

}  // namespace driveprep::manifest
