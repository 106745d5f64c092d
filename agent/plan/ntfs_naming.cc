#include "agent/plan/ntfs_naming.h"

#include <algorithm>
#include <cstdio>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/error.h"
#include "base/human_text.h"
#include "base/utf16.h"
#include "drive/ntfs/names.h"

namespace driveprep::plan {
namespace {

constexpr std::size_t kMaxExtension = 16;

std::u16string ascii16(std::string_view text) { return {text.begin(), text.end()}; }

std::u16string cut(std::u16string text, std::size_t units) {
  if (text.size() <= units) return text;
  text.resize(units);
  const bool split_pair = !text.empty() && text.back() >= 0xD800 && text.back() < 0xDC00;
  if (split_pair) text.pop_back();
  return text;
}

}  // namespace

NtfsName ntfs_name_for(std::string_view component) {
  auto name = utf16_from_utf8(component);
  require(name.has_value(), "a blob name that was checked is not UTF-8");
  const ntfs::NameVerdict verdict = ntfs::check_name(*name);
  if (verdict == ntfs::NameVerdict::kOk) return {std::move(*name), false, {}};
  return {substitute_name(component, 0), true, std::string(ntfs::to_string(verdict))};
}

std::u16string substitute_name(std::string_view component, unsigned attempt) {
  std::u16string name = utf16_from_utf8(component).value_or(u"");
  for (char16_t& c : name) {
    const bool forbidden =
        c < 0x20 || std::u16string_view(u"\\/:*?\"<>|").find(c) != std::u16string_view::npos;
    if (forbidden) c = u'_';
  }
  std::string hashed(component);
  if (attempt > 0) hashed += "/" + std::to_string(attempt);
  const std::string digits = hex_lower(ByteView(sha256(as_bytes(hashed))).first(4));
  const std::u16string mark = u"~" + ascii16(digits);

  const std::size_t dot = name.rfind(u'.');
  const bool has_extension = dot != std::u16string::npos && dot > 0 && dot + 1 < name.size() &&
                             name.size() - dot <= kMaxExtension;
  std::u16string extension = has_extension ? name.substr(dot) : u"";
  std::u16string stem = name.substr(0, name.size() - extension.size());
  for (std::u16string* part : {&extension, &stem}) {
    while (!part->empty() && (part->back() == u' ' || part->back() == u'.')) part->back() = u'_';
  }
  stem = cut(std::move(stem), ntfs::kMaxNameUnits - mark.size() - extension.size());
  for (const std::u16string& candidate : {stem + mark + extension, u"_" + cut(stem, 200) + mark}) {
    if (ntfs::check_name(candidate) == ntfs::NameVerdict::kOk) return candidate;
  }
  return u"name" + mark;
}

std::int64_t fold_hash(std::u16string_view name) {
  // FNV-1a over the folded units, then the finisher of MurmurHash3, which mixes the high bits.
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char16_t unit : ntfs::fold_case(name)) {
    hash = (hash ^ (unit & 0xFF)) * 0x100000001B3ULL;
    hash = (hash ^ (unit >> 8)) * 0x100000001B3ULL;
  }
  hash = (hash ^ (hash >> 33)) * 0xFF51AFD7ED558CCDULL;
  hash = (hash ^ (hash >> 33)) * 0xC4CEB9FE1A85EC53ULL;
  return static_cast<std::int64_t>(hash ^ (hash >> 33));
}

std::string printable(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    std::size_t length = byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    const auto units = utf16_from_utf8(text.substr(i, length));
    const char16_t first = units ? (*units)[0] : u'\0';
    if (first < 0x20 || (first >= 0x7F && first < 0xA0) || changes_direction(first)) {
      if (!units) length = 1;
      for (std::size_t k = 0; k < length; ++k) {
        char shown[8];
        std::snprintf(shown, sizeof shown, "\\x%02X", static_cast<unsigned char>(text[i + k]));
        result += shown;
      }
    } else {
      result += text.substr(i, length);
    }
    i += length;
  }
  return result;
}

}  // namespace driveprep::plan
