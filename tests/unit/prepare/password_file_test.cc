#include "agent/prepare/password_file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/support/scratch.h"

using namespace driveprep;
using test::error_of;

namespace {

job::JobSpec spec_with(const std::filesystem::path& file) {
  job::JobSpec spec;
  spec.bitlocker.password_file = file;
  return spec;
}

job::JobSpec spec_with(const test::ScratchDirectory& scratch, const std::string& content) {
  std::ofstream(scratch / "password") << content;
  return spec_with(scratch / "password");
}

}  // namespace

TEST_CASE("the password is the first line of its file, without the end of the line") {
  const test::ScratchDirectory scratch;
  const auto content = GENERATE(as<std::string>(), "long enough", "long enough\n",
                                "long enough\r\n", "long enough\nand more\n");
  CHECK(prepare::read_password(spec_with(scratch, content))->text() == "long enough");
  CHECK_FALSE(prepare::read_password(job::JobSpec{}));
}

TEST_CASE("a password that Windows would not take is found when its file is read") {
  const test::ScratchDirectory scratch;
  const auto refusal = [&](const std::string& content) {
    return error_of([&] { prepare::read_password(spec_with(scratch, content)); });
  };
  CHECK(refusal("") == "usage/bitlocker-password-length");
  CHECK(refusal("seven77\n") == "usage/bitlocker-password-length");
  CHECK(refusal(std::string(256, 'x')).empty());
  CHECK(refusal(std::string(257, 'x')) == "usage/bitlocker-password-length");
  CHECK(refusal(std::string(5000, 'x')) == "usage/bitlocker-password-length");
  CHECK(refusal("not UTF-8 \xFF\xFE") == "key/bitlocker-password-text");
}

TEST_CASE("a password file that cannot be used is named as what it is") {
  const test::ScratchDirectory scratch;
  const auto refusal = [](const std::filesystem::path& path) {
    return error_of([&] { prepare::read_password(spec_with(path)); });
  };
  CHECK(refusal(scratch / "absent") == "usage/password-file");
  CHECK(refusal(scratch.path()) == "usage/password-file");
  REQUIRE(::mkfifo((scratch / "pipe").c_str(), 0600) == 0);
  CHECK(refusal(scratch / "pipe") == "usage/password-file");
  std::ofstream(scratch / "real") << "long enough";
  std::filesystem::create_symlink(scratch / "real", scratch / "link");
  CHECK(refusal(scratch / "link") == "usage/password-file");
}

TEST_CASE("a password is asked for as long as a drive has to be made with it") {
  const test::ScratchDirectory scratch;
  const job::JobDirectory directory(scratch.path());
  job::Job job{directory, spec_with(scratch / "absent"), {}, {}};
  job::DriveRow row;
  row.drive_id = "D0";
  job.driveset.rows.push_back(row);
  const auto check = [&](const journal::Journal* journal) {
    return error_of([&] { prepare::check_password_file(job, journal); });
  };
  CHECK(check(nullptr) == "usage/password-file");

  const auto journal =
      journal::Journal::open(scratch.path(), journal::Journal::Access::kReadWrite);
  CHECK(check(journal.get()) == "usage/password-file");
  journal::Drive drive;
  drive.id = "D0";
  drive.planned_files = 1;
  journal->add_drive(drive);
  CHECK(check(journal.get()) == "usage/password-file");
  journal->set_volume("D0", journal::VolumeFacts{});
  CHECK(check(journal.get()) == "usage/password-file");
  journal::Checkpoint checkpoint;
  checkpoint.number = 1;
  journal->commit_checkpoint("D0", checkpoint);
  CHECK(check(journal.get()).empty());
  journal::Verification failed;
  failed.result = "blocks-differ";
  journal->set_verification("D0", failed, journal::DriveState::kFailed, "");
  CHECK(check(journal.get()) == "usage/password-file");
  journal->set_state("D0", journal::DriveState::kFinished, "");
  CHECK(check(journal.get()).empty());
}
