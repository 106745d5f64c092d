// The files of a drive in the order of writing, read from the plan by a thread of its own: for ten
// million small files the database is a good part of the work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <span>
#include <thread>
#include <vector>

#include "agent/plan/plan_store.h"
#include "base/bounded_queue.h"

namespace driveprep::plan {

class FileReadAhead {
 public:
  // Sees files some time before next() hands them out; called by the thread that reads the plan.
  using Look = std::function<void(std::span<const FileItem>)>;

  // As PlanStore::files() of the plan in `plan_file`.
  FileReadAhead(std::filesystem::path plan_file, std::size_t drive, std::uint64_t first_number,
                ItemTexts texts, Look look = {});
  FileReadAhead(const FileReadAhead&) = delete;
  FileReadAhead& operator=(const FileReadAhead&) = delete;
  ~FileReadAhead();

  // Exchanges `item` for the next file, so that the memory of its texts goes around; false at the
  // end. Throws what stopped the reading.
  bool next(FileItem& item);

 private:
  using Portion = std::vector<FileItem>;

  void read(const std::filesystem::path& plan_file, std::size_t drive, std::uint64_t first_number,
            ItemTexts texts, const Look& look);

  static constexpr std::size_t kPortions = 4;

  BoundedQueue<Portion> portions_{kPortions};
  BoundedQueue<Portion> spare_{kPortions + 2};  // one more is filled, one more is handed out
  Portion current_;
  std::size_t used_ = 0;
  std::exception_ptr error_;  // written by the thread before it closes the queue
  std::thread thread_;
};

}  // namespace driveprep::plan
