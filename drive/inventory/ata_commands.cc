#include "drive/inventory/ata_commands.h"

#include <scsi/sg.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "base/zeros.h"

namespace driveprep::inventory {
namespace {

constexpr unsigned kTimeoutMilliseconds = 15'000;  // a disk that sleeps has to spin up first

constexpr unsigned char kAtaPassThrough16 = 0x85;
constexpr unsigned char kPioIn = 4 << 1;
constexpr unsigned char kNonData = 3 << 1;
constexpr unsigned char kFromDevice = 0x08;       // T_DIR
constexpr unsigned char kCountInSectors = 0x06;   // BYT_BLOK, T_LENGTH in the count field
constexpr unsigned char kReportRegisters = 0x20;  // CK_COND

constexpr unsigned char kIdentifyDevice = 0xEC;
constexpr unsigned char kSmart = 0xB0;
constexpr unsigned char kSmartReadData = 0xD0;
constexpr unsigned char kSmartReadThresholds = 0xD1;
constexpr unsigned char kSmartReturnStatus = 0xDA;
constexpr unsigned char kSmartMid = 0x4F;
constexpr unsigned char kSmartHigh = 0xC2;

constexpr unsigned char kCheckCondition = 0x02;
constexpr unsigned char kDescriptorSense = 0x72;
constexpr unsigned char kAtaReturnDescriptor = 0x09;
constexpr unsigned char kIllegalRequest = 0x05;

struct Command {
  unsigned char feature = 0;
  unsigned char count = 0;
  unsigned char mid = 0;
  unsigned char high = 0;
  unsigned char command = 0;
};

struct Answer {
  bool understood = true;
  // Registers that the device gave back, where they were asked for.
  std::optional<std::array<unsigned char, 2>> mid_and_high;
};

[[noreturn]] void failed(const std::string& name, const std::string& why) {
  throw Error(ErrorKind::kBusy, "ata-failed", "an ATA command to " + name + " failed: " + why,
              "Check the cabling, and run as root: these commands need CAP_SYS_RAWIO.");
}

std::optional<std::array<unsigned char, 2>> registers_in(
    const std::array<unsigned char, 32>& sense) {
  if (sense[0] != kDescriptorSense || sense[8] != kAtaReturnDescriptor) return std::nullopt;
  return std::array<unsigned char, 2>{sense[17], sense[19]};
}

unsigned sense_key(const std::array<unsigned char, 32>& sense) {
  return (sense[0] & 0x7F) >= kDescriptorSense ? sense[1] & 0xFU : sense[2] & 0xFU;
}

// `page`: what is read; empty for a command without data.
Answer send(int fd, const Command& command, MutableByteView page, const std::string& name) {
  std::array<unsigned char, 16> block{};
  block[0] = kAtaPassThrough16;
  block[1] = page.empty() ? kNonData : kPioIn;
  block[2] = page.empty() ? kReportRegisters : kFromDevice | kCountInSectors;
  block[4] = command.feature;
  block[6] = command.count;
  block[10] = command.mid;
  block[12] = command.high;
  block[14] = command.command;

  std::array<unsigned char, 32> sense{};
  sg_io_hdr_t request{};
  request.interface_id = 'S';
  request.dxfer_direction = page.empty() ? SG_DXFER_NONE : SG_DXFER_FROM_DEV;
  request.cmd_len = block.size();
  request.cmdp = block.data();
  request.dxfer_len = static_cast<unsigned>(page.size());
  request.dxferp = page.data();
  request.mx_sb_len = sense.size();
  request.sbp = sense.data();
  request.timeout = kTimeoutMilliseconds;
  if (::ioctl(fd, SG_IO, &request) != 0) {
    // Devices that are no SCSI devices to the kernel: loop devices, NVMe, virtio.
    if (errno == ENOTTY || errno == EINVAL || errno == EOPNOTSUPP) return {false, {}};
    failed(name, std::generic_category().message(errno));
  }
  Answer answer;
  if (request.status == kCheckCondition && request.sb_len_wr > 0) {
    answer.mid_and_high = registers_in(sense);
    // With CK_COND a success comes as "recovered error", too.
    if (!answer.mid_and_high && sense_key(sense) == kIllegalRequest) answer.understood = false;
    if (!page.empty() && sense_key(sense) > 1) answer.understood = false;
    return answer;
  }
  if (request.status != 0 || request.host_status != 0) {
    // Bridges that know no pass-through answer in many ways; one that is gone says DID_NO_CONNECT.
    if (request.host_status == 1) failed(name, "the device is gone");
    return {false, {}};
  }
  if (!page.empty() && request.resid > 0) return {false, {}};
  return answer;
}

std::optional<Bytes> read_page(int fd, Command command, const std::string& name) {
  Bytes page(kAtaPageBytes);
  command.count = 1;
  if (!send(fd, command, page, name).understood) return std::nullopt;
  return page;
}

Command smart_command(unsigned char feature) {
  return {.feature = feature, .mid = kSmartMid, .high = kSmartHigh, .command = kSmart};
}

void add_smart(int fd, const std::string& name, AtaPages& pages) {
  pages.smart = read_page(fd, smart_command(kSmartReadData), name);
  if (!pages.smart) return;
  pages.thresholds = read_page(fd, smart_command(kSmartReadThresholds), name);
  const Answer status = send(fd, smart_command(kSmartReturnStatus), {}, name);
  pages.predicts_failure =
      status.mid_and_high && *status.mid_and_high == std::array<unsigned char, 2>{0xF4, 0x2C};
}

}  // namespace

AtaPages read_ata_pages(int fd, const std::string& name) {
  AtaPages pages;
  pages.identify = read_page(fd, {.command = kIdentifyDevice}, name);
  // Some bridges accept the command and give back nothing.
  if (pages.identify && all_zero(*pages.identify)) pages.identify.reset();
  const std::optional<AtaIdentify> drive = identity_in(pages, name);
  if (!drive || !drive->smart_supported || !drive->smart_enabled) return pages;
  try {
    add_smart(fd, name, pages);
  } catch (const Error& error) {
    pages.smart_problem = error.what();
  }
  return pages;
}

std::optional<AtaIdentify> identity_in(const AtaPages& pages, const std::string& name) {
  if (!pages.identify) return std::nullopt;
  try {
    return parse_ata_identify(*pages.identify);
  } catch (const FormatError& error) {
    failed(name, error.what());
  }
}

std::optional<Health> health_in(const AtaPages& pages, const std::string& name) {
  if (!pages.smart_problem.empty()) {
    throw Error(ErrorKind::kBusy, "ata-failed", pages.smart_problem);
  }
  if (!pages.smart) return std::nullopt;
  try {
    return health_of(
        parse_smart(*pages.smart, pages.thresholds ? ByteView(*pages.thresholds) : ByteView()),
        pages.predicts_failure);
  } catch (const FormatError& error) {
    failed(name, error.what());
  }
}

}  // namespace driveprep::inventory
