#include "agent/intake/conclusion.h"

#include <catch2/catch.hpp>

using namespace driveprep;
using namespace driveprep::intake;

namespace {

SampleResult good() {
  SampleResult sample{.places = Places::sample(kGiB, 1), .run = Guid()};
  sample.states.resize(sample.places.count(), PlaceState::kGood);
  return sample;
}

std::vector<std::string> codes(const SampleResult& sample, const HealthChange& health = {}) {
  std::vector<std::string> codes;
  for (const guard::Reason& reason : conclude("/dev/sdx", sample, health)) {
    codes.push_back(std::string(to_string(reason.kind)) + "/" + reason.code);
  }
  return codes;
}

using Codes = std::vector<std::string>;

}  // namespace

TEST_CASE("a drive that became worse has not passed, whatever it gave back") {
  CHECK(codes(good()).empty());
  CHECK(codes(good(), {.worse = "2 pending sectors more", .untold = {}}) ==
        Codes{"health/drive-deteriorated"});
  CHECK(codes(good(), {.worse = {}, .untold = "it does not answer SMART"}) ==
        Codes{"health/drive-health-silent"});
}

TEST_CASE("what differs comes before what failed, and both before health") {
  SampleResult sample = good();
  sample.wrong_bytes = 512;
  sample.wrong_places = 1;
  sample.bytes_by_defect[static_cast<std::size_t>(Defect::kZeros)] = 512;
  sample.findings = {{{4096, 512}, Defect::kZeros}};
  sample.states[5] = PlaceState::kWrong;
  sample.failure = Error(ErrorKind::kBusy, "drive-vanished", "gone", "Plug it in.");
  CHECK(codes(sample, {.worse = "1 interface errors more", .untold = {}}) ==
        Codes{"verification/sample-differs", "busy/drive-vanished", "health/drive-deteriorated"});
}

TEST_CASE("a few wrong places are no lie about the size") {
  SampleResult sample = good();
  sample.wrong_bytes = kMiB;
  sample.lowest_wrong = sample.places.at(0).offset;
  sample.bytes_by_defect[static_cast<std::size_t>(Defect::kCorrupted)] = kMiB;
  sample.states[0] = PlaceState::kWrong;
  CHECK_FALSE(true_size(sample));
  // The end and the beginning: in between all is good.
  sample.states[1] = PlaceState::kWrong;
  sample.states[2] = PlaceState::kWrong;
  sample.lowest_wrong = 0;
  CHECK_FALSE(true_size(sample));
}
