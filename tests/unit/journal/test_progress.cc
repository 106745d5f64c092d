#include <catch2/catch.hpp>
#include <atomic>
#include <thread>

#include "agent/journal/journal.h"
#include "tests/unit/journal/job_directory.h"

namespace driveprep::journal {
namespace {

std::unique_ptr<Journal> with_drives(const JobDirectory& job,
                                     std::initializer_list<const char*> ids) {
  auto journal = Journal::open(job.path(), Journal::Access::kReadWrite);
  for (const char* id : ids) {
    Drive drive;
    drive.id = id;
    journal->add_drive(drive);
  }
  return journal;
}

Checkpoint sample_checkpoint(std::uint64_t number) {
  Checkpoint checkpoint;
  checkpoint.number = number;
  checkpoint.redo_digest = sha256(as_bytes(std::to_string(number)));
  checkpoint.next_file = number * 10;
  checkpoint.spool_length = number * 100;
  checkpoint.bytes_done = number << 30;
  checkpoint.files_done = number * 10 - 1;
  return checkpoint;
}

TEST_CASE("only the last checkpoint of each drive is kept") {
  const JobDirectory job;
  const auto journal = with_drives(job, {"A", "B"});
  CHECK_FALSE(journal->checkpoint("A"));
  journal->commit_checkpoint("A", sample_checkpoint(1));
  Checkpoint second = sample_checkpoint(2);
  second.partial = PartialFile{20, 1ULL << 42};
  journal->commit_checkpoint("A", second);
  journal->commit_checkpoint("B", sample_checkpoint(7));
  CHECK(journal->checkpoint("A") == second);
  CHECK(journal->checkpoint("B") == sample_checkpoint(7));
  Checkpoint third = sample_checkpoint(3);
  journal->commit_checkpoint("A", third);
  CHECK(journal->checkpoint("A") == third);
}

TEST_CASE("a checkpoint is applied once it is said so, and only the last one") {
  const JobDirectory job;
  const auto journal = with_drives(job, {"A"});
  CHECK(error_of([&] { journal->mark_applied("A", 0); }) == "internal/internal");
  journal->commit_checkpoint("A", sample_checkpoint(1));
  CHECK_FALSE(journal->checkpoint("A")->applied);
  journal->mark_applied("A", 1);
  CHECK(journal->checkpoint("A")->applied);
  journal->commit_checkpoint("A", sample_checkpoint(2));
  CHECK_FALSE(journal->checkpoint("A")->applied);
  CHECK(error_of([&] { journal->mark_applied("A", 1); }) == "internal/internal");
}

TEST_CASE("a checkpoint never goes back") {
  const JobDirectory job;
  const auto journal = with_drives(job, {"A"});
  journal->commit_checkpoint("A", sample_checkpoint(5));
  const Failure failure{1, "p", "c", "m"};
  for (const std::uint64_t number : {4, 5}) {
    CHECK(error_of([&] {
            journal->commit_checkpoint("A", sample_checkpoint(number), {&failure, 1});
          }) == "internal/internal");
  }
  CHECK(journal->checkpoint("A") == sample_checkpoint(5));
  CHECK(journal->failure_count("A") == 0);
}

TEST_CASE("failures come with their checkpoint, in the order of the files") {
  const JobDirectory job;
  const auto journal = with_drives(job, {"A", "B"});
  const std::vector<Failure> first = {
      {300, std::string("/data/odd\xFF\nname"), "source-unreadable", "Permission denied"},
      {2, "/data/b", "source-vanished", "gone"},
      {10, "/data/c", "source-changed", "grew"}};
  journal->commit_checkpoint("A", sample_checkpoint(1), first);
  CHECK(journal->failure_count("A") == 3);
  CHECK(journal->failure_count("B") == 0);
  CHECK(journal->failures("A") == std::vector<Failure>{first[1], first[2], first[0]});
  CHECK(journal->failures("A", 3, 1) == std::vector<Failure>{first[2]});
  CHECK(journal->failures("A", 301).empty());

  const std::vector<Failure> second = {{10, "/data/c", "source-vanished", "now it is gone"}};
  const std::vector<std::uint64_t> recovered = {2, 300, 999};
  journal->commit_checkpoint("A", sample_checkpoint(2), second, recovered);
  CHECK(journal->failures("A") == second);
  journal->add_failures("A", first);
  CHECK(journal->failure_count("A") == 3);
  journal->clear_failures("A");
  CHECK(journal->failure_count("A") == 0);
}

TEST_CASE("several drives may be recorded at the same time") {
  const JobDirectory job;
  const auto journal = with_drives(job, {"A", "B", "C", "D"});
  std::vector<std::thread> threads;
  std::atomic<int> problems = 0;
  for (const char* id : {"A", "B", "C", "D"}) {
    threads.emplace_back([&, id] {
      try {
        for (std::uint64_t number = 1; number <= 20; ++number) {
          const Failure failure{number, "p", "c", id};
          journal->commit_checkpoint(id, sample_checkpoint(number), {&failure, 1});
          journal->mark_applied(id, number);
          journal->add_event("checkpoint", id, "{\"number\":" + std::to_string(number) + "}");
          if (journal->checkpoint(id)->number != number) ++problems;
        }
      } catch (const Error&) {
        ++problems;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(problems == 0);
  for (const char* id : {"A", "B", "C", "D"}) CHECK(journal->failure_count(id) == 20);
  CHECK(journal->events().size() == 80);
  CHECK_FALSE(journal->first_broken_event());
}

}  // namespace
}  // namespace driveprep::journal
