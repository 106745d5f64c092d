#include "base/nearest_word.h"

#include <catch2/catch.hpp>
#include <vector>

using driveprep::nearest_word;

TEST_CASE("a misspelt word finds the one that was meant, another word finds none") {
  const std::vector<std::string> words = {"init", "plan", "prepare", "verify", "status"};
  CHECK(nearest_word("statis", words) == "status");
  CHECK(nearest_word("prpeare", words) == "prepare");
  CHECK(nearest_word("verfy", words) == "verify");
  CHECK(nearest_word("pla", words) == "plan");
  CHECK(nearest_word("plan", words) == "plan");
  CHECK_FALSE(nearest_word("drives", words));
  CHECK_FALSE(nearest_word("list", words));
  CHECK_FALSE(nearest_word("", words));
  CHECK_FALSE(nearest_word("plan", {}));
}
