// Where on a disk the keys of BitLocker volumes lie: without them nothing of a volume can be read,
// by whoever, with whatever password.
#pragma once

#include <string>
#include <vector>

#include "base/units.h"
#include "drive/block/block_device.h"

namespace driveprep::erase {

struct KeyPlace {
  std::string what;  // "metadata copy 2", "volume header", "relocated header"
  ByteRange range;   // bytes from the start of the disk
};

struct KeyPlaces {
  std::vector<KeyPlace> places;
  std::vector<std::string> volumes;  // identifiers, lower case, of those with a sound copy

  // Whether somebody with a password could still open something.
  bool open_to_somebody() const { return !volumes.empty(); }
};

// Looks at the disk as a whole, at its partitions, and at the place of the one partition that a
// prepared drive has (its table may be lost): at what the headers name, and where the copies are
// likely to be. What cannot be read is passed over.
KeyPlaces find_key_places(const block::ReadableDevice& disk,
                          const std::vector<ByteRange>& partitions);

}  // namespace driveprep::erase
