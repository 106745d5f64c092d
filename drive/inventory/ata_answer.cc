#include "drive/inventory/ata_answer.h"

#include <algorithm>
#include <array>
#include <utility>

namespace driveprep::inventory {
namespace {

using Kind = AtaAnswer::Kind;

constexpr std::uint8_t kGood = 0x00;
constexpr std::uint8_t kCheckCondition = 0x02;

// Sense keys.
constexpr unsigned kRecovered = 0x01;
constexpr unsigned kIllegalRequest = 0x05;
constexpr unsigned kUnitAttention = 0x06;
constexpr unsigned kAborted = 0x0B;

constexpr std::uint8_t kFixedFormat = 0x70;
constexpr std::uint8_t kDescriptorFormat = 0x72;
constexpr std::uint8_t kAtaReturnDescriptor = 0x09;
constexpr std::uint8_t kPassThroughInformation = 0x1D;  // ASC 00h, ASCQ 1Dh
constexpr std::uint8_t kExtended = 0x01;
constexpr std::uint8_t kMoreRegisters = 0x20;

AtaAnswer failed(std::string problem) { return {Kind::kFailed, std::move(problem), {}}; }

std::string host_problem(std::uint16_t status) {
  switch (status) {
    case 1: return "the device is gone";
    case 3: return "the device did not answer in time";
    case 7: return "the connection failed";
    case 8: return "the device was reset";
    default: return "the host adapter reports status " + std::to_string(status);
  }
}

class Sense {
 public:
  explicit Sense(ByteView bytes) {
    std::ranges::copy(bytes.first(std::min(bytes.size(), bytes_.size())), bytes_.begin());
    length_ = bytes.size();
  }

  bool told() const { return length_ >= 4 && format() >= kFixedFormat && format() <= 0x73; }
  unsigned key() const { return (in_descriptors() ? at(1) : at(2)) & 0x0FU; }

  std::optional<std::uint64_t> lba() const {
    if (in_descriptors()) {
      if (at(8) != kAtaReturnDescriptor) return std::nullopt;
      const std::uint64_t low = joined(at(15), at(17), at(19));
      return (at(10) & kExtended) != 0 ? joined(at(14), at(16), at(18)) << 24 | low : low;
    }
    // Only 24 bits have room here; whether there are more is said in byte 8.
    if (at(12) != 0 || at(13) != kPassThroughInformation || (at(8) & kMoreRegisters) != 0) {
      return std::nullopt;
    }
    return joined(at(9), at(10), at(11));
  }

 private:
  std::uint8_t at(std::size_t index) const { return std::to_integer<std::uint8_t>(bytes_[index]); }
  static std::uint64_t joined(std::uint8_t low, std::uint8_t mid, std::uint8_t high) {
    return low | std::uint64_t{mid} << 8 | std::uint64_t{high} << 16;
  }
  std::uint8_t format() const { return at(0) & 0x7FU; }
  bool in_descriptors() const { return format() >= kDescriptorFormat; }

  std::array<std::byte, 32> bytes_{};
  std::size_t length_ = 0;
};

AtaAnswer with_sense(const Sense& sense) {
  if (!sense.told()) return failed("the device reports an error and does not say which");
  switch (sense.key()) {
    case 0:
    case kRecovered: return {Kind::kDone, {}, sense.lba()};
    // An ATA drive aborts what it does not know; a bridge without ATA finds the request illegal.
    case kIllegalRequest:
    case kAborted: return {Kind::kRefused, {}, {}};
    case kUnitAttention: return {Kind::kAgain, {}, {}};
    default: return failed("the device reports sense key " + std::to_string(sense.key()));
  }
}

}  // namespace

AtaAnswer understand(const SgResult& result) {
  if (result.host_status != 0) return failed(host_problem(result.host_status));
  if (result.status != kGood && result.status != kCheckCondition) {
    return failed("the device reports SCSI status " + std::to_string(result.status));
  }
  AtaAnswer answer;
  if (result.status == kCheckCondition) answer = with_sense(Sense(result.sense));
  if (answer.kind != Kind::kDone || result.missing == 0) return answer;
  // Bridges that know no pass-through sometimes accept it and send nothing.
  if (result.missing == result.asked) return {Kind::kRefused, {}, {}};
  return failed("only a part of the page came");
}

}  // namespace driveprep::inventory
