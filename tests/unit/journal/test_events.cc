#include <catch2/catch.hpp>

#include "agent/journal/journal.h"
#include "base/encoding.h"
#include "tests/unit/journal/job_directory.h"

namespace driveprep::journal {
namespace {

std::unique_ptr<Journal> with_events(const JobDirectory& job) {
  auto journal = Journal::open(job.path(), Journal::Access::kReadWrite);
  journal->add_event("drive-finished", "ZC1A0F7K", R"({"blocks":3})");
  journal->add_event("keys-revealed");
  journal->add_event("key-shown", "ZC1A0F7K", R"({"why":"line
break"})");
  return journal;
}

void tamper(const JobDirectory& job, const std::string& sql) {
  Database database(job.database(), Database::Mode::kDurable);
  database.execute("DROP TRIGGER event_is_final; DROP TRIGGER event_stays; " + sql);
}

TEST_CASE("events are listed in the order in which they happened") {
  const JobDirectory job;
  const auto journal = with_events(job);
  const std::vector<Event> events = journal->events();
  REQUIRE(events.size() == 3);
  CHECK(events[0].sequence == 1);
  CHECK(events[0].kind == "drive-finished");
  CHECK(events[0].drive == "ZC1A0F7K");
  CHECK(events[0].details == R"({"blocks":3})");
  CHECK(events[1].drive.empty());
  CHECK(events[1].details == "{}");
  CHECK(events[2].sequence == 3);
  CHECK(events[1].time >= events[0].time);
  CHECK(journal->events(2, 1).size() == 1);
  CHECK(journal->events(2, 1)[0].kind == "keys-revealed");
  CHECK_FALSE(journal->first_broken_event());
}

TEST_CASE("the hash chain is the documented one") {
  const JobDirectory job;
  const auto journal = with_events(job);
  std::string previous(32, '\0');
  for (const Event& event : journal->events()) {
    const std::string text = previous + std::to_string(event.sequence) + "\n" +
                             std::to_string(event.time.ticks) + "\n" + event.kind + "\n" +
                             event.drive + "\n" + event.details;
    const Sha256 expected = sha256(as_bytes(text));
    CHECK(hex_lower(event.hash) == hex_lower(expected));
    previous = as_text(expected);
  }
}

TEST_CASE("a changed, removed or inserted event is found") {
  const JobDirectory job;
  const auto journal = with_events(job);
  SECTION("changed") {
    tamper(job, "UPDATE event SET details = '{\"blocks\":4}' WHERE sequence = 1");
    CHECK(journal->first_broken_event() == 1);
  }
  SECTION("removed") {
    tamper(job, "DELETE FROM event WHERE sequence = 2");
    CHECK(journal->first_broken_event() == 3);
  }
  SECTION("removed and renumbered") {
    tamper(job, "DELETE FROM event WHERE sequence = 2; "
                "UPDATE event SET sequence = 2 WHERE sequence = 3");
    CHECK(journal->first_broken_event() == 2);
  }
  SECTION("inserted") {
    tamper(job, "INSERT INTO event SELECT 4, time, kind, drive, details, hash FROM event "
                "WHERE sequence = 3");
    CHECK(journal->first_broken_event() == 4);
  }
}

TEST_CASE("the database itself refuses to change or remove an event") {
  const JobDirectory job;
  const auto journal = with_events(job);
  Database database(job.database(), Database::Mode::kDurable);
  CHECK(error_of([&] { database.execute("UPDATE event SET kind = 'x'"); }) ==
        "internal/journal-database");
  CHECK(error_of([&] { database.execute("DELETE FROM event"); }) == "internal/journal-database");
  CHECK_FALSE(journal->first_broken_event());
}

TEST_CASE("an event's kind and drive cannot fake another line") {
  const JobDirectory job;
  const auto journal = with_events(job);
  CHECK(error_of([&] { journal->add_event("a\nb"); }) == "internal/internal");
  CHECK(error_of([&] { journal->add_event(""); }) == "internal/internal");
  CHECK(error_of([&] { journal->add_event("a", "b\nc"); }) == "internal/internal");
  CHECK(journal->events().size() == 3);
}

}  // namespace
}  // namespace driveprep::journal
