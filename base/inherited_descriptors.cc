#include "base/inherited_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

namespace driveprep {
namespace {

// Nobody hands over more by number; the limit itself may be a million.
constexpr int kMostDescriptors = 4096;

std::optional<std::set<int>>& inherited() {
  static std::optional<std::set<int>> descriptors;
  return descriptors;
}

}  // namespace

void note_inherited_descriptors() {
  std::set<int> open;
  for (int descriptor = 0; descriptor < kMostDescriptors; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) != -1) open.insert(descriptor);
  }
  inherited() = std::move(open);
}

bool is_inherited(int descriptor) { return !inherited() || inherited()->contains(descriptor); }

std::optional<int> descriptor_named(const std::filesystem::path& path) {
  const std::string text = path.lexically_normal().string();
  if (text == "/dev/stdin") return STDIN_FILENO;
  for (const std::string_view directory : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!text.starts_with(directory)) continue;
    int number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, status] = std::from_chars(text.data() + directory.size(), end, number);
    if (status == std::errc() && stop == end && number >= 0) return number;
  }
  return std::nullopt;
}

}  // namespace driveprep
