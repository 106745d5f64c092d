// The guard on real files: from the name to the armed image.
#include "drive/guard/drive_target.h"
#include "drive/guard/file_lock.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <catch2/catch.hpp>

#include "drive/layout/gpt.h"
#include "tests/support/scratch.h"

using namespace driveprep;
using namespace driveprep::guard;
using test::error_of;

namespace {

constexpr std::uint64_t kSize = 64 * kMiB;

ImageRequest request(const std::filesystem::path& path) {
  return {path, "DISK0", SectorSize(512), {}};
}

VettedDrive vetted(const std::filesystem::path& path, Consent consent = {}) {
  return vet(gather_image_facts(request(path)), std::move(consent));
}

std::string refusal(const ImageRequest& wanted, Consent consent = {}) {
  return error_of([&] { vet(gather_image_facts(wanted), consent); });
}

void put(const std::filesystem::path& path, std::uint64_t offset, std::string_view text) {
  const UniqueFd fd = posix::open(path, O_RDWR, ErrorKind::kWrite);
  posix::pwrite_all(fd.get(), offset, as_bytes(text), path.string(), ErrorKind::kWrite);
}

}  // namespace

TEST_CASE("an empty image is armed and can be written") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  const VettedDrive image = vetted(path);
  CHECK(image.destroys() == "empty");
  CHECK_FALSE(image.continues());

  ArmedDrive armed = arm(image);

  CHECK(armed.device().size() == kSize);
  CHECK(armed.drive_id() == "DISK0");
  CHECK(armed.identity() == image.candidate().identity());
  armed.device().write(kMiB, test::pattern(4096));
  armed.device().flush();
  CHECK(posix::read_file(path, kSize, ErrorKind::kSource).substr(kMiB, 4096) ==
        as_text(test::pattern(4096)));
}

TEST_CASE("names that are no image files are refused by what they are") {
  test::ScratchDirectory scratch;
  scratch.image("disk0.img", kSize);
  std::filesystem::create_symlink(scratch / "disk0.img", scratch / "link.img");
  CHECK(refusal(request("/dev/sda")) == "refused/not-an-image");
  CHECK(refusal(request("/dev/disk/by-id/ata-X")) == "refused/not-an-image");
  CHECK(refusal(request("serial:WD-123")) == "refused/not-an-image");
  CHECK(refusal(request(scratch.path())) == "refused/not-an-image");
  CHECK(refusal(request(scratch / "absent.img")) == "usage/image-missing");
  CHECK(refusal(request(scratch / "link.img")) == "refused/image-is-link");
  REQUIRE(::mkfifo((scratch / "pipe").c_str(), 0600) == 0);
  CHECK(refusal(request(scratch / "pipe")) == "refused/not-an-image");
}

TEST_CASE("a regular file is an image, wherever it lies") {
  if (::access("/dev/shm", W_OK) != 0) {
    WARN("skipped: needs /dev/shm");
    return;
  }
  test::ScratchDirectory scratch("/dev/shm");
  const auto path = scratch.image("disk0.img", kSize);
  CHECK(refusal(request(path)).empty());
  CHECK(error_of([&] { arm(vetted(path)); }).empty());
  CHECK(refusal(request(scratch / "absent.img")) == "refused/not-an-image");
}

TEST_CASE("a block device is no image, wherever its name lies", "[root]") {
  test::ScratchDirectory scratch;
  // Major 240 is kept for local use: no driver is behind it.
  if (::mknod((scratch / "disk").c_str(), S_IFBLK | 0600, makedev(240, 0)) != 0) {
    WARN("skipped: needs the right to make device nodes");
    return;
  }
  std::filesystem::create_symlink(scratch / "disk", scratch / "link.img");
  CHECK(path_kind(scratch / "disk") == PathKind::kDevicePath);
  CHECK(refusal(request(scratch / "disk")) == "refused/not-an-image");
  CHECK(refusal(request(scratch / "link.img")) == "refused/not-an-image");
}

TEST_CASE("a second name, too few bytes and an uneven size are refused") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  std::filesystem::create_hard_link(path, scratch / "other.img");
  CHECK(refusal(request(path)) == "refused/image-has-links");
  CHECK(refusal(request(scratch.image("small.img", kSize - 512))) == "refused/image-too-small");
  CHECK(refusal(request(scratch.image("odd.img", kSize + 100))) == "refused/image-size-uneven");
}

TEST_CASE("an image inside a source is refused, one beside it is not") {
  test::ScratchDirectory scratch;
  std::filesystem::create_directories(scratch / "data/deep");
  const auto inside = scratch.image("data/deep/disk0.img", kSize);
  const auto beside = scratch.image("data.img", kSize);
  CHECK(refusal({inside, "DISK0", SectorSize(512), {scratch / "data"}}) ==
        "refused/image-inside-source");
  CHECK(refusal({inside, "DISK0", SectorSize(512), {scratch / "data/"}}) ==
        "refused/image-inside-source");
  CHECK(refusal({beside, "DISK0", SectorSize(512), {beside}}) == "refused/image-inside-source");
  CHECK(refusal({beside, "DISK0", SectorSize(512), {scratch / "data"}}).empty());
}

