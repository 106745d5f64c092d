// The command line, as it is described by --help. CLI11 is met here and nowhere else.
#pragma once

namespace driveprep::cli {

// Parses and runs. Returns the exit status; never throws.
int run(int argc, char** argv);

}  // namespace driveprep::cli
