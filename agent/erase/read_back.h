// Shows what a disk that was wiped holds now.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/erase/key_places.h"
#include "agent/erase/method.h"
#include "agent/erase/samples.h"

namespace driveprep::erase {

struct ReadBack {
  std::uint64_t samples = 0;  // of 4096 bytes
  std::uint64_t zero = 0;
  std::uint64_t other = 0;  // hold something
  std::uint64_t unreadable = 0;
  std::uint64_t key_places = 0;  // read whole
  std::uint64_t changed = 0;     // of those held before a discard: hold something else
  std::optional<std::uint64_t> first_unreadable;
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