TEST_CASE("an image of another user, or one that may not be written, is refused", "[root]") {
  if (::geteuid() != 0 || test::program("setpriv").empty()) {
    WARN("skipped: needs root to become somebody else");
    return;
  }
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  std::filesystem::permissions(scratch.path(), std::filesystem::perms::all);
  std::filesystem::permissions(path, std::filesystem::perms(0666));
  const auto as_nobody = [&](auto look) {
    REQUIRE(::seteuid(65534) == 0);
    look();
    REQUIRE(::seteuid(0) == 0);
  };
  as_nobody([&] { CHECK(refusal(request(path)) == "refused/image-not-owned"); });
  REQUIRE(::chown(path.c_str(), 65534, 65534) == 0);
  as_nobody([&] { CHECK(refusal(request(path)).empty()); });
  std::filesystem::permissions(path, std::filesystem::perms(0444));
  as_nobody([&] { CHECK(refusal(request(path)) == "refused/image-not-writable"); });
}

TEST_CASE("an image in use by another run is busy, and free again afterwards") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  const VettedDrive early = vetted(path);
  {
    ArmedDrive armed = arm(vetted(path));
    CHECK(refusal(request(path)) == "busy/image-busy");
    CHECK(error_of([&] { arm(early); }) == "busy/image-busy");
  }
  CHECK(refusal(request(path)).empty());
  CHECK(error_of([&] { arm(early); }).empty());
}

TEST_CASE("an image that is being read is not armed, and one that is armed is not read") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  const VettedDrive image = vetted(path);
  const auto open = [&] { return block::open_image_read_only(path.string(), SectorSize(512)); };
  {
    const auto reader = open();
    const auto another = open();
    hold_for_reading(*reader);
    hold_for_reading(*another);
    CHECK(error_of([&] { arm(image); }) == "busy/image-busy");
  }
  const ArmedDrive armed = arm(image);
  const auto reader = open();
  CHECK(error_of([&] { hold_for_reading(*reader); }) == "busy/image-busy");
}

TEST_CASE("what changes between vetting and arming stops the arming") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  const Consent everything{true, true, "DISK0", {}};
  const VettedDrive image = vetted(path, everything);
  const auto code = [&] { return error_of([&] { arm(image); }); };

  SECTION("the contents") {
    put(path, 12'345'678, "somebody's data");
    CHECK(code() == "busy/image-changed");
  }
  SECTION("the size") {
    std::filesystem::resize_file(path, 2 * kSize);
    CHECK(code() == "busy/image-changed");
  }
  SECTION("the file") {
    std::filesystem::rename(path, scratch / "kept.img");
    scratch.image("disk0.img", kSize);
    CHECK(code() == "busy/image-changed");
  }
  SECTION("the name") {
    std::filesystem::rename(path, scratch / "kept.img");
    CHECK(code() == "busy/image-changed");
    std::filesystem::create_symlink(scratch / "kept.img", path);
    CHECK(code() == "busy/image-changed");
  }
  SECTION("a second name") {
    std::filesystem::create_hard_link(path, scratch / "other.img");
    CHECK(code() == "refused/image-has-links");
  }
  SECTION("nothing") { CHECK(code().empty()); }
}

TEST_CASE("an image that holds something needs consent, and tells what it holds") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  put(path, 3 * kMiB, "somebody's data");
  CHECK(refusal(request(path)) == "refused/image-not-empty");
  CHECK(refusal(request(path), {true, false, {}, {}}) == "not-confirmed/image-not-confirmed");
  CHECK(refusal(request(path), {true, false, "DISK9", {}}) ==
        "not-confirmed/image-wrong-confirmation");
  const VettedDrive image = vetted(path, {true, false, "DISK0", {}});
  CHECK(image.destroys() == "unknown data at offset 3145728");
  CHECK(error_of([&] { arm(image); }).empty());
}

TEST_CASE("a drive begun earlier is known again by its disk GUID") {
  test::ScratchDirectory scratch;
  const auto path = scratch.image("disk0.img", kSize);
  const Guid guid = Guid::random();
  std::string identity;
  {
    ArmedDrive armed = arm(vetted(path));
    identity = armed.identity();
    layout::write_gpt(armed.device(), {guid, Guid::random()});
  }
  Consent continuing;
  continuing.begun = Consent::Begun{identity, guid};
  CHECK(vetted(path, continuing).continues());
  CHECK(error_of([&] { arm(vetted(path, continuing)); }).empty());

  std::filesystem::rename(path, scratch / "moved.img");
  CHECK(refusal(request(scratch / "moved.img"), continuing).empty());
  const auto fresh = scratch.image("disk0.img", kSize);
  CHECK(refusal(request(fresh), continuing) == "journal-mismatch/image-not-the-one-begun");
}
