// May a source that failed before be taken as it is now, when its size is not the planned one?
//
// The plan's own rules decide, so that a retried file can neither make a blob that the service
// refuses nor take the room of files that are still to come.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/plan/plan_store.h"

namespace driveprep::prepare {

class RetryAllowance {
 public:
  // `grown_before`: bytes by which files that earlier runs took so exceed what was planned for them
  // (negative: fall short).
  RetryAllowance(const plan::DrivePlan& drive, std::int64_t grown_before);

  // What speaks against `item` with `size` bytes, as the rest of a sentence that begins with its
  // path; nothing: it may be copied, and its growth is taken from what is left.
  std::optional<std::string> objection(const plan::FileItem& item, std::uint64_t size);

 private:
  const plan::DrivePlan& drive_;
  std::int64_t left_;  // bytes that the plan leaves free; model of agent/plan/capacity.h
};

}  // namespace driveprep::prepare
