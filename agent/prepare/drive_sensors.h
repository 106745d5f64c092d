// What a DriveMonitor asks a drive.
#pragma once

#include "agent/prepare/drive_monitor.h"
#include "agent/prepare/heat.h"
#include "drive/guard/drive_target.h"

namespace driveprep::prepare {

// What nobody knows turns is treated as if it did: it must be cooler.
HeatLimits heat_limits_of(const guard::ArmedDrive& drive);

// Its health, where it told that when it was armed, and its temperature; nobody to tell it to yet.
// `drive` must outlive the hooks.
DriveMonitor::Hooks sensors_of(const guard::ArmedDrive& drive);

}  // namespace driveprep::prepare
