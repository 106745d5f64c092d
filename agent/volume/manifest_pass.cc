// The part of an extraction in which the manifest leads.
#include <algorithm>

#include "agent/manifest/manifest_reader.h"
#include "agent/volume/extraction.h"
#include "agent/volume/file_names.h"
#include "drive/ntfs/names.h"

namespace driveprep::volume {
namespace {

constexpr std::uint64_t kMostAttached = kGiB;  // they are small XML files; what is longer is none

manifest::ManifestReader::Source source_of(ntfs::FileReader& file) {
  return [&file, at = std::uint64_t{0}](MutableByteView out) mutable {
    const std::size_t count = std::min<std::uint64_t>(out.size(), file.size() - at);
    file.read(at, out.first(count));
    at += count;
    return count;
  };
}

std::u16string with_slashes(std::u16string path) {
  std::ranges::replace(path, u'\\', u'/');
  return path.substr(path.starts_with(u'/') ? 1 : 0);
}

bool lies_in(std::u16string_view path, std::u16string_view directory) {
  return directory.empty() || (path.starts_with(directory) &&
                               (path.size() == directory.size() || path[directory.size()] == u'/'));
}

}  // namespace

void Extraction::follow_manifest(const ntfs::Found& manifest) {
  report_.manifest.emplace();
  manifest_path_ = manifest.path;
  try {
    const auto file = tree_.open(manifest.entry, manifest.path);
    manifest::ManifestReader reader(source_of(*file),
                                    text_of_path(manifest.path) + " on " + tree_.name());
    manifest::Blob blob;
    while (reader.next(blob)) {
      check_stop();
      take_named(blob.header.file_path, blob.header.length, blob.pieces);
      take_attached(blob.header.metadata);
      take_attached(blob.header.properties);
    }
    for (const manifest::BlobList& list : reader.lists()) {
      take_attached(list.metadata);
      take_attached(list.properties);
    }
    report_.manifest->complete = true;
  } catch (const Error& error) {
    if (is_output_failure(error) || error.kind() == ErrorKind::kInternal) throw;
    report(ProblemKind::kFailed, manifest.path, std::nullopt, error);
  }
}

std::optional<ntfs::Found> Extraction::find_named(const std::string& file_path) {
  const std::u16string path = with_slashes(path_from_text(file_path));
  // Most of a large manifest may be outside of what was asked for, and is not looked up then.
  if (!folded_start_.empty() && !lies_in(ntfs::fold_case(path), folded_start_)) return std::nullopt;
  try {
    std::optional<ntfs::Found> found = tree_.find(path);
    if (found && lies_in(found->path, start_.path)) return found;
    if (found) return std::nullopt;
  } catch (const Error& error) {
    // What is damaged, or a link, is told when the walk comes there.
    if (error.kind() != ErrorKind::kUsage) return std::nullopt;
  }
  ++report_.manifest->missing;
  report(ProblemKind::kDiffers, path, std::nullopt,
         Error(ErrorKind::kVerification, "file-missing",
               "the manifest names " + file_path + ", which is not on " + tree_.name(),
               "Get the file from where it came from."));
  return std::nullopt;
}

std::optional<std::vector<std::string>> Extraction::output_directory(
    std::u16string_view path) const {
  const std::size_t above_start = start_.path.rfind(u'/');
  if (above_start != std::u16string::npos) path.remove_prefix(above_start + 1);
  std::vector<std::string> components;
  for (std::size_t slash = path.find(u'/'); slash != std::u16string_view::npos;
       slash = path.find(u'/')) {
    std::optional<std::string> name = linux_name(path.substr(0, slash));
    if (!name) return std::nullopt;
    components.push_back(*std::move(name));
    path.remove_prefix(slash + 1);
  }
  return components;
}

void Extraction::take_named(const std::string& file_path, std::optional<std::uint64_t> length,
                            const std::vector<manifest::Piece>& pieces) {
  const std::optional<ntfs::Found> found = find_named(file_path);
  if (!found || found->entry.kind != ntfs::EntryKind::kFile) return;
  const Expected expected{length, pieces};
  if (done(found->path, found->entry)) {
    compare_again(*found, expected);
    return;
  }
  const auto directory = output_directory(found->path);
  if (!directory) return;  // the walk tells why
  set_done(found->path, found->entry);
  take(found->path, found->entry, *directory, &expected);
}

// A file that became several blobs: it is extracted already.
void Extraction::compare_again(const ntfs::Found& found, const Expected& expected) {
  try {
    const auto file = tree_.open(found.entry, found.path);
    compare(found.path, *file, nullptr, expected);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal) throw;
    report(ProblemKind::kFailed, found.path, std::nullopt, error);
  }
}

void Extraction::take_attached(const std::optional<manifest::AttachedFile>& attached) {
  if (!attached) return;
  const std::optional<ntfs::Found> found = find_named(attached->path);
  // The same one usually belongs to many blobs.
  if (!found || done(found->path, found->entry)) return;
  if (found->entry.size > kMostAttached) return;
  const std::vector<manifest::Piece> whole = {
      {0, static_cast<std::uint32_t>(found->entry.size), attached->hash}};
  take_named(attached->path, std::nullopt, whole);
}

}  // namespace driveprep::volume
