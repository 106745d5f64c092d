#include "agent/prepare/drive_sensors.h"

namespace driveprep::prepare {

HeatLimits heat_limits_of(const guard::ArmedDrive& drive) {
  if (!drive.is_disk()) return heat_limits(true);
  const auto& rotational = drive.candidate().disk().disk.rotational;
  return heat_limits(!rotational.known() || rotational.value());
}

DriveMonitor::Hooks sensors_of(const guard::ArmedDrive& drive) {
  DriveMonitor::Hooks hooks;
  if (drive.health_when_armed()) hooks.health = [&drive] { return drive.health(); };
  if (drive.kernel_celsius()) hooks.celsius = [&drive] { return drive.kernel_celsius(); };
  return hooks;
}

}  // namespace driveprep::prepare
