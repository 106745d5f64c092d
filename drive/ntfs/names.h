// Which names an NTFS volume that Windows opens can hold, and when two of them are the same name.
//
// Pure functions: no volume is needed. Rules: docs/volume-format.md, "Names".
#pragma once

#include <string>
#include <string_view>

namespace driveprep::ntfs {

inline constexpr std::size_t kMaxNameUnits = 255;  // UTF-16 code units of one path component

enum class NameVerdict {
  kOk,
  kEmpty,                // also "." and ".."
  kTooLong,              // more than 255 UTF-16 units
  kUnpairedSurrogate,    // not well-formed UTF-16
  kForbiddenCharacter,   // \ / : * ? " < > | or U+0000..U+001F
  kReservedDeviceName,   // CON, nul.txt, COM1, LPT¹, CONIN$ ...: with any extension, any case
  kTrailingDotOrSpace,
  kSystemName,           // only at the root: $MFT, $Extend, System Volume Information, $RECYCLE.BIN
};

// A phrase for reports: "is longer than 255 UTF-16 units". Empty for kOk.
std::string_view to_string(NameVerdict verdict);

enum class NamePlace { kRoot, kBelowRoot };

// Judges one path component. kRoot: the component is an entry of the volume's root directory.
NameVerdict check_name(std::u16string_view name, NamePlace place = NamePlace::kBelowRoot);

// The name in upper case by the table that mkntfs writes into $UpCase (Windows 7's). Two names of
// one directory with equal folds are one name to Windows. Does not normalise: a precomposed and
// a decomposed letter stay different. Length and code unit count are kept.
std::u16string fold_case(std::u16string_view name);

}  // namespace driveprep::ntfs
