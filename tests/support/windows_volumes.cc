#include "tests/support/windows_volumes.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "base/posix.h"
#include "base/subprocess.h"
#include "tests/support/scratch.h"

namespace driveprep::test {
namespace {

namespace fs = std::filesystem;

class UnpackedVolumes {
 public:
  UnpackedVolumes() {
    const char* named = std::getenv("DRIVEPREP_WINDOWS_VOLUMES");
    const fs::path source = named != nullptr
                                ? fs::path(named)
                                : fs::path(DRIVEPREP_SOURCE_TREE) / "../shared/windows-volumes";
    if (fs::exists(source / "volumes.conf")) {
      directory_ = source;
    } else if (fs::exists(source / "volumes.tar.xz")) {
      unpack(source / "volumes.tar.xz");
    } else {
      return;
    }
    read_conf();
  }
  UnpackedVolumes(const UnpackedVolumes&) = delete;
  UnpackedVolumes& operator=(const UnpackedVolumes&) = delete;

  const fs::path& directory() const { return directory_; }
  const std::vector<WindowsVolume>& volumes() const { return volumes_; }

 private:
  void unpack(const fs::path& archive) {
    directory_ = temporary_.emplace().path();
    const SubprocessResult result =
        run_subprocess("/usr/bin/tar", {"-xSJf", archive.string(), "-C", directory_.string()});
    INFO(result.output);
    REQUIRE(result.exit_status == 0);
  }

  void read_conf() {
    std::ifstream conf(directory_ / "volumes.conf");
    for (std::string line; std::getline(conf, line);) {
      const std::size_t equals = line.find('=');
      if (line.starts_with('[')) {
        const std::string name = line.substr(1, line.find(']') - 1);
        volumes_.push_back({name, directory_ / (name + ".img"), {}});
      } else if (equals != std::string::npos && !volumes_.empty()) {
        volumes_.back().facts[line.substr(0, equals)] = line.substr(equals + 1);
      }
    }
  }

  std::optional<ScratchDirectory> temporary_;
  fs::path directory_;
  std::vector<WindowsVolume> volumes_;
};

const UnpackedVolumes& unpacked() {
  static const UnpackedVolumes volumes;
  return volumes;
}

}  // namespace

const std::vector<WindowsVolume>& windows_volumes() {
  if (unpacked().volumes().empty()) {
    WARN("skipped: no volumes made by Windows (set DRIVEPREP_WINDOWS_VOLUMES to their directory)");
  }
  return unpacked().volumes();
}

SecretBytes windows_external_key() {
  for (const fs::directory_entry& file : fs::directory_iterator(unpacked().directory())) {
    if (file.path().extension() != ".BEK") continue;
    return SecretBytes::copy_of(posix::read_file(file.path(), 4096, ErrorKind::kKey));
  }
  FAIL("the volumes come without an external key file");
  return {};
}

}  // namespace driveprep::test
