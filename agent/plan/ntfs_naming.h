// Names on the drive: the blob's own name where NTFS can hold it, else a substitute that is made
// from it and always comes out the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace driveprep::plan {

struct NtfsName {
  std::u16string name;
  bool substituted = false;
  std::string reason;  // why, to follow "the name": "has a character that NTFS ..."
};

// `component`: one component of a blob name, valid UTF-8, not empty.
NtfsName ntfs_name_for(std::string_view component);

// A name that NTFS can hold: forbidden characters become '_', and '~' with eight digits from the
// hash of `component` and `attempt` goes before the extension. "a:b.txt" -> "a_b~1f2e3d4c.txt".
std::u16string substitute_name(std::string_view component, unsigned attempt);

// Equal for names that Windows takes for one; different ones differ but for one chance in 2^64.
std::int64_t fold_hash(std::u16string_view name);

// For messages: control characters and bytes that are not UTF-8 appear as \xNN.
std::string printable(std::string_view text);

}  // namespace driveprep::plan
