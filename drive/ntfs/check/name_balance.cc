#include "drive/ntfs/check/name_balance.h"

#include <functional>
#include <string_view>

#include "drive/ntfs/check/raw_record.h"

namespace driveprep::ntfs::check {
namespace {

constexpr std::size_t kLengthOfName = 0x40;  // then the name space, and the name itself

// Of what both sides must agree on: times and sizes beside a name in a directory may be old.
std::uint32_t digest(std::uint64_t owner, ByteView name) {
  const std::uint64_t parent = parent_of(name);  // long enough, if this returns
  const std::uint64_t text = std::hash<std::string_view>()(as_text(name.subspan(kLengthOfName)));
  return static_cast<std::uint32_t>(mixed(text, {owner, parent}) >> 32);
}

}  // namespace

void NameBalance::in_record(std::uint64_t owner, ByteView name) {
  if (record_number(owner) >= sums_.size())
    throw FormatError("it continues a record that there is not");
  sums_[record_number(owner)] += digest(owner, name);
}

void NameBalance::in_directory(std::uint64_t owner, ByteView name) {
  if (record_number(owner) >= sums_.size())
    throw FormatError("it names a record that there is not");
  sums_[record_number(owner)] -= digest(owner, name);
}

std::optional<std::uint64_t> NameBalance::first_difference() const {
  for (std::uint64_t number = 0; number < sums_.size(); ++number) {
    if (sums_[number] != 0) return number;
  }
  return std::nullopt;
}

std::uint64_t parent_of(ByteView name) {
  if (name.size() <= kLengthOfName + 2) throw FormatError("a name is too short");
  return ByteReader(name).u64();
}

}  // namespace driveprep::ntfs::check
