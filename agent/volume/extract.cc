#include "agent/volume/extract.h"

#include "agent/volume/extraction.h"

namespace driveprep::volume {

ExtractReport extract(ntfs::FileTree& tree, const ExtractRequest& request) {
  return Extraction(tree, request).run();
}

}  // namespace driveprep::volume
