// Giving up the rights of root: for the worker all of them, for the process that opens disks all
// but those that this takes.
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

namespace driveprep {

struct CallingUser {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Who called sudo, by SUDO_UID and SUDO_GID; nullopt when nobody did, or root did. Throws kInternal
// "privileges" when these are no numbers.
std::optional<CallingUser> user_behind_sudo();

// This process becomes that user, for good: groups, ids, no capabilities, HOME, and no new
// privileges by what it runs. Before there are threads. Throws kInternal "privileges".
void become(const CallingUser& user);

// Of root's capabilities only CAP_SYS_RAWIO (ATA commands) and CAP_SYS_ADMIN (reading a table anew)
// stay; no new privileges; nobody may look into the process. Nothing happens without root.
void keep_disk_rights_only();

}  // namespace driveprep
