#include "agent/plan/file_read_ahead.h"

#include <utility>

namespace driveprep::plan {
namespace {

constexpr std::size_t kPortion = 256;  // files

}  // namespace

FileReadAhead::FileReadAhead(std::filesystem::path plan_file, std::size_t drive,
                             std::uint64_t first_number, ItemTexts texts, Look look)
    : thread_([this, plan_file = std::move(plan_file), drive, first_number, texts,
               look = std::move(look)] {
        try {
          read(plan_file, drive, first_number, texts, look);
        } catch (...) {
          error_ = std::current_exception();
        }
        portions_.close();
      }) {}

FileReadAhead::~FileReadAhead() {
  portions_.close();
  thread_.join();
}

void FileReadAhead::read(const std::filesystem::path& plan_file, std::size_t drive,
                         std::uint64_t first_number, ItemTexts texts, const Look& look) {
  const PlanStore plan = PlanStore::open(plan_file);
  FileCursor cursor = plan.files(drive, first_number, texts);
  for (bool more = true; more;) {
    Portion portion = spare_.try_pop().value_or(Portion{});
    portion.resize(kPortion);
    std::size_t filled = 0;
    while (filled < kPortion && (more = cursor.next(portion[filled]))) ++filled;
    portion.resize(filled);
    if (look) look(portion);
    if (!portions_.push(std::move(portion))) return;
  }
}

bool FileReadAhead::next(FileItem& item) {
  if (used_ == current_.size()) {
    used_ = 0;
    if (!current_.empty()) spare_.push(std::move(current_));
    current_ = portions_.pop().value_or(Portion{});
    if (current_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return false;
    }
  }
  std::swap(item, current_[used_++]);
  return true;
}

}  // namespace driveprep::plan
