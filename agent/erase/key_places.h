// Where on a disk the keys of BitLocker volumes lie: without them nothing of a volume can be read,
// by whoever, with whatever password.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "agent/report/drive_progress.h"
#include "base/units.h"
#include "drive/block/block_device.h"

namespace driveprep::erase {

struct KeyPlace {
  // "metadata copy 2", "volume header", "relocated header", "reserved area"; "metadata" is a copy
  // that no header led to, "unreadable" what could hide one.
  std::string what;
  ByteRange range;  // bytes from the start of the disk
  Bytes held;       // what was there; empty when it could not be read
};

struct KeyPlaces {
  std::vector<KeyPlace> places;      // none inside one before it
  std::vector<std::string> volumes;  // identifiers, lower case, of those with a sound copy
  std::vector<ByteRange> areas;      // where a volume may be: the disk, its partitions
  bool everywhere = false;           // no table tells where: looked for in every byte
  std::uint64_t searched = 0;        // bytes in which copies of the metadata were looked for

  // Whether somebody with a password could still open something.
  bool open_to_somebody() const { return !volumes.empty(); }
};

// Who waits for the search.
struct SearchWatch {
  report::DriveProgress* progress = nullptr;  // gets the phase kSearching
  const std::atomic<bool>* stop = nullptr;
  bool stopping() const { return stop != nullptr && *stop; }
};

// What the headers lead to: of the disk as a whole, of its partitions, and of the one partition
// that a prepared drive has (its table may be lost). Takes a moment. A header that cannot be read
// leads nowhere. Throws kBusy when the disk has gone.
KeyPlaces named_key_places(const block::ReadableDevice& disk,
                           const std::vector<ByteRange>& partitions);

// Adds what no header leads to, because it is destroyed or cannot be read or belongs to a newer
// volume: looks for copies of the metadata where they are likely to be in each area, whichever
// partition they belonged to. Of a large disk that is about 1 GiB an area, unless it is
// `everywhere`. What cannot be read there is a place, too. False when it was stopped before its
// end; what it found by then is added. Throws kBusy when the disk has gone.
bool search_key_places(const block::ReadableDevice& disk, KeyPlaces& found,
                       const SearchWatch& watch = {});

// Both.
KeyPlaces find_key_places(const block::ReadableDevice& disk,
                          const std::vector<ByteRange>& partitions);

}  // namespace driveprep::erase
