#include "agent/volume/extraction.h"

#include <algorithm>

#include "agent/volume/file_names.h"
#include "base/md5_lanes.h"
#include "base/units.h"
#include "drive/ntfs/names.h"

namespace driveprep::volume {
namespace {

constexpr std::uint64_t kStep = 4 * kMiB;  // a block of most manifests, too
constexpr std::size_t kProblemsKept = 1000;
constexpr auto kProgressInterval = std::chrono::milliseconds(200);

std::string checked_name(const ntfs::Entry& entry) {
  std::optional<std::string> name = linux_name(entry.name);
  if (name) return *std::move(name);
  throw Error(
      ErrorKind::kRefused, "output-name",
      "record " + std::to_string(entry.record) +
          " has a name that no file on Linux can have: it is \".\" or \"..\", or holds a slash "
          "or a NUL",
      "Nothing that Windows made has such a name: treat the volume with caution.");
}

bool is_link(const ntfs::Entry& entry) {
  return entry.kind == ntfs::EntryKind::kSymbolicLink || entry.kind == ntfs::EntryKind::kJunction;
}

}  // namespace

Extraction::Extraction(ntfs::FileTree& tree, const ExtractRequest& request)
    : tree_(tree),
      request_(request),
      start_(find_or_throw(tree, request.path)),
      folded_start_(ntfs::fold_case(start_.path)),
      output_(request.output) {}

ExtractReport Extraction::run() {
  try {
    if (request_.verify) {
      const std::optional<ntfs::Found> manifest =
          tree_.find(path_from_text(manifest::kManifestFilePath));
      if (manifest && manifest->entry.kind == ntfs::EntryKind::kFile) follow_manifest(*manifest);
    }
    walk_tree(tree_, start_, *this);
    output_.sync();
  } catch (const Stopped&) {
    report_.stopped = true;
  }
  progress(true);
  return std::move(report_);
}

void Extraction::file(std::u16string_view path, const ntfs::Entry& entry) {
  check_stop();
  if (done(path, entry)) return;
  const bool copied = take(path, entry, directory_, nullptr);
  if (copied && report_.manifest && path != manifest_path_) ++report_.manifest->unnamed;
}

bool Extraction::enter(std::u16string_view path, const ntfs::Entry& directory) {
  check_stop();
  if (path.empty()) return true;  // the root is the output itself
  const std::size_t depth = directory_.size();
  try {
    directory_.push_back(checked_name(directory));
    output_.enter(directory_);
    ++report_.directories;
    return true;
  } catch (const Error& error) {
    if (is_output_failure(error)) throw;
    directory_.resize(depth);
    report(ProblemKind::kFailed, path, std::nullopt, error);
    return false;
  }
}

void Extraction::leave(std::u16string_view path, const ntfs::Entry& directory) {
  if (path.empty()) return;
  output_.enter(directory_);
  output_.set_times(directory.times);
  directory_.pop_back();
}

void Extraction::problem(std::u16string_view path, const Error& error) {
  report(ProblemKind::kFailed, path, std::nullopt, error);
}

bool Extraction::take(std::u16string_view path, const ntfs::Entry& entry,
                      std::span<const std::string> directory, const Expected* expected) {
  try {
    const auto file = tree_.open(entry, path);
    const std::string name = checked_name(entry);
    OutputFile output(output_.enter(directory), name, request_.existing);
    if (expected != nullptr) {
      compare(path, *file, &output, *expected);
    } else {
      copy(*file, &output, nullptr);
    }
    output.commit(file->size(), entry.times);
  } catch (const Error& error) {
    if (is_output_failure(error) || error.kind() == ErrorKind::kInternal) throw;
    report(is_link(entry) ? ProblemKind::kSkipped : ProblemKind::kFailed, path, std::nullopt,
           error);
    return false;
  }
  ++report_.files;
  progress(false);
  return true;
}

void Extraction::compare(std::u16string_view path, ntfs::FileReader& file, OutputFile* output,
                         const Expected& expected) {
  constexpr const char* kRemedy =
      "Treat the file as damaged: read the drive again, or get the file from where it came from.";
  const std::string text = text_of_path(path);
  ManifestResult& result = *report_.manifest;
  std::uint64_t differences = 0;
  const auto differs = [&](std::optional<std::uint64_t> offset, const std::string& what) {
    ++differences;
    report(ProblemKind::kDiffers, path, offset,
           Error(ErrorKind::kVerification, "blocks-differ", text + ": " + what, kRemedy));
  };
  PieceCheck check(expected.pieces, [&](std::uint64_t offset, const std::string& what) {
    ++result.differing_blocks;
    differs(offset, "block at offset " + std::to_string(offset) + ": " + what);
  });
  copy(file, output, &check);
  check.finish();
  if (expected.length && *expected.length != file.size()) {
    differs(std::nullopt, "it has " + std::to_string(file.size()) + " bytes, the manifest says " +
                              std::to_string(*expected.length));
  }
  if (differences > 0) ++result.differing_files;
  if (output == nullptr) return;
  ++result.compared;
  result.uncovered_bytes += file.size() - std::min(file.size(), check.covered());
}

void Extraction::copy(ntfs::FileReader& file, OutputFile* output, PieceCheck* check) {
  // As many blocks at once as are hashed side by side.
  const std::uint64_t step = check == nullptr ? kStep : kStep * md5_lane_count();
  const std::uint64_t room = std::min(step, file.size());
  if (buffer_.size() < room) buffer_ = block::AlignedBuffer(room);
  for (std::uint64_t at = 0; at < file.size();) {
    check_stop();
    const ntfs::FileReader::Stretch stretch = file.stretch(at);
    std::uint64_t length = stretch.length;
    if (check != nullptr || !stretch.hole) {
      length = std::min(step, file.size() - at);
      const MutableByteView part = buffer_.span().first(length);
      file.read(at, part);
      if (check != nullptr) check->add(part);
      if (output != nullptr) output->write(at, part);
    }
    at += length;
    report_.bytes += output == nullptr ? 0 : length;
    progress(false);
  }
}

// Millions of files: a bit each; a path only for those that have others.
bool Extraction::done(std::u16string_view path, const ntfs::Entry& entry) const {
  if (entry.links > 1) return done_paths_.contains(std::u16string(path));
  return entry.record < done_records_.size() && done_records_[entry.record];
}

void Extraction::set_done(std::u16string_view path, const ntfs::Entry& entry) {
  if (entry.links > 1) {
    done_paths_.emplace(path);
    return;
  }
  if (entry.record >= done_records_.size())
    done_records_.resize(entry.record + entry.record / 4 + 1);
  done_records_[entry.record] = true;
}

void Extraction::report(ProblemKind kind, std::u16string_view path,
                        std::optional<std::uint64_t> offset, const Error& error) {
  switch (kind) {
    case ProblemKind::kFailed: ++report_.failed; break;
    case ProblemKind::kSkipped: ++report_.skipped; break;
    case ProblemKind::kDiffers: ++report_.differing; break;
  }
  ExtractProblem problem{kind,         text_of_path(path), offset,
                         error.code(), error.what(),       error.remedy()};
  if (request_.on_problem) request_.on_problem(problem);
  if (report_.problems.size() < kProblemsKept) report_.problems.push_back(std::move(problem));
}

void Extraction::progress(bool at_once) {
  if (!request_.on_progress) return;
  const auto now = std::chrono::steady_clock::now();
  if (!at_once && now - told_ < kProgressInterval) return;
  told_ = now;
  request_.on_progress({report_.files, report_.bytes});
}

void Extraction::check_stop() const {
  if (request_.stop != nullptr && *request_.stop) throw Stopped();
}

}  // namespace driveprep::volume
