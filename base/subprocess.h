// Runs a helper program without a shell: absolute path, minimal fixed environment, output captured.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/secret_bytes.h"

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

struct SecretSubprocessResult {
  int exit_status = 0;
  bool timed_out = false;  // it and its children were killed
  SecretBytes output;      // standard output, at most 64 KiB; the rest is thrown away
  std::string errors;      // standard error, at most 64 KiB
};

// For a program that prints a secret: its standard output is in locked memory only. `environment`
// is all that it gets ("NAME=value"). Throws like run_subprocess.
SecretSubprocessResult run_subprocess_for_secret(const std::filesystem::path& program,
                                                 const std::vector<std::string>& arguments,
                                                 const std::vector<std::string>& environment,
                                                 std::chrono::milliseconds timeout);

}  // namespace driveprep
