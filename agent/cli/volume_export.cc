#include "agent/cli/output.h"
#include "agent/cli/stop_signals.h"
#include "agent/cli/volume_output.h"
#include "agent/cli/volume_session.h"
#include "agent/report/progress_display.h"
#include "agent/volume/export.h"
#include "base/human_text.h"
#include "bitlocker/encrypted_device.h"

namespace driveprep::cli {
int run_volume_export(const VolumeExportOptions& options) {
  const bool to_stdout = options.output == "-";
  if (to_stdout && options.json) {
    throw Error(ErrorKind::kUsage, "output-needed",
                "standard output cannot take both the volume and the JSON result",
                "Name a file: --output FILE.");
  }
  const ExaminedVolume volume(options, volume::Access::kRead);
  const bitlocker::OpenedVolume opened = open_examined(volume, options);
  const bitlocker::DecryptedDevice plain(volume.device(), opened.layout, opened.cipher);
  ContentOutput output(options.output);

  const CleanStop clean_stop;
  report::DriveProgress progress("volume");
  progress.begin(report::Phase::kExporting, plain.size());
  std::uint64_t shown = 0;
  bool whole = false;
  {
    const report::ProgressDisplay display(
        {&progress},
        options.json ? report::ProgressStyle::kJson : report::progress_style_for_stderr(),
        &stop_requested());
    whole = volume::export_volume(
        plain, output.fd(), output.name(),
        {.sparse = output.is_new_file(), .on_progress = [&](std::uint64_t written) {
           progress.add_bytes(written - shown);
           shown = written;
           return !stop_requested();
         }});
  }
  if (whole) output.keep();
  const std::uint64_t missing = bitlocker::missing_bytes(opened.metadata, plain.size());
  if (whole && missing != 0) {
    throw Error(ErrorKind::kVerification, "volume-cut-off",
                volume.device().name() + " is cut off: the last " + human_count(missing) +
                    " bytes of the volume are missing; the " + human_count(plain.size()) +
                    " that are there were written to " + output.name(),
                "Copy the image again from its drive, whole.");
  }
  if (options.json) {
    nlohmann::ordered_json document = volume_head(volume);
    document.update({{"volume_guid", opened.volume_id.lower()},
                     {"output", output.name()},
                     {"bytes", shown},
                     {"stopped", !whole}});
    print_json(document);
  }
  if (!whole) {
    note(std::string("driveprep: stopped; ") +
         (output.is_new_file() ? "nothing is left of the output" : "the output is not whole"));
    return stop_exit_status();
  }
  if (!options.json) {
    note("Exported " + human_bytes(plain.size()) + " of " + printable(volume.device().name()) +
         " to " + printable(output.name()) + ".");
  }
  return 0;
}

}  // namespace driveprep::cli
