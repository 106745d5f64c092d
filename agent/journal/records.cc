#include "agent/journal/records.h"

namespace driveprep::journal {
namespace {

constexpr std::array kStates = {DriveState::kPlanned,    DriveState::kWriting,
                                DriveState::kIncomplete, DriveState::kVerifying,
                                DriveState::kFinished,   DriveState::kFailed};

}  // namespace

std::string_view to_string(DriveState state) {
  switch (state) {
    case DriveState::kPlanned: return "planned";
    case DriveState::kWriting: return "writing";
    case DriveState::kIncomplete: return "incomplete";
    case DriveState::kVerifying: return "verifying";
    case DriveState::kFinished: return "finished";
    case DriveState::kFailed: return "failed";
  }
  return "failed";
}

std::optional<DriveState> drive_state_from(std::string_view name) {
  for (const DriveState state : kStates) {
    if (to_string(state) == name) return state;
  }
  return std::nullopt;
}

}  // namespace driveprep::journal
