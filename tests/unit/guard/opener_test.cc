// The process that opens disks: what is said, what is handed over, and what it refuses.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <catch2/catch.hpp>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "drive/guard/opener_messages.h"
#include "drive/guard/opener_process.h"
#include "drive/guard/opener_service.h"
#include "drive/guard/remote_opener.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::guard;
using test::error_of;

namespace {

struct Pair {
  UniqueFd one, other;
  Pair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    one = UniqueFd(ends[0]);
    other = UniqueFd(ends[1]);
  }
};

// Of its disks one hangs until it is let go; the others are gone.
class HangingOpener final : public DiskOpener {
 public:
  OpenedDisk open(const std::filesystem::path& node, DiskAccess) override {
    if (node == "/dev/hangs") {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return let_go_; });
    }
    throw Error(ErrorKind::kBusy, "disk-vanished", node.string());
  }
  inventory::AtaPages ata_pages(int, const std::string&) override { return {}; }
  void read_table_anew(int, const std::string&) override {}
  void let_go() {
    const std::scoped_lock lock(mutex_);
    let_go_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool let_go_ = false;
};

}  // namespace

TEST_CASE("a disk that hangs holds up nobody but who asked for it, and not for ever") {
  const auto disks = std::make_shared<HangingOpener>();
  Pair pair;
  std::thread service([&] { serve_opener(pair.other.get(), disks); });
  {
    RemoteOpener opener(std::move(pair.one), std::chrono::milliseconds(500));
    std::string of_the_hanging;
    std::thread waiting([&] {
      of_the_hanging = error_of([&] { opener.open("/dev/hangs", DiskAccess::kExclusive); });
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const auto began = std::chrono::steady_clock::now();
    for (int n = 0; n < 20; ++n) {
      CHECK(error_of([&] { opener.open("/dev/other", DiskAccess::kLook); }) ==
            "busy/disk-vanished");
    }
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::milliseconds(400));
    waiting.join();
    CHECK(of_the_hanging == "busy/disk-silent");
    disks->let_go();  // the late answer goes nowhere
    CHECK(error_of([&] { opener.open("/dev/hangs", DiskAccess::kLook); }) == "busy/disk-vanished");
  }
  service.join();
}

TEST_CASE("a service that has ended is told as such") {
  Pair pair;
  pair.other = UniqueFd();
  RemoteOpener opener(std::move(pair.one));
  CHECK(error_of([&] { opener.open("/dev/x", DiskAccess::kLook); }) == "internal/opener-lost");
}

TEST_CASE("requests and answers of the opener say what they were given") {
  const OpenerRequest request{OpenerRequest::Kind::kOpen, DiskAccess::kExclusive, "/dev/sdb"};
  const OpenerRequest read = OpenerRequest::parse(request.serialise());
  CHECK(read.kind == request.kind);
  CHECK(read.access == request.access);
  CHECK(read.name == request.name);

  OpenerAnswer answer;
  answer.pages.identify = test::pattern(512);
  answer.pages.smart = test::pattern(512, 2);
  answer.pages.predicts_failure = true;
  answer.pages.smart_problem = "it does not answer";
  CHECK(OpenerAnswer::parse(answer.serialise()).pages == answer.pages);

  answer.error.emplace(ErrorKind::kBusy, "disk-in-use", "it is in use", "wait");
  const OpenerAnswer refused = OpenerAnswer::parse(answer.serialise());
  REQUIRE(refused.error);
  CHECK(refused.error->kind() == ErrorKind::kBusy);
  CHECK(refused.error->code() == "disk-in-use");
  CHECK(refused.error->what() == std::string("it is in use"));
  CHECK(refused.error->remedy() == "wait");
}

TEST_CASE("messages that are cut off or of no kind are no messages") {
  const Bytes whole =
      OpenerRequest{OpenerRequest::Kind::kAtaPages, DiskAccess::kLook, "/dev/sdb"}.serialise();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CHECK_THROWS_AS(OpenerRequest::parse(ByteView(whole).first(length)), FormatError);
  }
  Bytes other = whole;
  other[0] = std::byte{9};
  CHECK_THROWS_AS(OpenerRequest::parse(other), FormatError);
  other = whole;
  other[1] = std::byte{3};
  CHECK_THROWS_AS(OpenerRequest::parse(other), FormatError);
}

TEST_CASE("descriptors arrive, and are closed on exec") {
  Pair pair;
  test::ScratchDirectory scratch;
  const UniqueFd file =
      posix::open(scratch.file("a", test::pattern(8)), O_RDONLY, ErrorKind::kBusy);
  send_envelope(pair.one.get(), test::pattern(3), {file.get(), file.get()});
  std::optional<Envelope> got = receive_envelope(pair.other.get());
  REQUIRE(got);
  CHECK(got->message == test::pattern(3));
  REQUIRE(got->descriptors.size() == 2);
  Bytes content(8);
  posix::pread_exact(got->descriptors[1].get(), 0, content, "a", ErrorKind::kBusy);
  CHECK(content == test::pattern(8));
  CHECK((::fcntl(got->descriptors[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
  pair.one = UniqueFd();
  CHECK_FALSE(receive_envelope(pair.other.get()));
}

TEST_CASE("the opener process refuses what is no whole disk's own node in /dev") {
  const std::unique_ptr<DiskOpener> opener = start_opener_process();
  test::ScratchDirectory scratch;
  const auto look = [&](const std::filesystem::path& path) {
    return error_of([&] { opener->open(path, DiskAccess::kLook); });
  };
  const auto file = scratch.file("a", test::pattern(8));
  CHECK(look("/dev/null") == "refused/disk-not-a-drive");
  CHECK(look("/etc/passwd") == "refused/disk-not-a-drive");
  CHECK(look("/dev/../etc/passwd") == "refused/disk-not-a-drive");
  CHECK(look("/dev/disk/by-id/x") == "refused/disk-not-a-drive");
  CHECK(look("/dev/") == "refused/disk-not-a-drive");
  CHECK(look(file) == "refused/disk-not-a-drive");
  CHECK(look("/dev/no-such-disk") == "busy/disk-vanished");
  // What is handed to it for asking is looked at, too.
  const UniqueFd fd = posix::open(file, O_RDONLY, ErrorKind::kBusy);
  CHECK(error_of([&] { opener->ata_pages(fd.get(), "a"); }) == "refused/disk-not-whole");
  CHECK(error_of([&] { opener->read_table_anew(fd.get(), "a"); }) == "refused/disk-not-whole");
}

TEST_CASE("several threads have one opener") {
  const std::unique_ptr<DiskOpener> opener = start_opener_process();
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const std::string name = "/dev/no-such-disk-" + std::to_string(i);
      for (int n = 0; n < 50; ++n) {
        try {
          opener->open(name, DiskAccess::kExclusive);
        } catch (const Error& error) {
          if (std::string(error.what()).find(name) != std::string::npos) ++right;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 200);
}
