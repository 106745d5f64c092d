#include "agent/prepare/job_preparation.h"

#include <algorithm>
#include <thread>

namespace driveprep::prepare {
std::vector<DriveOutcome> prepare_drives(PrepareContext context,
                                         const std::vector<DriveTask>& tasks) {
  std::vector<DriveOutcome> outcomes(tasks.size());
  if (tasks.empty()) return outcomes;
  context.memory = MemoryShare::of(tasks.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    threads.emplace_back([&, i] {
      outcomes[i] =
          prepare_drive(context, tasks[i].drive_index, tasks[i].vetted, *tasks[i].progress);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

int exit_status(std::size_t drives, const std::vector<ErrorKind>& failures) {
  if (failures.empty()) return 0;
  const bool one_kind =
      std::ranges::all_of(failures, [&](ErrorKind kind) { return kind == failures.front(); });
  if (one_kind && failures.size() == drives) return static_cast<int>(failures.front());
  return static_cast<int>(drives == 1 ? failures.front() : ErrorKind::kSomeDrivesFailed);
}

}  // namespace driveprep::prepare
