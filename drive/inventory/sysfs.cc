#include "drive/inventory/sysfs.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>

#include "base/posix.h"
#include "base/system_error.h"

namespace driveprep::inventory {
namespace {

namespace fs = std::filesystem;

// One page is what an attribute of sysfs may have; some binary ones have more.
constexpr std::uint64_t kAttributeLimit = 64 * 1024;

[[noreturn]] void unreadable(const fs::path& path, const std::string& why) {
  throw Error(ErrorKind::kBusy, "sysfs-unreadable", path.string() + ": " + why,
              "Mount sysfs on /sys; if it is there, the device may have been removed just now.");
}

std::string trimmed(std::string text) {
  const std::size_t last = text.find_last_not_of(" \t\n");
  text.erase(last == std::string::npos ? 0 : last + 1);
  text.erase(0, text.find_first_not_of(" \t\n"));
  return text;
}

template <typename Number>
bool parse_all(std::string_view text, Number& value) {
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  return status == std::errc() && end == text.data() + text.size();
}

std::vector<std::string> names_of(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  if (error) unreadable(directory, error.message());
  for (const fs::directory_iterator end; entries != end; entries.increment(error)) {
    if (error) unreadable(directory, error.message());
    names.push_back(entries->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

DeviceNumber DeviceNumber::of(dev_t number) { return {::major(number), ::minor(number)}; }

std::optional<DeviceNumber> DeviceNumber::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  DeviceNumber number;
  if (colon == std::string_view::npos || !parse_all(text.substr(0, colon), number.major) ||
      !parse_all(text.substr(colon + 1), number.minor)) {
    return std::nullopt;
  }
  return number;
}

std::string DeviceNumber::to_string() const {
  return std::to_string(major) + ":" + std::to_string(minor);
}

std::vector<fs::path> Sysfs::block_devices() const {
  const fs::path list = sys_ / "class/block";
  std::vector<fs::path> devices;
  for (const std::string& name : names_of(list)) {
    std::error_code error;
    fs::path device = fs::canonical(list / name, error);
    // It went away just now; what is there and cannot be read is an error of whoever reads it.
    if (error == std::errc::no_such_file_or_directory) continue;
    if (error) unreadable(list / name, error.message());
    devices.push_back(std::move(device));
  }
  return devices;
}

std::optional<Bytes> Sysfs::binary(const fs::path& device, const std::string& name) const {
  try {
    const std::optional<UniqueFd> fd =
        posix::open_if_exists(device / name, O_RDONLY, ErrorKind::kBusy);
    if (!fd) return std::nullopt;
    Bytes content(kAttributeLimit);
    content.resize(
        posix::read_up_to(fd->get(), content, (device / name).string(), ErrorKind::kBusy));
    return content;
  } catch (const SystemError& error) {
    unreadable(device / name, error.what());
  }
}

std::optional<std::string> Sysfs::attribute(const fs::path& device, const std::string& name) const {
  const std::optional<Bytes> content = binary(device, name);
  if (!content) return std::nullopt;
  return trimmed(std::string(as_text(*content)));
}

std::string Sysfs::required(const fs::path& device, const std::string& name) const {
  std::optional<std::string> text = attribute(device, name);
  if (!text) unreadable(device / name, "there is no such attribute");
  return *std::move(text);
}

std::uint64_t Sysfs::number(const fs::path& device, const std::string& name) const {
  const std::string text = required(device, name);
  std::uint64_t value = 0;
  if (!parse_all(text, value)) unreadable(device / name, "'" + text + "' is no number");
  return value;
}

bool Sysfs::flag(const fs::path& device, const std::string& name) const {
  const std::string text = required(device, name);
  if (text != "0" && text != "1") unreadable(device / name, "'" + text + "' is neither 0 nor 1");
  return text == "1";
}

std::vector<std::string> Sysfs::names_in(const fs::path& device, const std::string& name) const {
  return names_of(device / name);
}

bool Sysfs::exists(const fs::path& device, const std::string& name) const {
  std::error_code error;
  const bool there = fs::exists(fs::symlink_status(device / name, error));
  if (error && error != std::errc::no_such_file_or_directory) {
    unreadable(device / name, error.message());
  }
  return there;
}

fs::path Sysfs::root() const {
  std::error_code error;
  fs::path root = fs::canonical(sys_, error);
  if (error) unreadable(sys_, error.message());
  return root;
}

}  // namespace driveprep::inventory
