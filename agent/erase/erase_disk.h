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
#include "base/file_time.h"

namespace driveprep::erase {

enum class Method {
  kOverwrite,  // zeros over the whole disk
  kDiscard,    // the disk is told to forget everything; what it then gives back is its own affair
  kMetadata,   // keys, tables and headers only
};
std::string_view to_string(Method method);  // "overwrite", "discard", "metadata"
std::optional<Method> method_from(std::string_view name);

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

// What a place held that was not zeros.
struct HeldSample {
  std::uint64_t offset = 0;
  Bytes held;
};

// What has been done; true also when something has failed or was stopped after it.
struct EraseReport {
  KeyPlaces before;
  std::vector<KeyPlace> destroyed;    // in their order, durable
  bool metadata_destroyed = false;    // all of `before.places`, and all were looked for
  std::optional<FileTime> keys_gone;  // when the last of them was, durably
  std::uint64_t covered = 0;          // bytes zeroed, durable, or discarded; how far it came
  // Of kDiscard: random places just before it. What they hold after it has to differ.
  std::vector<HeldSample> held;
  bool contents_gone = false;  // the method came to its end
  bool stopped = false;
};

// Fills `report` as it goes, so that it is true whenever an Error ends it. Errors are the device's;
// what cannot be overwritten ends it only when all the rest is, with the error of the first place
// of keys, or kWrite "wipe-unwritable" for blocks that stay unwritable.
void erase_disk(const EraseRequest& request, EraseReport& report);

struct ReadBack {
  std::uint64_t samples = 0;  // of 4096 bytes
  std::uint64_t zero = 0;
  std::uint64_t other = 0;  // hold something
  std::uint64_t unreadable = 0;
  std::uint64_t key_places = 0;               // read whole
  std::uint64_t failed = 0;                   // hold what they should not, or are unreadable
  std::optional<std::uint64_t> first_failed;  // byte offset of what should not be there
  bool stopped = false;                       // before its end
  bool ok() const { return !first_failed && !stopped; }
};

// Reads samples, `disk` opened anew past the page cache: both ends, every former key place whole,
// and a thousand places drawn by `seed`. After kOverwrite all are zeros; after the others no block
// of a key place holds what it held, and no search leads to a volume any more. After kDiscard no
// place of `held` is as it was: a disk may take the command and do nothing.
ReadBack read_back(const block::ReadableDevice& disk, const KeyPlaces& before, Method method,
                   std::uint64_t seed, const std::vector<HeldSample>& held = {},
                   const SearchWatch& watch = {});

}  // namespace driveprep::erase
