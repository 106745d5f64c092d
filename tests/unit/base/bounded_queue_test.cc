#include "base/bounded_queue.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

using namespace driveprep;

TEST_CASE("items come out in order, also those that can only be moved") {
  BoundedQueue<std::unique_ptr<int>> queue(3);
  for (int i = 0; i < 3; ++i) REQUIRE(queue.push(std::make_unique<int>(i)));
  for (int i = 0; i < 3; ++i) CHECK(**queue.pop() == i);
  CHECK_FALSE(queue.try_pop().has_value());
}

TEST_CASE("a full queue makes the producer wait until there is room") {
  BoundedQueue<int> queue(2);
  std::atomic<int> pushed = 0;
  std::thread producer([&] {
    for (int i = 0; i < 5; ++i) {
      queue.push(i);
      ++pushed;
    }
  });
  while (pushed < 2) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(pushed == 2);
  for (int i = 0; i < 5; ++i) CHECK(queue.pop() == i);
  producer.join();
  CHECK(pushed == 5);
}

TEST_CASE("closing lets consumers drain what is left and refuses producers") {
  BoundedQueue<int> queue(4);
  queue.push(1);
  queue.push(2);
  queue.close();
  CHECK_FALSE(queue.push(3));
  CHECK(queue.pop() == 1);
  CHECK(queue.try_pop() == 2);
  CHECK_FALSE(queue.pop().has_value());
}

TEST_CASE("closing wakes everybody who waits") {
  BoundedQueue<int> empty(1);
  BoundedQueue<int> full(1);
  full.push(0);
  std::thread consumer([&] { CHECK_FALSE(empty.pop().has_value()); });
  std::thread producer([&] { CHECK_FALSE(full.push(1)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  empty.close();
  full.close();
  consumer.join();
  producer.join();
}

TEST_CASE("nothing is lost or doubled between several producers and consumers") {
  constexpr int kEach = 20'000;
  BoundedQueue<int> queue(7);
  std::vector<std::thread> producers;
  std::vector<std::thread> consumers;
  std::vector<std::atomic<int>> seen(3 * kEach);
  for (int p = 0; p < 3; ++p) {
    producers.emplace_back([&, p] {
      for (int i = 0; i < kEach; ++i) queue.push(p * kEach + i);
    });
  }
  for (int c = 0; c < 3; ++c) {
    consumers.emplace_back([&] {
      while (const auto item = queue.pop()) ++seen[static_cast<std::size_t>(*item)];
    });
  }
  for (std::thread& thread : producers) thread.join();
  queue.close();
  for (std::thread& thread : consumers) thread.join();
  int wrong = 0;
  for (const auto& count : seen) wrong += count != 1;
  CHECK(wrong == 0);
}
