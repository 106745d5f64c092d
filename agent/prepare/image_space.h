// A sparse image takes space of its file system as it is written: whether there is enough is asked
// before hours of copying, not found out after them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "agent/journal/journal.h"
#include "agent/plan/plan_store.h"

namespace driveprep::prepare {

struct ImageSpace {
  std::filesystem::path image;
  std::uint64_t needed = 0;     // bytes that it will hold: planned data, table and file system
  std::uint64_t allocated = 0;  // bytes that its file system has given it already
  std::uint64_t device = 0;     // st_dev: images with the same one share the free space
  std::optional<std::uint64_t>
      free;  // bytes for this user; nullopt where the file system does not say
};

ImageSpace image_space(const plan::DrivePlan& drive);

// Throws kWrite "image-space" for the first file system that has not enough for all its images.
void check_image_space(const std::vector<ImageSpace>& images);

// Of all drives of a plan that get files and are not finished. `journal` may be null.
std::vector<ImageSpace> image_spaces(const plan::PlanStore& plan, const journal::Journal* journal);

// What the file system of an open file has for this user; nullopt where it does not say.
std::optional<std::uint64_t> free_bytes(int fd);

}  // namespace driveprep::prepare
