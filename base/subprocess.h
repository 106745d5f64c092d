// Runs a helper program without a shell: absolute path, minimal fixed environment, output captured.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace driveprep {

struct SubprocessResult {
  int exit_status = 0;  // 128 + signal number when killed
  std::string output;   // standard output and standard error, in order, at most 64 KiB
};

// `inherited_fds` stay open in the child under the same numbers; everything else is closed.
// Throws an Error (kind kInternal, code "helper-missing") when the program cannot be started.
SubprocessResult run_subprocess(const std::filesystem::path& program,
                                const std::vector<std::string>& arguments,
                                const std::vector<int>& inherited_fds = {});

}  // namespace driveprep
