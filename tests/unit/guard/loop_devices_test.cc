#include "drive/guard/loop_devices.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "drive/guard/image_policy.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::guard;

namespace {

constexpr std::uint64_t kSize = 64 * kMiB;

// A recorded sysfs with one loop device made of `backing`.
void record_loop(const std::filesystem::path& sysfs, const std::string& name,
                 const std::string& backing, std::uint64_t sectors) {
  std::filesystem::create_directories(sysfs / "block" / name / "loop");
  std::ofstream(sysfs / "block" / name / "loop/backing_file") << backing << '\n';
  std::ofstream(sysfs / "block" / name / "size") << sectors << '\n';
}

std::string loop_of(const std::filesystem::path& path, const std::filesystem::path& sysfs) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return loop_device_of(status.st_dev, status.st_ino, path,
                        static_cast<std::uint64_t>(status.st_size), sysfs);
}

}  // namespace

TEST_CASE("the loop device that a file backs is found by the file, not by its name") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  scratch.image("other.img", kSize);
  std::filesystem::create_directories(scratch / "sys/block/sda");
  std::filesystem::create_directories(scratch / "sys/block/loop0");  // not set up
  record_loop(scratch / "sys", "loop1", scratch / "other.img", kSize / 512);
  CHECK(loop_of(path, scratch / "sys").empty());
  std::filesystem::create_symlink(path, scratch / "alias");
  record_loop(scratch / "sys", "loop7", scratch / "alias", kSize / 512);
  CHECK(loop_of(path, scratch / "sys") == "loop7");
}

TEST_CASE("a deleted backing file is not the image that has a name") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  record_loop(scratch / "sys", "loop1", path.string() + "x/disk0.img (deleted)", kSize / 512);
  CHECK(loop_of(path, scratch / "sys").empty());
}

TEST_CASE("a backing file that cannot be told apart from the image refuses it") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  record_loop(scratch / "sys", "loop99999", "/elsewhere/disk1.img", kSize / 512);
  CHECK(loop_of(path, scratch / "sys").empty());
  record_loop(scratch / "sys", "loop99998", "/elsewhere/disk0.img", kSize / 512);
  CHECK(test::error_of([&] { loop_of(path, scratch / "sys"); }) == "refused/loop-unreadable");
  CHECK(test::error_of([&] { loop_of(path, scratch / "nowhere"); }) == "refused/loop-unreadable");
}

TEST_CASE("an image that backs an active loop device is busy until it is detached", "[root]") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  const std::string losetup = test::program("losetup");
  if (::geteuid() != 0 || losetup.empty()) {
    WARN("skipped: needs root and losetup");
    return;
  }
  const SubprocessResult loop = run_subprocess(losetup, {"--find", "--show", path});
  if (loop.exit_status != 0) {
    WARN("skipped: no loop device to be had: " << loop.output);
    return;
  }
  const std::string node = loop.output.substr(0, loop.output.find('\n'));
  const ImageRequest request{path, "DISK0", SectorSize(512), {}};
  const Verdict attached = judge(gather_image_facts(request), {});
  run_subprocess(losetup, {"--detach", node});
  REQUIRE(attached.has("image-backs-loop"));
  CHECK(attached.reasons.front().message.find(node) != std::string::npos);
  CHECK(judge(gather_image_facts(request), {}).allowed());
}
