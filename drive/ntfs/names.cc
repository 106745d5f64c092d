#include "drive/ntfs/names.h"

#include <algorithm>
#include <array>

#include "drive/ntfs/library.h"

namespace driveprep::ntfs {
namespace {

using namespace std::literals;

constexpr std::u16string_view kForbidden = u"\\/:*?\"<>|";

// Devices of Windows. COM0, LPT0, the superscript digits and CONIN$/CONOUT$ are refused by Windows
// as well, though older lists (and the library's) do not have them.
constexpr std::array kDevices = {u"CON"sv, u"PRN"sv, u"AUX"sv, u"NUL"sv, u"CONIN$"sv, u"CONOUT$"sv};

constexpr std::array kSystemNames = {
    u"$MFT"sv,     u"$MFTMIRR"sv, u"$LOGFILE"sv, u"$VOLUME"sv, u"$ATTRDEF"sv,
    u"$BITMAP"sv,  u"$BOOT"sv,    u"$BADCLUS"sv, u"$SECURE"sv, u"$UPCASE"sv,
    u"$EXTEND"sv,  u"$QUOTA"sv,   u"$OBJID"sv,   u"$REPARSE"sv,
    u"SYSTEM VOLUME INFORMATION"sv, u"$RECYCLE.BIN"sv};

bool is_surrogate(char16_t unit) { return unit >= 0xD800 && unit <= 0xDFFF; }

bool well_formed(std::u16string_view name) {
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (!is_surrogate(name[i])) continue;
    const bool pair = name[i] < 0xDC00 && i + 1 < name.size() && name[i + 1] >= 0xDC00 &&
                      name[i + 1] <= 0xDFFF;
    if (!pair) return false;
    ++i;
  }
  return true;
}

bool is_device_name(std::u16string_view name) {
  std::u16string_view stem = name.substr(0, name.find(u'.'));
  stem = stem.substr(0, stem.find_last_not_of(u' ') + 1);  // "NUL .txt" is NUL too
  if (stem.size() < 3 || stem.size() > 7) return false;
  const std::u16string folded = fold_case(stem);
  if (std::ranges::find(kDevices, folded) != kDevices.end()) return true;
  if (folded.size() != 4 || (!folded.starts_with(u"COM") && !folded.starts_with(u"LPT"))) {
    return false;
  }
  const char16_t digit = folded[3];
  return (digit >= u'0' && digit <= u'9') || digit == u'\u00B9' || digit == u'\u00B2' ||
         digit == u'\u00B3';
}

}  // namespace

std::string_view to_string(NameVerdict verdict) {
  switch (verdict) {
    case NameVerdict::kOk: return "";
    case NameVerdict::kEmpty: return "is empty, \".\" or \"..\"";
    case NameVerdict::kTooLong: return "is longer than 255 UTF-16 units";
    case NameVerdict::kUnpairedSurrogate: return "is not well-formed Unicode";
    case NameVerdict::kForbiddenCharacter:
      return "contains a control character or one of \\ / : * ? \" < > |";
    case NameVerdict::kReservedDeviceName: return "is the name of a Windows device";
    case NameVerdict::kTrailingDotOrSpace: return "ends with a dot or a space";
    case NameVerdict::kSystemName: return "is the name of a system file of the volume";
  }
  return "";
}

NameVerdict check_name(std::u16string_view name, NamePlace place) {
  if (name.empty() || name == u"." || name == u"..") return NameVerdict::kEmpty;
  if (name.size() > kMaxNameUnits) return NameVerdict::kTooLong;
  if (!well_formed(name)) return NameVerdict::kUnpairedSurrogate;
  const bool forbidden = std::ranges::any_of(name, [](char16_t unit) {
    return unit < 0x20 || kForbidden.find(unit) != std::u16string_view::npos;
  });
  if (forbidden) return NameVerdict::kForbiddenCharacter;
  if (name.back() == u'.' || name.back() == u' ') return NameVerdict::kTrailingDotOrSpace;
  if (is_device_name(name)) return NameVerdict::kReservedDeviceName;
  if (place == NamePlace::kRoot &&
      std::ranges::find(kSystemNames, fold_case(name)) != kSystemNames.end()) {
    return NameVerdict::kSystemName;
  }
  return NameVerdict::kOk;
}

std::u16string fold_case(std::u16string_view name) {
  static const std::vector<char16_t> table = library::default_upcase_table();
  std::u16string folded(name);
  for (char16_t& unit : folded) unit = table[unit];
  return folded;
}

}  // namespace driveprep::ntfs
