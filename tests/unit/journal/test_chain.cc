// What was cut off, put back or written anew in the chain of events shows by the heads that are
// kept.
#include <catch2/catch.hpp>

#include "agent/journal/journal.h"
#include "base/posix.h"
#include "tests/unit/journal/job_directory.h"

namespace driveprep::journal {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using State = ChainCheck::State;

std::unique_ptr<Journal> opened(const JobDirectory& job) {
  return Journal::open(job.path(), Journal::Access::kReadWrite);
}

void add(const JobDirectory& job, int events) {
  const auto journal = opened(job);
  for (int i = 0; i < events; ++i) journal->add_event("key-shown", "A");
}

void tamper(const JobDirectory& job, const std::string& sql) {
  Database database(job.database(), Database::Mode::kDurable);
  database.execute("DROP TRIGGER IF EXISTS event_is_final; DROP TRIGGER IF EXISTS event_stays; " +
                   sql);
}

ChainCheck check(const JobDirectory& job) { return opened(job)->check_chain(); }

// The kept file without what the journal itself knows: a journal.db of before.
std::string saved(const JobDirectory& job) {
  return posix::read_file(job.database(), 1 << 24, ErrorKind::kUsage);
}

void put_back(const JobDirectory& job, const std::string& text) {
  const UniqueFd fd = posix::open(job.database(), O_WRONLY | O_TRUNC, ErrorKind::kWrite);
  posix::write_all(fd.get(), as_bytes(text), "journal", ErrorKind::kWrite);
}

TEST_CASE("a chain that grew as it should is whole") {
  const JobDirectory job;
  add(job, 2);
  add(job, 1);
  const ChainCheck chain = check(job);
  CHECK(chain.whole());
  CHECK(chain.head.events == 3);
  CHECK(chain.not_proven.empty());
  CHECK(load_kept_head(job.path())->head == chain.head);
  CHECK((fs::status(job.path() / "audit-head.json").permissions() & fs::perms::mask) ==
        (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("an end that was cut off is told, and what is appended later does not hide it") {
  const JobDirectory job;
  add(job, 3);
  const bool without_file = GENERATE(false, true);
  const std::string sql = GENERATE("DELETE FROM event WHERE sequence = 3",
                                   "DELETE FROM event WHERE sequence > 1", "DELETE FROM event");
  CAPTURE(sql, without_file);
  tamper(job, sql);
  if (without_file) fs::remove(job.path() / "audit-head.json");
  CHECK(check(job).state == State::kCutOff);
  CHECK_THAT(check(job).trouble, Contains("cut off"));
  add(job, 5);
  CHECK(check(job).state == State::kCutOff);
}

TEST_CASE("the file tells of a cut even when the journal's own head was cut back") {
  const JobDirectory job;
  add(job, 3);
  tamper(job, "DELETE FROM event WHERE sequence > 1; DROP TABLE event_head");
  CHECK(check(job).state == State::kOlder);
  CHECK_THAT(check(job).trouble, Contains("cut off"));
  add(job, 4);
  CHECK(check(job).state == State::kOlder);
}

TEST_CASE("an older journal that was put back is told, also after it went on") {
  const JobDirectory job;
  add(job, 2);
  const std::string older = saved(job);
  add(job, 2);
  put_back(job, older);
  CHECK(check(job).state == State::kOlder);
  CHECK_THAT(check(job).trouble, Contains("an older journal was put back"));
  add(job, 2);
  CHECK(check(job).state == State::kOlder);
  add(job, 2);
  CHECK(check(job).state == State::kOlder);
}

TEST_CASE("a journal that was removed is told") {
  const JobDirectory job;
  add(job, 2);
  fs::remove(job.database());
  CHECK(check(job).state == State::kOlder);
}

TEST_CASE("a run that died between the event and the file raises no alarm") {
  const JobDirectory job;
  add(job, 1);
  const auto kept = load_kept_head(job.path()).value();
  add(job, 2);
  save_kept_head(job.path(), kept);
  const ChainCheck chain = check(job);
  CHECK(chain.whole());
  CHECK(chain.not_proven.empty());
  add(job, 1);
  CHECK(load_kept_head(job.path())->head.events == 4);
}

TEST_CASE("of a job from before the heads were kept it is told what is not proven") {
  const JobDirectory job;
  add(job, 2);
  tamper(job, "DROP TABLE event_head");
  fs::remove(job.path() / "audit-head.json");
  CHECK(check(job).whole());
  CHECK_THAT(check(job).not_proven, Contains("not proven"));
  add(job, 1);
  CHECK(check(job).not_proven.empty());
}

TEST_CASE("events that cannot be read are a broken chain, and no bug") {
  const JobDirectory job;
  add(job, 3);
  SECTION("a hash of the wrong length") {
    tamper(job, "UPDATE event SET hash = x'00' WHERE sequence = 2");
    CHECK(check(job).first_broken == 2);
  }
  SECTION("no table") {
    tamper(job, "DROP TABLE event");
    CHECK(error_of([&] { opened(job)->add_event("key-shown"); }) ==
          "journal-mismatch/journal-database");
  }
  SECTION("a table with other columns") { tamper(job, "ALTER TABLE event RENAME hash TO digest"); }
  SECTION("no details") {
    tamper(job,
           "ALTER TABLE event RENAME TO old; CREATE TABLE event (sequence INTEGER PRIMARY KEY, "
           "time, kind, drive, details, hash); INSERT INTO event SELECT sequence, time, kind, "
           "drive, NULL, hash FROM old");
  }
  CHECK(check(job).state == State::kChanged);
}

TEST_CASE("a file of the head that says nothing is told, and left as it is") {
  const JobDirectory job;
  add(job, 2);
  const fs::path file = job.path() / "audit-head.json";
  const std::string text = GENERATE("", "{}", "null", "{\"format\":\"driveprep-audit-head\"}");
  {
    const UniqueFd fd = posix::open(file, O_WRONLY | O_TRUNC, ErrorKind::kWrite);
    posix::write_all(fd.get(), as_bytes(text), "head", ErrorKind::kWrite);
  }
  CHECK(check(job).head_unreadable);
  CHECK_FALSE(check(job).whole());
  add(job, 1);
  CHECK(posix::read_file(file, 100, ErrorKind::kUsage) == text);
}

TEST_CASE("a mark stays, whatever is appended or put back") {
  const JobDirectory job;
  add(job, 1);
  const std::string older = saved(job);
  opened(job)->mark("customers-key");
  opened(job)->mark("customers-key");
  add(job, 1);
  CHECK(check(job).marks == std::vector<std::string>{"customers-key"});
  put_back(job, older);
  add(job, 2);
  CHECK(check(job).marks == std::vector<std::string>{"customers-key"});
}

TEST_CASE("a head that is kept elsewhere is found in the chain") {
  const JobDirectory job;
  add(job, 3);
  const auto journal = opened(job);
  CHECK(journal->holds_event(journal->events()[1].hash));
  CHECK_FALSE(journal->holds_event(Sha256{}));
}

}  // namespace
}  // namespace driveprep::journal
