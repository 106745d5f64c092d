// Runs every file below the directories given, and the empty input, through a fuzz target.
// Exit status 77 (skipped) when there is no seed.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  LLVMFuzzerTestOneInput(nullptr, 0);
  std::vector<std::filesystem::path> seeds;
  for (int i = 1; i < argc; ++i) {
    std::error_code error;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i], error)) {
      if (entry.is_regular_file()) seeds.push_back(entry.path());
    }
  }
  std::ranges::sort(seeds);
  for (const std::filesystem::path& seed : seeds) {
    std::cout << seed.filename().string() << std::endl;
    std::ifstream file(seed, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::vector<std::uint8_t> bytes(text.begin(), text.end());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::cout << seeds.size() << " seeds\n";
  return seeds.empty() ? 77 : 0;
}
