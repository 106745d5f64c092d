// The n-th write to a descriptor fails, is torn, or is dropped with a lie; by whomever it is
// written, libraries included: the system calls themselves are replaced (faulty_writes.cc belongs
// into the test program).
#pragma once

#include <cstdint>

namespace driveprep::test {

enum class WriteFault {
  kFail,      // nothing reaches the medium; this write and all later ones fail
  kTornHead,  // only the first half of the sectors does; then as above
  kTornTail,  // only the second half
  kDropped,   // nothing does, and success is told
};

// While it lives; one at a time.
class FaultyWrites {
 public:
  // `number` from 0; with one that is never reached it only counts.
  FaultyWrites(int fd, std::uint64_t number, WriteFault fault);
  ~FaultyWrites();
  FaultyWrites(const FaultyWrites&) = delete;
  FaultyWrites& operator=(const FaultyWrites&) = delete;

  std::uint64_t writes() const { return writes_; }
  bool happened() const { return writes_ > number_; }

  // Of the replaced system calls: writes, with this as the offset, and what is told.
  std::int64_t write(const void* data, std::uint64_t length, std::int64_t offset);
  int fd() const { return fd_; }

 private:
  int fd_;
  std::uint64_t number_;
  WriteFault fault_;
  std::uint64_t writes_ = 0;
};

}  // namespace driveprep::test
