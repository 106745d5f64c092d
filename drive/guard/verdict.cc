#include "drive/guard/verdict.h"

#include <algorithm>

namespace driveprep::guard {

bool Verdict::has(const std::string& code) const {
  return std::ranges::any_of(reasons, [&](const Reason& reason) { return reason.code == code; });
}

void Verdict::throw_if_refused() const {
  if (allowed()) return;
  const Reason& first = reasons.front();
  std::string message = first.message;
  for (std::size_t i = 1; i < reasons.size(); ++i) message += "; also: " + reasons[i].message;
  throw Error(first.kind, first.code, message, first.remedy);
}

}  // namespace driveprep::guard
