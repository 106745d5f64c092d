// The side of the opener process that asks.
#pragma once

#include <chrono>

#include "base/unique_fd.h"
#include "drive/guard/disk_opener.h"
#include "drive/guard/opener_messages.h"

namespace driveprep::guard {

// May be used by several threads at once. Every call may throw kBusy "disk-silent" when there is no
// answer for `patience`, and kInternal "opener-lost" when the other end is gone.
class RemoteOpener : public DiskOpener {
 public:
  // Longer than a disk takes to spin up and to leave every question to it unanswered.
  static constexpr std::chrono::milliseconds kPatience{180'000};

  // `socket`: the other end is with serve_opener().
  explicit RemoteOpener(UniqueFd socket, std::chrono::milliseconds patience = kPatience)
      : socket_(std::move(socket)), patience_(patience) {}

  OpenedDisk open(const std::filesystem::path& node, DiskAccess access) override;
  inventory::AtaPages ata_pages(int fd, const std::string& name) override;
  void read_table_anew(int fd, const std::string& name) override;

 protected:
  void hang_up() { socket_ = UniqueFd(); }

 private:
  std::pair<Envelope, OpenerAnswer> ask(const OpenerRequest& request,
                                        const std::vector<int>& descriptors);

  UniqueFd socket_;
  const std::chrono::milliseconds patience_;
};

}  // namespace driveprep::guard
