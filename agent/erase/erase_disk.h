// Makes the contents of a disk unreadable: the keys of its BitLocker volumes first, so that from
// the first second on nothing of them can be opened any more; then the rest, as chosen.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/erase/key_places.h"
#include "agent/erase/method.h"
#include "agent/erase/samples.h"
#include "base/file_time.h"

namespace driveprep::erase {

struct EraseRequest {
  block::BlockDevice& disk;
  std::vector<ByteRange> partitions;  // of the table that is on it
  Method method = Method::kOverwrite;
  std::function<void(const ByteRange&)> discard = {};  // of kDiscard; throws
  // Removes what a probe still finds: tables, file systems, members of arrays. Throws.
  std::function<void()> remove_signatures = {};
  std::function<void()> before_each = {};     // write or discard of the method; throws
  report::DriveProgress* progress = nullptr;  // gets the phases kSearching and kErasing
  // Looked at before the first write, in the search and between the pieces; the keys that are
  // known go in any case once the first write is done.
  const std::atomic<bool>* stop = nullptr;
};

// What has been done; true also when something has failed or was stopped after it.
struct EraseReport {
  KeyPlaces before;
  std::vector<KeyPlace> destroyed;    // in their order, durable
  bool metadata_destroyed = false;    // all of `before.places`, and all were looked for
  std::optional<FileTime> keys_gone;  // when the last of them was, durably
  std::uint64_t covered = 0;          // bytes zeroed, durable, or discarded; how far it came
  // Of kDiscard: random places just before it, some of them written for this. What they hold after
  // it has to differ.
  std::vector<HeldSample> held;
  bool contents_gone = false;  // the method came to its end
  bool stopped = false;
};

// Only kMetadata relies on the search alone: where no table tells where volumes were, it looks at
// the whole disk then.
//
// Fills `report` as it goes, so that it is true whenever an Error ends it. Errors are the device's;
// what cannot be overwritten ends it only when all the rest is, with the error of the first place
// of keys, or kWrite "wipe-unwritable" for blocks that stay unwritable.
void erase_disk(const EraseRequest& request, EraseReport& report);

}  // namespace driveprep::erase
