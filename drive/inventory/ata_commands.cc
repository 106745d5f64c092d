#include "drive/inventory/ata_commands.h"

#include <scsi/sg.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "base/zeros.h"
#include "drive/inventory/ata_answer.h"

namespace driveprep::inventory {
namespace {

constexpr unsigned kTimeoutMilliseconds = 15'000;  // a disk that sleeps has to spin up first

constexpr unsigned char kAtaPassThrough16 = 0x85;
constexpr unsigned char kPioIn = 4 << 1;
constexpr unsigned char kNonData = 3 << 1;
constexpr unsigned char kFromDevice = 0x08;       // T_DIR
constexpr unsigned char kCountInSectors = 0x06;   // BYT_BLOK, T_LENGTH in the count field
constexpr unsigned char kReportRegisters = 0x20;  // CK_COND

constexpr unsigned char kExtend = 0x01;
constexpr unsigned char kLbaMode = 0x40;

constexpr unsigned char kIdentifyDevice = 0xEC;
constexpr unsigned char kReadNativeMaxExt = 0x27;
constexpr unsigned char kSmart = 0xB0;
constexpr unsigned char kSmartReadData = 0xD0;
constexpr unsigned char kSmartReadThresholds = 0xD1;
constexpr unsigned char kSmartReturnStatus = 0xDA;
constexpr unsigned char kSmartMid = 0x4F;
constexpr unsigned char kSmartHigh = 0xC2;

[[noreturn]] void failed(const std::string& name, const std::string& why) {
  throw Error(ErrorKind::kBusy, "ata-failed", "an ATA command to " + name + " failed: " + why,
              "Check the cabling, and run as root: these commands need CAP_SYS_RAWIO.");
}

// kDone or kRefused.
AtaAnswer ask(const AtaSender& send, const AtaCommand& command, MutableByteView page,
              const std::string& name) {
  AtaAnswer answer = send(command, page);
  if (answer.kind == AtaAnswer::Kind::kAgain) answer = send(command, page);
  if (answer.kind == AtaAnswer::Kind::kAgain) failed(name, "the device is being reset");
  if (answer.kind == AtaAnswer::Kind::kFailed) failed(name, answer.problem);
  return answer;
}

std::optional<Bytes> read_page(const AtaSender& send, AtaCommand command, const std::string& name) {
  Bytes page(kAtaPageBytes);
  command.count = 1;
  if (ask(send, command, page, name).kind == AtaAnswer::Kind::kRefused) return std::nullopt;
  return page;
}

AtaCommand smart_command(std::uint8_t feature) {
  return {.command = kSmart, .feature = feature, .mid = kSmartMid, .high = kSmartHigh};
}

// LBA mid and high stay as they were sent, or are turned over.
std::optional<bool> prediction_in(const AtaAnswer& status) {
  if (!status.lba) return std::nullopt;
  switch (*status.lba >> 8 & 0xFFFF) {
    case kSmartHigh << 8 | kSmartMid: return false;
    case 0x2CF4: return true;
    default: return std::nullopt;
  }
}

// A drive that has SMART has something to tell: what it keeps to itself is not known.
std::optional<Bytes> read_smart_page(const AtaSender& send, std::uint8_t feature, const char* what,
                                     const std::string& name) {
  std::optional<Bytes> page = read_page(send, smart_command(feature), name);
  if (!page) failed(name, std::string("SMART is turned on, but SMART ") + what + " is refused");
  return page;
}

void add_smart(const AtaSender& send, const std::string& name, AtaPages& pages) {
  pages.smart = read_smart_page(send, kSmartReadData, "READ DATA", name);
  pages.thresholds = read_smart_page(send, kSmartReadThresholds, "READ THRESHOLDS", name);
  pages.predicts_failure = prediction_in(ask(send, smart_command(kSmartReturnStatus), {}, name));
}

// Of no weight for what may be written: a drive that does not tell hides nothing that is known of.
std::optional<std::uint64_t> native_sectors(const AtaSender& send) {
  const AtaAnswer answer = send({.command = kReadNativeMaxExt, .extended = true}, {});
  if (answer.kind != AtaAnswer::Kind::kDone || !answer.lba) return std::nullopt;
  return *answer.lba + 1;
}

AtaAnswer send_to(int fd, const AtaCommand& command, MutableByteView page) {
  std::array<unsigned char, 16> block{};
  block[0] = kAtaPassThrough16;
  block[1] = (page.empty() ? kNonData : kPioIn) | (command.extended ? kExtend : 0);
  block[2] = page.empty() ? kReportRegisters : kFromDevice | kCountInSectors;
  block[4] = command.feature;
  block[6] = command.count;
  block[10] = command.mid;
  block[12] = command.high;
  block[13] = command.extended ? kLbaMode : 0;
  block[14] = command.command;

  std::array<std::byte, 32> sense{};
  sg_io_hdr_t request{};
  request.interface_id = 'S';
  request.dxfer_direction = page.empty() ? SG_DXFER_NONE : SG_DXFER_FROM_DEV;
  request.cmd_len = block.size();
  request.cmdp = block.data();
  request.dxfer_len = static_cast<unsigned>(page.size());
  request.dxferp = page.data();
  request.mx_sb_len = sense.size();
  request.sbp = uchars(MutableByteView(sense));
  request.timeout = kTimeoutMilliseconds;
  if (::ioctl(fd, SG_IO, &request) != 0) {
    // Devices that are no SCSI devices to the kernel: loop devices, NVMe, virtio.
    if (errno == ENOTTY || errno == EINVAL || errno == EOPNOTSUPP) {
      return {AtaAnswer::Kind::kRefused, {}, {}};
    }
    return {AtaAnswer::Kind::kFailed, std::generic_category().message(errno), {}};
  }
  return understand(
      {.status = request.status,
       .host_status = request.host_status,
       .sense = ByteView(sense).first(std::min<std::size_t>(request.sb_len_wr, sense.size())),
       .asked = page.size(),
       .missing = static_cast<std::size_t>(std::max(request.resid, 0))});
}

}  // namespace

AtaSender sg_sender(int fd) {
  return
      [fd](const AtaCommand& command, MutableByteView page) { return send_to(fd, command, page); };
}

AtaPages read_ata_pages(const AtaSender& send, const std::string& name) {
  AtaPages pages;
  pages.identify = read_page(send, {.command = kIdentifyDevice}, name);
  // Some bridges accept the command and give back nothing.
  if (pages.identify && all_zero(*pages.identify)) pages.identify.reset();
  const std::optional<AtaIdentify> drive = identity_in(pages, name);
  if (!drive) return pages;
  if (drive->hides_areas) pages.native_sectors = native_sectors(send);
  if (!drive->smart_supported) return pages;
  if (!drive->smart_enabled) {
    pages.smart_problem =
        name + " has SMART turned off; smartctl --smart=on " + name + " turns it on";
    return pages;
  }
  try {
    add_smart(send, name, pages);
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
