// The lock between runs of driveprep, and against udev: flock on the file or the whole disk. It
// goes with the descriptor.
#pragma once

#include <string>

#include "drive/block/file_device.h"

namespace driveprep::guard {

enum class Lock { kShared, kExclusive };

// Tries for half a second: who only looks holds it for an instant, a run that writes for hours.
// Throws kBusy "image-busy" of a file, "disk-locked" of a disk.
void lock(int fd, const std::string& name, Lock kind);

// Whether another program keeps everybody else from the disk. Looks as patiently; `fd` holds no lock.
bool is_locked(int fd, const std::string& name);

// Keeps runs that write away from a target for as long as `target` is open; any number may read it
// at once. Throws as above. Not for a target that this process has armed.
void hold_for_reading(const block::FileDevice& target);
// Keeps every other run away.
void hold_for_writing(const block::FileDevice& target);

}  // namespace driveprep::guard
