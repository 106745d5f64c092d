// When a drive is too hot to be written: the drive-safety reference, section 16.
#pragma once

#include <optional>

namespace driveprep::prepare {

// Degrees Celsius.
struct HeatLimits {
  int warn = 50;
  int pause = 60;   // from here on writing waits
  int resume = 52;  // until it is as cool as this
};

inline HeatLimits heat_limits(bool rotational) {
  return rotational ? HeatLimits{50, 60, 52} : HeatLimits{70, 80, 72};
}

// What the last temperature means, with the memory that a pause needs: a drive that is neither hot
// nor cool stays as it was.
class Heat {
 public:
  explicit Heat(HeatLimits limits) : limits_(limits) {}

  // nullopt: the drive does not tell. That ends no pause.
  void update(std::optional<int> celsius) {
    if (!celsius) return;
    warm_ = *celsius >= limits_.warn;
    if (*celsius >= limits_.pause) pausing_ = true;
    if (*celsius <= limits_.resume) pausing_ = false;
  }
  bool warm() const { return warm_; }
  bool pausing() const { return pausing_; }
  const HeatLimits& limits() const { return limits_; }

 private:
  HeatLimits limits_;
  bool warm_ = false;
  bool pausing_ = false;
};

}  // namespace driveprep::prepare
