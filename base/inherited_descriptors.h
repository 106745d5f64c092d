// Descriptors that somebody handed to this program at its start, and paths that name one.
//
// A path as /dev/fd/5 in a file of settings is read long after the start. By then 5 may be a file
// of this program itself, if nobody gave one: its journal, a connection. Those are never meant.
#pragma once

#include <filesystem>
#include <optional>

namespace driveprep {

// Call first thing in main: whatever is open later is not inherited.
void note_inherited_descriptors();

// In a program that has noted nothing, as a test, all are.
bool is_inherited(int descriptor);

// The number in "/dev/fd/5", "/proc/self/fd/5", "/dev/stdin"; nullopt for another path.
std::optional<int> descriptor_named(const std::filesystem::path& path);

}  // namespace driveprep
