#include "agent/volume/file_names.h"

#include "base/utf16.h"

namespace driveprep::volume {

std::u16string path_from_text(std::string_view text) {
  std::optional<std::u16string> path = utf16_from_wtf8(text);
  if (path) return *std::move(path);
  throw Error(ErrorKind::kUsage, "path-encoding",
              "a path on a volume must be UTF-8, and the one given is not",
              "Set the terminal to UTF-8, or copy the path from what `volume ls` prints.");
}

std::string text_of_path(std::u16string_view path) { return wtf8_from_utf16(path); }

std::optional<std::string> linux_name(std::u16string_view name) {
  using namespace std::string_view_literals;
  std::string text = wtf8_from_utf16(name);
  if (text.empty() || text == "." || text == "..") return std::nullopt;
  if (text.find_first_of("/\0"sv) != std::string::npos) return std::nullopt;
  return text;
}

ntfs::Found find_or_throw(ntfs::FileTree& tree, std::string_view path) {
  std::optional<ntfs::Found> found = tree.find(path_from_text(path));
  if (found) return *std::move(found);
  throw Error(ErrorKind::kUsage, "no-such-file",
              "there is no " + std::string(path) + " on " + tree.name(),
              "Look with `volume ls` at what there is.");
}

}  // namespace driveprep::volume
