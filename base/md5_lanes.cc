#include "base/md5_lanes.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/md5_core.h"
#include "base/md5_kernels.h"

namespace driveprep {
namespace {

using md5_kernels::State;

constexpr State kInitialState = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

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

void advance_scalar(State& state, const std::byte* from, std::size_t blocks) {
  Md5State<Scalar> single{state[0], state[1], state[2], state[3]};
  md5_advance<Scalar>(single, {from}, blocks);
  state = {single.a, single.b, single.c, single.d};
}

// The end of a message: what is left of it, the padding and the length in bits.
Md5 finish(State state, ByteView block, std::size_t done) {
  const std::size_t whole = (block.size() - done) / kMd5BlockBytes;
  advance_scalar(state, block.data() + done, whole);
  const ByteView rest = block.subspan(done + whole * kMd5BlockBytes);
  ByteWriter tail;
  tail.bytes(rest).u8(0x80);
  tail.pad_to(rest.size() + 9 <= kMd5BlockBytes ? kMd5BlockBytes - 8 : 2 * kMd5BlockBytes - 8);
  tail.u64(static_cast<std::uint64_t>(block.size()) * 8);
  advance_scalar(state, tail.view().data(), tail.size() / kMd5BlockBytes);

  ByteWriter words;
  for (std::uint32_t word : state) words.u32(word);
  Md5 digest{};
  std::copy(words.view().begin(), words.view().end(), digest.begin());
  return digest;
}

// Hashes up to kLanes blocks. When the shortest lanes are through they idle on another lane's data;
// when few are left, each is finished by itself.
template <std::size_t kLanes, typename Advance>
void hash_group(std::span<const ByteView> blocks, std::span<Md5> digests, Advance advance) {
  std::array<State, kLanes> states;
  states.fill(kInitialState);
  std::array<State, kLanes> final_states = states;
  std::array<std::size_t, kLanes> done{};

  std::size_t position = 0;  // bytes that every live lane has behind it
  for (;;) {
    std::size_t live = 0;
    std::size_t next = SIZE_MAX;
    const std::byte* any = nullptr;
    for (const ByteView& block : blocks) {
      const std::size_t end = round_down(block.size(), kMd5BlockBytes);
      if (end <= position) continue;
      ++live;
      next = std::min(next, end);
      any = block.data();
    }
    if (live < kWorthAVector) break;
    std::array<const std::byte*, kLanes> pointers;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const bool alive =
          lane < blocks.size() && round_down(blocks[lane].size(), kMd5BlockBytes) > position;
      pointers[lane] = (alive ? blocks[lane].data() : any) + position;
    }
    advance(states, pointers, (next - position) / kMd5BlockBytes);
    for (std::size_t lane = 0; lane < blocks.size(); ++lane) {
      if (round_down(blocks[lane].size(), kMd5BlockBytes) > position) {
        final_states[lane] = states[lane];
        done[lane] = next;
      }
    }
    position = next;
  }
  for (std::size_t lane = 0; lane < blocks.size(); ++lane) {
    digests[lane] = finish(final_states[lane], blocks[lane], done[lane]);
  }
}

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
  while (!blocks.empty()) {
    const std::size_t count = std::min(lanes, blocks.size());
    if (count < kWorthAVector) {
      for (std::size_t k = 0; k < count; ++k) digests[k] = md5(blocks[k]);
    } else if (lanes == 16) {
      hash_group<16>(blocks.first(count), digests.first(count), md5_kernels::advance_avx512);
    } else {
      hash_group<8>(blocks.first(count), digests.first(count), md5_kernels::advance_avx2);
    }
    blocks = blocks.subspan(count);
    digests = digests.subspan(count);
  }
}

}  // namespace driveprep
