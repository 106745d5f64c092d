// A value that was read, or why it could not be. What is not known is never taken for harmless.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"

namespace driveprep::inventory {

template <typename T>
class Fact {
 public:
  Fact() = default;
  Fact(T value) : value_(std::move(value)) {}  // NOLINT: a value is a fact
  static Fact unreadable(std::string why) {
    Fact fact;
    fact.why_not_ = std::move(why);
    return fact;
  }

  bool known() const { return value_.has_value(); }
  const T& value() const { return value_.value(); }
  const std::string& why_not() const { return why_not_; }

 private:
  std::optional<T> value_;
  std::string why_not_ = "it was not looked at";
};

// Runs a look that may throw; the failure is the fact then.
template <typename Look>
auto fact_of(Look look) -> Fact<decltype(look())> {
  try {
    return look();
  } catch (const Error& error) {
    return Fact<decltype(look())>::unreadable(error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return Fact<decltype(look())>::unreadable(error.what());
  }
}

}  // namespace driveprep::inventory
