#include "agent/prepare/manifest_builder.h"

#include <map>
#include <utility>

#include "agent/manifest/hash_spool.h"
#include "agent/plan/file_read_ahead.h"
#include "base/atomic_file.h"
#include "base/system_error.h"

namespace driveprep::prepare {
namespace {

// Hands out the hashes of the files in plan order. The spool is in that order too, but for files
// that failed and were copied by a later run: those few are collected first.
class SpooledHashes {
 public:
  SpooledHashes(const std::filesystem::path& spool, std::uint64_t length)
      : late_(collect_late(spool, length)), reader_(spool, length) {}

  // Valid until the next call.
  const manifest::FileHashes& of(std::uint64_t number) {
    if (const auto late = late_.find(number); late != late_.end()) return late->second;
    while (reader_.next(current_)) {
      if (current_.number == number && current_.status == manifest::SpoolStatus::kDone) {
        return current_;
      }
    }
    internal_error("file " + std::to_string(number) + " has no hashes in the spool");
  }

 private:
  static std::map<std::uint64_t, manifest::FileHashes> collect_late(
      const std::filesystem::path& spool, std::uint64_t length) {
    std::map<std::uint64_t, manifest::FileHashes> late;
    manifest::HashSpoolReader reader(spool, length);
    manifest::FileHashes record;
    std::uint64_t next = 0;
    while (reader.next(record)) {
      if (record.number >= next) {
        next = record.number + 1;
      } else if (record.status == manifest::SpoolStatus::kDone) {
        late.insert_or_assign(record.number, record);
      } else {
        late.erase(record.number);
      }
    }
    return late;
  }

  std::map<std::uint64_t, manifest::FileHashes> late_;
  manifest::HashSpoolReader reader_;
  manifest::FileHashes current_;
};

manifest::Disposition disposition_of(job::Disposition disposition) {
  switch (disposition) {
    case job::Disposition::kRename: return manifest::Disposition::kRename;
    case job::Disposition::kNoOverwrite: return manifest::Disposition::kNoOverwrite;
    case job::Disposition::kOverwrite: return manifest::Disposition::kOverwrite;
  }
  internal_error("unknown disposition");
}

// The list that files of one dataset row belong to; `part` counts the lists of the whole manifest.
manifest::BlobList list_for(const plan::PlanStore& plan, std::size_t row, std::uint64_t part,
                            const std::vector<plan::Attachment>& attachments) {
  manifest::BlobList list;
  list.id = plan.session() + "#" + std::to_string(row + 1) + "-" + std::to_string(part);
  for (const plan::Attachment& attachment : attachments) {
    if (attachment.dataset_row != row) continue;
    manifest::AttachedFile file{attachment.file_path, md5(as_bytes(attachment.content))};
    auto& slot = attachment.kind == job::BlobFileKind::kMetadata ? list.metadata : list.properties;
    slot = std::move(file);
  }
  return list;
}

void write_pieces(manifest::ManifestWriter& writer, const manifest::FileHashes& hashes) {
  std::size_t next_hash = 0;
  for (std::uint64_t i = 0; i < hashes.piece_count(); ++i) {
    if (!hashes.present.empty() && hashes.present[i] == 0) continue;
    const std::uint64_t offset = i * hashes.piece_length;
    const std::uint64_t length =
        std::min<std::uint64_t>(hashes.piece_length, hashes.length - offset);
    writer.piece(offset, static_cast<std::uint32_t>(length), hashes.hashes.at(next_hash++));
  }
}

manifest::ManifestSummary write_manifest(const ManifestRequest& request) {
  const plan::PlanStore& plan = request.plan;
  const std::vector<plan::Attachment> attachments = plan.attachments(request.drive);
  SpooledHashes hashes(request.spool, request.spool_length);

  AtomicFile file(request.output, 0644);
  manifest::ManifestHeader header;
  header.drive_id = plan.drives().at(request.drive).drive_id;
  header.client_creator = request.creator;
  manifest::ManifestWriter writer([&](ByteView bytes) { file.write(bytes); }, header);

  plan::FileReadAhead files(request.plan_file, request.drive, 0, plan::ItemTexts::kManifest);
  plan::FileItem item;
  std::optional<std::size_t> row;
  std::uint64_t part = 0;
  while (files.next(item)) {
    if (row != item.dataset_row) {
      if (row) writer.end_list();
      row = item.dataset_row;
      writer.begin_list(list_for(plan, *row, part++, attachments));
    }
    const manifest::FileHashes& found = hashes.of(item.number);
    manifest::BlobHeader blob;
    blob.blob_path = item.blob_path;
    blob.file_path = item.file_path;
    blob.length = found.length;
    blob.type = found.type;
    blob.disposition = disposition_of(item.disposition);
    writer.begin_blob(blob);
    write_pieces(writer, found);
    writer.end_blob();
  }
  if (row) writer.end_list();
  manifest::ManifestSummary summary = writer.finish();
  file.commit();
  return summary;
}

}  // namespace

manifest::ManifestSummary build_manifest(const ManifestRequest& request) {
  return in_job_directory([&] { return write_manifest(request); });
}

}  // namespace driveprep::prepare
