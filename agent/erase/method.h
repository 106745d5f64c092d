// How a disk is made unreadable.
#pragma once

#include <optional>
#include <string_view>

namespace driveprep::erase {

enum class Method {
  kOverwrite,  // zeros over the whole disk
  kDiscard,    // the disk is told to forget everything; what it then gives back is its own affair
  kMetadata,   // keys, tables and headers only
};
std::string_view to_string(Method method);  // "overwrite", "discard", "metadata"
std::optional<Method> method_from(std::string_view name);

}  // namespace driveprep::erase
