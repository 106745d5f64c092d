// What a device has been asked for and has not answered yet: a disk that hangs gives no error, only
// silence.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>

namespace driveprep::block {

struct Request {
  const char* operation = "";  // "read", "write", "flush"
  std::uint64_t offset = 0;    // bytes; 0 of a flush
  std::chrono::steady_clock::time_point since;
};

class Outstanding {
 public:
  // In the list for as long as it lives.
  class Entry {
   public:
    Entry(Outstanding& list, const char* operation, std::uint64_t offset) : list_(list) {
      std::scoped_lock lock(list_.mutex_);
      place_ = list_.requests_.insert(list_.requests_.end(),
                                      {operation, offset, std::chrono::steady_clock::now()});
    }
    ~Entry() {
      std::scoped_lock lock(list_.mutex_);
      list_.requests_.erase(place_);
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    Outstanding& list_;
    std::list<Request>::iterator place_;
  };

  // The one that has waited longest.
  std::optional<Request> oldest() const {
    std::scoped_lock lock(mutex_);
    return requests_.empty() ? std::nullopt : std::optional(requests_.front());
  }

 private:
  mutable std::mutex mutex_;
  std::list<Request> requests_;
};

}  // namespace driveprep::block
