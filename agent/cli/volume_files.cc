#include "agent/cli/output.h"
#include "agent/cli/stop_signals.h"
#include "agent/cli/volume_output.h"
#include "agent/cli/volume_session.h"
#include "agent/report/progress_display.h"
#include "agent/volume/copy_out.h"
#include "agent/volume/extract.h"
#include "agent/volume/list_files.h"
#include "base/encoding.h"
#include "base/human_text.h"
#include "base/utf16.h"
#include "bitlocker/encrypted_device.h"

namespace driveprep::cli {
namespace {

using nlohmann::ordered_json;

// An opened volume and the files on it.
struct OpenedFiles {
  ExaminedVolume volume;
  bitlocker::OpenedVolume opened;
  bitlocker::DecryptedDevice plain;
  ntfs::FileTree tree;

  explicit OpenedFiles(const VolumeOptions& options)
      : volume(options, volume::Access::kRead),
        opened(open_examined(volume, options)),
        plain(volume.device(), opened.layout, opened.cipher),
        tree(plain) {}
};

std::string_view kind_word(ntfs::EntryKind kind) {
  switch (kind) {
    case ntfs::EntryKind::kFile: return "file";
    case ntfs::EntryKind::kDirectory: return "directory";
    case ntfs::EntryKind::kSymbolicLink: return "symbolic-link";
    case ntfs::EntryKind::kJunction: return "junction";
    case ntfs::EntryKind::kReparsePoint: return "reparse-point";
  }
  return "file";
}

// A name that is no Unicode has to come back exactly, too: as the bytes that `volume cat` takes.
ordered_json path_bytes(const std::string& path) {
  if (utf16_from_utf8(path)) return nullptr;
  return base64url(as_bytes(path));
}

ordered_json entry_json(const std::string& path, const ntfs::Entry& entry) {
  return {{"path", path},
          {"path_base64url", path_bytes(path)},
          {"kind", kind_word(entry.kind)},
          {"size", entry.size},
          {"modified", FileTime{entry.times.modification}.iso8601()},
          {"created", FileTime{entry.times.creation}.iso8601()},
          {"accessed", FileTime{entry.times.access}.iso8601()},
          {"attributes", entry.attributes},
          {"reparse_tag", entry.reparse_tag},
          {"links", entry.links},
          {"record", entry.record}};
}

std::string entry_line(const std::string& path, const ntfs::Entry& entry) {
  std::string size = entry.is_directory() ? "-" : human_count(entry.size);
  if (size.size() < 15) size.insert(0, 15 - size.size(), ' ');
  std::string line =
      FileTime{entry.times.modification}.iso8601() + "  " + size + "  " + printable_line(path);
  if (entry.is_directory()) line += "/";
  if (entry.kind != ntfs::EntryKind::kFile && !entry.is_directory()) {
    line += "  (" + std::string(kind_word(entry.kind)) + ")";
  }
  return line;
}

ordered_json problem_json(const std::string& path, const std::string& code,
                          const std::string& message) {
  return {{"path", path}, {"code", code}, {"message", message}};
}

std::string_view problem_word(volume::ProblemKind kind) {
  switch (kind) {
    case volume::ProblemKind::kFailed: return "failed";
    case volume::ProblemKind::kSkipped: return "skipped";
    case volume::ProblemKind::kDiffers: return "differs";
  }
  return "failed";
}

ordered_json manifest_json(const std::optional<volume::ManifestResult>& result) {
  if (!result) return nullptr;
  return {{"compared", result->compared},
          {"differing_files", result->differing_files},
          {"differing_blocks", result->differing_blocks},
          {"missing", result->missing},
          {"unnamed", result->unnamed},
          {"uncovered_bytes", result->uncovered_bytes},
          {"complete", result->complete}};
}

ordered_json report_json(const OpenedFiles& files, const ExtractOptions& options,
                         const volume::ExtractReport& report) {
  ordered_json document = volume_head(files.volume);
  ordered_json problems = ordered_json::array();
  for (const volume::ExtractProblem& problem : report.problems) {
    ordered_json entry = problem_json(problem.path, problem.code, problem.message);
    entry["kind"] = problem_word(problem.kind);
    entry["offset"] = problem.offset ? ordered_json(*problem.offset) : ordered_json(nullptr);
    problems.push_back(std::move(entry));
  }
  document.update({{"volume_guid", files.opened.volume_id.lower()},
                   {"output", options.output},
                   {"ok", report.ok()},
                   {"stopped", report.stopped},
                   {"files", report.files},
                   {"directories", report.directories},
                   {"bytes", report.bytes},
                   {"failed", report.failed},
                   {"skipped", report.skipped},
                   {"differing", report.differing},
                   {"manifest", manifest_json(report.manifest)},
                   {"problems", std::move(problems)}});
  return document;
}

std::string report_text(const ExtractOptions& options, const volume::ExtractReport& report) {
  std::string text = (report.stopped ? "Stopped after " : "Extracted ") +
                     counted(report.files, "file") + ", " + human_bytes(report.bytes) + ", to " +
                     printable(options.output) + ".";
  if (report.failed > 0) text += "\n  not extracted: " + human_count(report.failed);
  if (report.skipped > 0) text += "\n  links left out: " + human_count(report.skipped);
  if (!report.manifest) {
    text += "\n  nothing to compare with: no manifest on the volume, or not wanted";
  } else if (report.manifest->compared > 0 && report.manifest->differing_files == 0) {
    text += "\n  compared with the manifest: " + counted(report.manifest->compared, "file") +
            ", all equal";
  } else {
    text += "\n  compared with the manifest: " + counted(report.manifest->compared, "file") + ", " +
            human_count(report.manifest->differing_files) + " differ";
  }
  if (report.manifest && report.manifest->missing > 0) {
    text += "\n  named by the manifest and missing: " + human_count(report.manifest->missing);
  }
  return text;
}

}  // namespace

int run_volume_ls(const VolumeLsOptions& options) {
  OpenedFiles files(options);
  ordered_json entries = ordered_json::array();
  ordered_json problems = ordered_json::array();
  volume::ListRequest request;
  request.path = options.path;
  request.recursive = options.recursive;
  request.metafiles =
      options.metafiles ? ntfs::FileTree::Metafiles::kShow : ntfs::FileTree::Metafiles::kHide;
  request.on_entry = [&](const std::string& path, const ntfs::Entry& entry) {
    options.json ? entries.push_back(entry_json(path, entry)) : print(entry_line(path, entry));
  };
  request.on_problem = [&](const std::string& path, const Error& error) {
    if (options.json) problems.push_back(problem_json(path, error.code(), error.what()));
    note("driveprep: " + printable_line(path) + ": " + printable_line(error.what()));
  };
  const volume::ListTotals totals = volume::list_files(files.tree, request);
  if (options.json) {
    ordered_json document = volume_head(files.volume);
    document.update({{"volume_guid", files.opened.volume_id.lower()},
                     {"label", files.tree.label()},
                     {"files", totals.files},
                     {"directories", totals.directories},
                     {"bytes", totals.bytes},
                     {"entries", std::move(entries)},
                     {"problems", std::move(problems)}});
    print_json(document);
  }
  return totals.problems == 0 ? 0 : static_cast<int>(ErrorKind::kVerification);
}

int run_volume_cat(const VolumeCatOptions& options) {
  if (options.output == "-" && options.json) {
    throw Error(ErrorKind::kUsage, "output-needed",
                "standard output cannot take both the file and the JSON result",
                "Name a file: --output FILE.");
  }
  OpenedFiles files(options);
  ContentOutput output(options.output);
  const std::uint64_t bytes =
      volume::copy_out(files.tree, options.path, output.fd(), output.name());
  output.keep();
  if (options.json) {
    ordered_json document = volume_head(files.volume);
    document.update({{"volume_guid", files.opened.volume_id.lower()},
                     {"path", options.path},
                     {"output", output.name()},
                     {"bytes", bytes}});
    print_json(document);
  }
  return 0;
}

int run_volume_extract(const ExtractOptions& options) {
  OpenedFiles files(options);
  const CleanStop clean_stop;
  report::DriveProgress progress("volume");
  progress.begin(report::Phase::kExtracting);
  volume::ExtractProgress shown;
  volume::ExtractRequest request;
  request.path = options.path;
  request.output = options.output;
  request.existing = options.overwrite ? volume::Existing::kReplace : volume::Existing::kRefuse;
  request.verify = !options.no_verify;
  request.stop = &stop_requested();
  request.on_progress = [&](const volume::ExtractProgress& now) {
    progress.add_bytes(now.bytes - shown.bytes);
    progress.add_files(now.files - shown.files);
    shown = now;
  };
  std::vector<std::string> notes;  // told when the line of progress is gone
  request.on_problem = [&](const volume::ExtractProblem& problem) {
    if (notes.size() < 100) {
      notes.push_back(std::string(problem_word(problem.kind)) + ": " + problem.message);
    }
  };
  volume::ExtractReport report;
  {
    const report::ProgressDisplay display(
        {&progress},
        options.json ? report::ProgressStyle::kJson : report::progress_style_for_stderr(),
        &stop_requested());
    report = volume::extract(files.tree, request);
  }
  if (options.json) {
    print_json(report_json(files, options, report));
  } else {
    for (const std::string& text : notes) note("driveprep: " + printable_line(text));
    print(report_text(options, report));
  }
  if (report.stopped) return stop_exit_status();
  return report.ok() ? 0 : static_cast<int>(ErrorKind::kVerification);
}

}  // namespace driveprep::cli
