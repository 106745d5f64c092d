#include "base/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "base/error.h"

namespace driveprep {
namespace {

void check(bool done, const char* what) {
  if (done) return;
  throw Error::from_errno(ErrorKind::kInternal, "privileges", what, errno,
                          "Run the command in another way than by sudo, and report this.");
}

std::optional<unsigned> number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  const std::string_view digits(text);
  unsigned value = 0;
  const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (status != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

void set_capabilities(std::uint32_t low) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  data[0].effective = data[0].permitted = low;
  check(::syscall(SYS_capset, &header, data.data()) == 0, "give up capabilities");
}

}  // namespace

std::optional<CallingUser> user_behind_sudo() {
  const auto uid = number_in("SUDO_UID");
  const auto gid = number_in("SUDO_GID");
  if (::geteuid() != 0 || std::getenv("SUDO_UID") == nullptr) return std::nullopt;
  // Staying root because a variable cannot be read would be the wrong way to fail.
  if (!uid || !gid) {
    throw Error(ErrorKind::kInternal, "privileges",
                "SUDO_UID or SUDO_GID in the environment is no number: who called cannot be told",
                "Run the command by sudo, or as root without these variables.");
  }
  if (*uid == 0) return std::nullopt;
  return CallingUser{*uid, *gid};
}

void become(const CallingUser& user) {
  const passwd* entry = ::getpwuid(user.uid);
  if (entry != nullptr) {
    check(::initgroups(entry->pw_name, user.gid) == 0, "take on the groups of the calling user");
    check(::setenv("HOME", entry->pw_dir, 1) == 0, "set HOME");
  } else {
    check(::setgroups(0, nullptr) == 0, "give up the groups of root");
  }
  check(::setresgid(user.gid, user.gid, user.gid) == 0, "take on the group of the calling user");
  check(::setresuid(user.uid, user.uid, user.uid) == 0, "become the calling user");
  check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "forbid new privileges");
  // Never going back is the promise; one that cannot be kept is no drop at all.
  require(::setuid(0) != 0, "the rights of root came back");
}

void keep_disk_rights_only() {
  check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "forbid new privileges");
  check(::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "close the process to others");
  if (::geteuid() != 0) return;
  set_capabilities(1U << CAP_SYS_RAWIO | 1U << CAP_SYS_ADMIN);
}

}  // namespace driveprep
