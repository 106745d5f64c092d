// Reading a journal that another process writes, or that lies in a directory one cannot write.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>

#include "agent/journal/journal.h"
#include "base/posix.h"
#include "tests/unit/journal/job_directory.h"

namespace driveprep::journal {
namespace {

using Access = Journal::Access;

// A child process that runs `action` and then sleeps until it is killed.
class Child {
 public:
  template <typename Action>
  explicit Child(Action action) {
    int ready[2];
    require(::pipe(ready) == 0, "pipe failed");
    pid_ = ::fork();
    require(pid_ >= 0, "fork failed");
    if (pid_ == 0) {
      try {
        const auto kept = action();
        const char done = '+';
        if (::write(ready[1], &done, 1) != 1) ::_exit(1);
        for (;;) ::pause();
      } catch (...) {
        ::_exit(1);
      }
    }
    ::close(ready[1]);
    char answer = '-';
    const ssize_t got = ::read(ready[0], &answer, 1);
    ::close(ready[0]);
    ok_ = got == 1 && answer == '+';
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { kill(); }

  bool ok() const { return ok_; }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  bool ok_ = false;
};

std::unique_ptr<Journal> write_sample(const std::filesystem::path& job) {
  auto journal = Journal::open(job, Access::kReadWrite);
  Drive drive;
  drive.id = "A";
  journal->add_drive(drive);
  journal->set_state("A", DriveState::kWriting, "copying");
  return journal;
}

// The directory and its files as another user sees them: readable, not writable. Root is not stopped
// by that, so the test reads as "nobody" then.
class ReadOnlyDirectory {
 public:
  explicit ReadOnlyDirectory(const JobDirectory& job) : path_(job.path()) {
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      require(::chmod(entry.path().c_str(), 0444) == 0, "chmod failed");
    }
    require(::chmod(path_.c_str(), 0555) == 0, "chmod failed");
    if (::geteuid() == 0) require(::seteuid(65534) == 0, "seteuid failed");
  }
  ReadOnlyDirectory(const ReadOnlyDirectory&) = delete;
  ReadOnlyDirectory& operator=(const ReadOnlyDirectory&) = delete;
  ~ReadOnlyDirectory() {
    if (::getuid() == 0) (void)!::seteuid(0);
    ::chmod(path_.c_str(), 0755);
  }

 private:
  std::filesystem::path path_;
};

TEST_CASE("a job without a journal is told apart from an error") {
  const JobDirectory job;
  CHECK(Journal::open_existing(job.path()) == nullptr);
  CHECK(error_of([&] { Journal::open(job.path(), Access::kReadOnly); }) ==
        "usage/journal-missing");
  // A program killed right after it made the file.
  posix::open(job.database(), O_CREAT | O_RDWR, ErrorKind::kWrite);
  CHECK(Journal::open_existing(job.path()) == nullptr);
  Journal::open(job.path(), Access::kReadWrite);
  CHECK(Journal::open_existing(job.path()) != nullptr);
}

TEST_CASE("a reader sees what another process has committed, and what it commits next") {
  const JobDirectory job;
  const auto reader_before = [&] { return Journal::open(job.path(), Access::kReadOnly); };
  const Child writer([&] { return write_sample(job.path()); });
  REQUIRE(writer.ok());
  const auto reader = reader_before();
  CHECK(reader->drive("A")->state == DriveState::kWriting);
  const Child second([&] {
    auto journal = Journal::open(job.path(), Access::kReadWrite);
    journal->set_state("A", DriveState::kVerifying, "");
    return journal;
  });
  REQUIRE(second.ok());
  CHECK(reader->drive("A")->state == DriveState::kVerifying);
}

TEST_CASE("a reader cannot change the journal") {
  const JobDirectory job;
  write_sample(job.path());
  const auto reader = Journal::open(job.path(), Access::kReadOnly);
  CHECK(error_of([&] { reader->set_state("A", DriveState::kFinished, ""); }) ==
        "write/job-directory-read-only");
  CHECK(reader->drive("A")->state == DriveState::kWriting);
}

TEST_CASE("readers leave a directory that they could write to as it was") {
  const JobDirectory job;
  write_sample(job.path());
  const auto files = [&] {
    std::map<std::string, std::pair<std::uintmax_t, std::filesystem::file_time_type>> found;
    for (const auto& entry : std::filesystem::directory_iterator(job.path())) {
      found[entry.path().filename()] = {entry.file_size(), entry.last_write_time()};
    }
    return found;
  };
  const auto before = files();
  REQUIRE(before.size() == 1);
  {
    const auto one = Journal::open(job.path(), Access::kReadOnly);
    const auto two = Journal::open_existing(job.path());
    CHECK(one->drive("A")->state == DriveState::kWriting);
    CHECK(two->drive("A")->state == DriveState::kWriting);
  }
  CHECK(files() == before);
}

TEST_CASE("a log that a killed run has left stays as it is for a reader") {
  const JobDirectory job;
  {
    Child writer([&] { return write_sample(job.path()); });
    REQUIRE(writer.ok());
    writer.kill();
  }
  const auto text = [&](const char* name) {
    return posix::read_file(job.path() / name, 1 << 24, ErrorKind::kUsage);
  };
  const std::string journal = text("journal.db");
  const std::string log = text("journal.db-wal");
  CHECK(Journal::open(job.path(), Access::kReadOnly)->drive("A")->state == DriveState::kWriting);
  CHECK(text("journal.db") == journal);
  CHECK(text("journal.db-wal") == log);
}

TEST_CASE("what a killed process had committed is there") {
  const JobDirectory job;
  {
    Child writer([&] { return write_sample(job.path()); });
    REQUIRE(writer.ok());
    writer.kill();
  }
  CHECK(std::filesystem::file_size(job.path() / "journal.db-wal") > 0);
  SECTION("for the next run") {
    const auto journal = Journal::open(job.path(), Access::kReadWrite);
    CHECK(journal->drive("A")->state == DriveState::kWriting);
  }
  SECTION("for a reader in a directory that is now read-only") {
    const ReadOnlyDirectory sealed(job);
    const auto journal = Journal::open(job.path(), Access::kReadOnly);
    CHECK(journal->drive("A")->state == DriveState::kWriting);
  }
  SECTION("for a reader of a read-only copy without the shared memory file") {
    std::filesystem::remove(job.path() / "journal.db-shm");
    const ReadOnlyDirectory sealed(job);
    const auto journal = Journal::open(job.path(), Access::kReadOnly);
    CHECK(journal->drive("A")->state == DriveState::kWriting);
  }
}

TEST_CASE("a read-only directory can be read and nothing appears in it") {
  const JobDirectory job;
  write_sample(job.path());
  {
    const ReadOnlyDirectory sealed(job);
    const auto journal = Journal::open(job.path(), Access::kReadOnly);
    CHECK(journal->drive("A")->state == DriveState::kWriting);
    CHECK(error_of([&] { Journal::open(job.path(), Access::kReadWrite); }) ==
          "write/job-directory-read-only");
  }
  CHECK(std::distance(std::filesystem::directory_iterator(job.path()), {}) == 1);
}

TEST_CASE("a path with characters that mean something in a URI can be read") {
  const JobDirectory job;
  const std::filesystem::path odd = job.path() / "50% #1? job";
  std::filesystem::create_directory(odd);
  write_sample(odd);
  Database database(odd / "journal.db", Database::Mode::kImmutable);
  Statement count = database.prepare("SELECT count(*) FROM drive");
  REQUIRE(count.step());
  CHECK(count.integer(0) == 1);
}

}  // namespace
}  // namespace driveprep::journal
