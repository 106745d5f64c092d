#include "base/md5_lanes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "base/md5_core.h"
#include "base/md5_kernels.h"

namespace driveprep {
namespace {

constexpr std::array<std::uint32_t, 4> kInitialState = {0x67452301, 0xefcdab89, 0x98badcfe,
                                                        0x10325476};

// A vector step costs about as much as four single streams, however many lanes are in use.
constexpr std::size_t kWorthAVector = 4;

struct Scalar {
  using Type = std::uint32_t;
  static constexpr std::size_t kLanes = 1;
  static Type set1(std::uint32_t value) { return value; }
  static Type add(Type x, Type y) { return x + y; }
  template <int kShift>
  static Type rotl(Type x) {
    return x << kShift | x >> (32 - kShift);
  }
  static Type f(Type b, Type c, Type d) { return d ^ (b & (c ^ d)); }
  static Type g(Type b, Type c, Type d) { return c ^ (d & (b ^ c)); }
  static Type h(Type b, Type c, Type d) { return b ^ c ^ d; }
  static Type i(Type b, Type c, Type d) { return c ^ (b | ~d); }
  static void load(const std::array<const std::byte*, 1>& pointers, Type* words) {
    ByteReader reader(ByteView(pointers[0], kMd5BlockBytes));
    for (int k = 0; k < 16; ++k) words[k] = reader.u32();
  }
};

// What is left of a message: whole blocks where they lie, then its end with the padding and the
// length in bits.
class Message {
 public:
  Message(ByteView bytes, Md5* digest)
      : at_(bytes.data()), blocks_(bytes.size() / kMd5BlockBytes), digest_(digest) {
    const ByteView rest = bytes.subspan(blocks_ * kMd5BlockBytes);
    end_blocks_ = rest.size() + 9 <= kMd5BlockBytes ? 1 : 2;
    std::ranges::copy(rest, end_.begin());
    end_[rest.size()] = std::byte{0x80};
    std::uint64_t bits = static_cast<std::uint64_t>(bytes.size()) * 8;
    for (std::size_t i = end_blocks_ * kMd5BlockBytes - 8; bits != 0; ++i, bits >>= 8) {
      end_[i] = static_cast<std::byte>(bits);
    }
    if (blocks_ == 0) take_end();
  }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  const std::byte* at() const { return at_; }
  std::size_t blocks() const { return blocks_; }  // in one piece; 0: all is done
  void advance(std::size_t blocks) {
    at_ += blocks * kMd5BlockBytes;
    blocks_ -= blocks;
    if (blocks_ == 0 && end_blocks_ != 0) take_end();
  }
  Md5& digest() const { return *digest_; }

 private:
  void take_end() {
    at_ = end_.data();
    blocks_ = std::exchange(end_blocks_, 0);
  }

  const std::byte* at_;
  std::size_t blocks_;
  Md5* digest_;
  std::array<std::byte, 2 * kMd5BlockBytes> end_{};
  std::size_t end_blocks_;
};

// Hashes messages in kLanes lanes: a lane that is through with its message takes the next one. When
// few are left, each is finished by itself.
template <std::size_t kLanes>
class Lanes {
 public:
  using States = md5_kernels::States<kLanes>;
  using Advance = void (*)(States&, const std::array<const std::byte*, kLanes>&, std::size_t);

  Lanes(std::span<const ByteView> blocks, std::span<Md5> digests)
      : blocks_(blocks), digests_(digests) {}

  void run(Advance advance) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) take_next(lane);
    while (live_ >= kWorthAVector) {
      std::array<const std::byte*, kLanes> pointers;
      std::size_t step = SIZE_MAX;
      const std::byte* any = nullptr;
      for (const std::optional<Message>& message : messages_) {
        if (!message) continue;
        step = std::min(step, message->blocks());
        any = message->at();
      }
      // Lanes without a message idle on another lane's data.
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        pointers[lane] = messages_[lane] ? messages_[lane]->at() : any;
      }
      advance(states_, pointers, step);
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        if (!messages_[lane]) continue;
        messages_[lane]->advance(step);
        if (messages_[lane]->blocks() == 0) conclude(lane);
      }
    }
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      if (messages_[lane]) finish_alone(lane);
    }
  }

 private:
  void take_next(std::size_t lane) {
    messages_[lane].reset();
    if (next_ == blocks_.size()) return;
    messages_[lane].emplace(blocks_[next_], &digests_[next_]);
    ++next_;
    ++live_;
    states_.set(lane, kInitialState);
  }

  void conclude(std::size_t lane) {
    store(states_.get(lane), messages_[lane]->digest());
    --live_;
    take_next(lane);
  }

  void finish_alone(std::size_t lane) {
    Message& message = *messages_[lane];
    const auto [a, b, c, d] = states_.get(lane);
    Md5State<Scalar> state{a, b, c, d};
    while (message.blocks() != 0) {
      const std::size_t blocks = message.blocks();
      md5_advance<Scalar>(state, {message.at()}, blocks);
      message.advance(blocks);
    }
    store({state.a, state.b, state.c, state.d}, message.digest());
  }

  static void store(const std::array<std::uint32_t, 4>& state, Md5& digest) {
    static_assert(sizeof state == sizeof digest && std::endian::native == std::endian::little);
    std::memcpy(digest.data(), state.data(), sizeof state);
  }

  std::span<const ByteView> blocks_;
  std::span<Md5> digests_;
  std::size_t next_ = 0;  // of blocks_
  std::size_t live_ = 0;
  States states_{};
  std::array<std::optional<Message>, kLanes> messages_;
};

}  // namespace

std::size_t md5_lane_count() {
  static const std::size_t count = __builtin_cpu_supports("avx512f") ? 16
                                   : __builtin_cpu_supports("avx2")  ? 8
                                                                     : 1;
  return count;
}

void md5_lanes(std::span<const ByteView> blocks, std::span<Md5> digests) {
  require(blocks.size() == digests.size(), "md5_lanes: one digest a block");
  const std::size_t lanes = md5_lane_count();
  if (blocks.size() < kWorthAVector || lanes == 1) {
    for (std::size_t k = 0; k < blocks.size(); ++k) digests[k] = md5(blocks[k]);
  } else if (lanes == 16) {
    Lanes<16>(blocks, digests).run(md5_kernels::advance_avx512);
  } else {
    Lanes<8>(blocks, digests).run(md5_kernels::advance_avx2);
  }
}

}  // namespace driveprep
