#include "agent/cli/output.h"
#include "agent/cli/volume_session.h"
#include "bitlocker/protector_edit.h"

namespace driveprep::cli {

int run_volume_unlock(const VolumeOptions& options) {
  const ExaminedVolume volume(options, volume::Access::kRead);
  const bitlocker::OpenedVolume opened = open_examined(volume, options);
  const bitlocker::ProtectorFacts protector =
      bitlocker::find_protector(opened.metadata, opened.protector.lower());
  if (options.json) {
    nlohmann::ordered_json document = volume_head(volume);
    document.update(
        {{"opens", true},
         {"volume_guid", opened.volume_id.lower()},
         {"protector", {{"id", protector.id.lower()}, {"kind", protector_word(protector.kind)}}},
         {"metadata_copy", opened.copy_used}});
    print_json(document);
  } else {
    print("The key opens " + printable(volume.device().name()) + ", by its " +
          bitlocker::protector_name(protector.kind) + " " + protector.id.lower() + ".");
  }
  return 0;
}

}  // namespace driveprep::cli
