#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "agent/journal/journal.h"
#include "tests/unit/journal/job_directory.h"

namespace driveprep::journal {
namespace {

using Access = Journal::Access;

JobRecord sample_job() {
  return {"job-1", "photos#1", sha256(as_bytes("plan")), sha256(as_bytes("inputs")),
          FileTime{133'000'000'000'000'000}};
}

Drive sample_drive(const std::string& id = "ZC1A0F7K") {
  Drive drive;
  drive.id = id;
  drive.target = "disk0.img";
  drive.planned_files = 10'000'000;
  drive.planned_bytes = 20'000'000'000'000;
  return drive;
}

VolumeFacts sample_volume() {
  VolumeFacts volume;
  volume.disk = Guid::random();
  volume.partition = Guid::random();
  volume.partition_offset = 1 << 20;
  volume.partition_length = 20'000'000'000'000;
  volume.cipher = "xts-aes-256";
  volume.cluster_size = 65536;
  volume.metadata_offsets = {1, 1ULL << 40, ~0ULL};
  volume.header_backup_offset = 77;
  volume.d_offset = 78;
  volume.volume = Guid::random();
  volume.recovery_protector = Guid::random();
  volume.ntfs_serial = 0xFEDC'BA98'7654'3210;
  volume.envelope_kid = "local:job-key/1";
  return volume;
}

TEST_CASE("what was stored is there after the program has ended") {
  const JobDirectory job;
  const VolumeFacts volume = sample_volume();
  const DriveIdentity identity{"disk:ZC1A0F7K:8589934592:4096", 8ULL << 30, 4096};
  const Verification verification{FileTime::now(), 5'000'000, 20'000'000'000'000, true, "ok"};
  {
    const auto journal = Journal::open(job.path(), Access::kReadWrite);
    CHECK_FALSE(journal->job());
    CHECK(journal->drives().empty());
    journal->set_job(sample_job());
    journal->add_drive(sample_drive());
    journal->add_drive(sample_drive("SECOND"));
    journal->set_identity("ZC1A0F7K", identity);
    journal->set_volume("ZC1A0F7K", volume);
    journal->set_manifest("ZC1A0F7K", {"D863FE44F861AE0DA4DCEAEEFFCCCE68", 1234});
    journal->set_verification("ZC1A0F7K", verification, DriveState::kFinished, "read back, equal");
  }
  const auto journal = Journal::open(job.path(), Access::kReadWrite);
  REQUIRE(journal->job());
  CHECK(journal->job()->id == "job-1");
  CHECK(journal->job()->session == "photos#1");
  CHECK(journal->job()->plan_digest == sample_job().plan_digest);
  CHECK(journal->job()->inputs_digest == sample_job().inputs_digest);
  CHECK(journal->job()->created == sample_job().created);

  const std::vector<Drive> drives = journal->drives();
  REQUIRE(drives.size() == 2);
  CHECK(drives[1].id == "SECOND");
  CHECK_FALSE(drives[1].volume);
  CHECK_FALSE(drives[1].identity);
  CHECK_FALSE(drives[1].manifest);
  CHECK_FALSE(drives[1].verification);
  const Drive& drive = drives[0];
  CHECK(drive.target == "disk0.img");
  CHECK(drive.state == DriveState::kFinished);
  CHECK(drive.detail == "read back, equal");
  CHECK(drive.planned_files == 10'000'000);
  CHECK(drive.planned_bytes == 20'000'000'000'000);
  CHECK(drive.changed >= drive.created);
  CHECK(drive.identity == identity);
  CHECK(drive.volume == volume);
  CHECK(drive.manifest == ManifestFacts{"D863FE44F861AE0DA4DCEAEEFFCCCE68", 1234});
  CHECK(drive.verification == verification);
}

TEST_CASE("planning again keeps what is known of a drive") {
  const JobDirectory job;
  const auto journal = Journal::open(job.path(), Access::kReadWrite);
  journal->add_drive(sample_drive());
  const VolumeFacts volume = sample_volume();
  journal->set_volume("ZC1A0F7K", volume);
  journal->set_state("ZC1A0F7K", DriveState::kWriting, "copying");
  Drive again = sample_drive();
  again.target = "elsewhere.img";
  again.planned_files = 3;
  journal->add_drive(again);
  const auto drive = journal->drive("ZC1A0F7K");
  REQUIRE(drive);
  CHECK(drive->target == "elsewhere.img");
  CHECK(drive->planned_files == 3);
  CHECK(drive->state == DriveState::kWriting);
  CHECK(drive->detail == "copying");
  CHECK(drive->volume == volume);
  journal->set_envelope_kid("ZC1A0F7K", "local:job-key/2");
  CHECK(journal->drive("ZC1A0F7K")->volume->envelope_kid == "local:job-key/2");
}

TEST_CASE("a drive that is started over is as new") {
  const JobDirectory job;
  const auto journal = Journal::open(job.path(), Access::kReadWrite);
  journal->add_drive(sample_drive());
  journal->set_identity("ZC1A0F7K", {"file:1:2:3", 3, 512});
  journal->set_volume("ZC1A0F7K", sample_volume());
  journal->set_manifest("ZC1A0F7K", {"00", 1});
  Checkpoint checkpoint;
  checkpoint.number = 9;
  const Failure failure{4, "/data/x", "source-vanished", "gone"};
  journal->commit_checkpoint("ZC1A0F7K", checkpoint, {&failure, 1});
  journal->set_verification("ZC1A0F7K", {}, DriveState::kFailed, "differs");
  journal->reset_drive("ZC1A0F7K", "formatted again");
  const auto drive = journal->drive("ZC1A0F7K");
  REQUIRE(drive);
  CHECK(drive->state == DriveState::kPlanned);
  CHECK(drive->detail == "formatted again");
  CHECK_FALSE(drive->identity);
  CHECK_FALSE(drive->volume);
  CHECK_FALSE(drive->manifest);
  CHECK_FALSE(drive->verification);
  CHECK_FALSE(journal->checkpoint("ZC1A0F7K"));
  CHECK(journal->failure_count("ZC1A0F7K") == 0);
}

TEST_CASE("a job keeps its id and its birthday, but may be planned anew") {
  const JobDirectory job;
  const auto journal = Journal::open(job.path(), Access::kReadWrite);
  journal->set_job(sample_job());
  JobRecord later = sample_job();
  later.plan_digest = sha256(as_bytes("another plan"));
  later.created = FileTime::now();
  journal->set_job(later);
  CHECK(journal->job()->plan_digest == later.plan_digest);
  CHECK(journal->job()->created == sample_job().created);
  later.id = "job-2";
  CHECK(error_of([&] { journal->set_job(later); }) == "journal-mismatch/journal-other-job");
  CHECK(error_of([&] { journal->require_job(later.id); }) == "journal-mismatch/journal-other-job");
  CHECK(error_of([&] { journal->require_job(sample_job().id); }).empty());
  CHECK(journal->job()->id == "job-1");
}

TEST_CASE("a drive that was never added is a bug, not a silent nothing") {
  const JobDirectory job;
  const auto journal = Journal::open(job.path(), Access::kReadWrite);
  CHECK_FALSE(journal->drive("NONE"));
  CHECK(error_of([&] { journal->set_state("NONE", DriveState::kWriting, ""); }) ==
        "internal/internal");
  CHECK(error_of([&] { journal->set_identity("NONE", {}); }) == "internal/internal");
  CHECK(error_of([&] { journal->set_volume("NONE", {}); }) == "internal/internal");
  CHECK(error_of([&] { journal->set_envelope_kid("NONE", "k"); }) == "internal/internal");
  CHECK(error_of([&] { journal->set_manifest("NONE", {}); }) == "internal/internal");
  CHECK(error_of([&] { journal->reset_drive("NONE", ""); }) == "internal/internal");
  CHECK(error_of([&] { journal->set_verification("NONE", {}, DriveState::kFailed, ""); }) ==
        "internal/internal");
  CHECK(error_of([&] { journal->commit_checkpoint("NONE", {}); }) == "internal/internal");
  const Failure failure{1, "p", "c", "m"};
  CHECK(error_of([&] {
          journal->add_failures("NONE", {&failure, 1});
        }) == "internal/journal-database");
}

TEST_CASE("the journal is private to its owner") {
  const JobDirectory job;
  const auto journal = Journal::open(job.path(), Access::kReadWrite);
  journal->set_job(sample_job());
  for (const char* name : {"journal.db", "journal.db-wal", "journal.db-shm"}) {
    struct stat status {};
    INFO(name);
    REQUIRE(::stat((job.path() / name).c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
  }
}

TEST_CASE("the journal is in WAL mode with full synchronisation") {
  const JobDirectory job;
  const auto journal = Journal::open(job.path(), Access::kReadWrite);
  Database database(job.database(), Database::Mode::kDurable);
  Statement mode = database.prepare("PRAGMA journal_mode");
  REQUIRE(mode.step());
  CHECK(mode.text(0) == "wal");
  Statement synchronous = database.prepare("PRAGMA synchronous");
  REQUIRE(synchronous.step());
  CHECK(synchronous.integer(0) == 2);
}

TEST_CASE("a journal of another version is refused") {
  const JobDirectory job;
  Journal::open(job.path(), Access::kReadWrite);
  Database(job.database(), Database::Mode::kDurable).execute("PRAGMA user_version=3");
  CHECK(error_of([&] { Journal::open(job.path(), Access::kReadWrite); }) ==
        "journal-mismatch/journal-version");
  CHECK(error_of([&] { Journal::open(job.path(), Access::kReadOnly); }) ==
        "journal-mismatch/journal-version");
}

TEST_CASE("another program's database is refused") {
  const JobDirectory job;
  Database(job.database(), Database::Mode::kDurable).execute("CREATE TABLE drive (id)");
  CHECK(error_of([&] { Journal::open(job.path(), Access::kReadWrite); }) ==
        "journal-mismatch/journal-version");
}

TEST_CASE("a damaged journal is refused") {
  const JobDirectory job;
  std::ofstream(job.database()) << std::string(8192, 'x');
  CHECK(error_of([&] { Journal::open(job.path(), Access::kReadWrite); }) ==
        "journal-mismatch/journal-database");
  CHECK(error_of([&] { Journal::open(job.path(), Access::kReadOnly); }) ==
        "journal-mismatch/journal-database");
}

TEST_CASE("damaged values in the journal are refused") {
  const JobDirectory job;
  const auto journal = Journal::open(job.path(), Access::kReadWrite);
  journal->set_job(sample_job());
  journal->add_drive(sample_drive());
  Database database(job.database(), Database::Mode::kDurable);
  database.execute("UPDATE job SET plan_digest = x'00'");
  CHECK(error_of([&] { journal->job(); }) == "journal-mismatch/journal-database");
  database.execute("UPDATE drive SET state = 'asleep'");
  CHECK(error_of([&] { journal->drives(); }) == "journal-mismatch/journal-database");
}

TEST_CASE("a missing directory is a write error with a remedy") {
  const JobDirectory job;
  CHECK(error_of([&] { Journal::open(job.path() / "none", Access::kReadWrite); }) ==
        "write/open-failed");
}

TEST_CASE("the names of the states are those of status --json") {
  for (const char* name : {"planned", "writing", "incomplete", "verifying", "finished", "failed"}) {
    const auto state = drive_state_from(name);
    REQUIRE(state);
    CHECK(to_string(*state) == name);
  }
  CHECK_FALSE(drive_state_from("done"));
}

}  // namespace
}  // namespace driveprep::journal
