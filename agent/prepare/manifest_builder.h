// The manifest of a drive from its plan and the hashes kept while copying.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "agent/manifest/manifest_writer.h"
#include "agent/plan/plan_store.h"

namespace driveprep::prepare {

struct ManifestRequest {
  const plan::PlanStore& plan;
  std::filesystem::path plan_file;  // the same, for the thread that reads ahead
  std::size_t drive = 0;
  std::string creator;  // "driveprep 0.1.0"
  std::filesystem::path spool;
  std::uint64_t spool_length = 0;  // committed bytes of the spool
  std::filesystem::path output;    // written whole or not at all
};

// Files without hashes (they failed) are an internal error: an incomplete drive gets no manifest.
manifest::ManifestSummary build_manifest(const ManifestRequest& request);

}  // namespace driveprep::prepare
