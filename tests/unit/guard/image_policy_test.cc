// The policy alone: facts in, reasons out. One test for each reason, and none without a fact.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "drive/guard/image_policy.h"

using namespace driveprep;
using namespace driveprep::guard;

namespace {

const Guid kDisk = *Guid::parse("11112222-3333-4444-8555-666677778888");

// An image that nothing speaks against.
ImageFacts good_facts() {
  ImageFacts facts;
  facts.request = {"job/disk0.img", "DISK0", SectorSize(512), {}};
  facts.exists = true;
  facts.symbolic_link = false;
  facts.regular = true;
  facts.links = std::uint64_t{1};
  facts.owned = true;
  facts.writable = true;
  facts.identity = ImageIdentity{8, 1234, kSmallestImage};
  facts.loop_device = std::string();
  facts.inside_source = std::string();
  facts.locked = false;
  facts.contents = inventory::Contents{};
  facts.disk_guid = std::string();
  return facts;
}

inventory::Contents something() {
  inventory::Contents contents;
  contents.first_data = 4096;
  contents.description = "GPT, NTFS 'Backup'";
  return contents;
}

// The only reason there is, as "kind/code"; "" when allowed.
std::string reason(const ImageFacts& facts, const Consent& consent = {}) {
  const Verdict verdict = judge(facts, consent);
  std::string text;
  for (const Reason& r : verdict.reasons) {
    text += (text.empty() ? "" : " ") + std::string(to_string(r.kind)) + "/" + r.code;
    CHECK_FALSE(r.message.empty());
    CHECK_FALSE(r.remedy.empty());
  }
  return text;
}

}  // namespace

TEST_CASE("an empty image of at least 64 MiB is allowed") {
  CHECK(reason(good_facts()).empty());
  CHECK(judge(good_facts(), {}).allowed());
}

TEST_CASE("each fact against the image has its own reason") {
  using Spoil = std::function<void(ImageFacts&)>;
  const auto [expected, spoil] = GENERATE(table<std::string, Spoil>({
      {"refused/not-an-image", [](auto& f) { f.kind = PathKind::kDevicePath; }},
      {"refused/not-an-image", [](auto& f) { f.kind = PathKind::kSerial; }},
      {"usage/image-missing", [](auto& f) { f.exists = false; }},
      {"refused/image-is-link", [](auto& f) { f.symbolic_link = true; }},
      {"refused/not-an-image", [](auto& f) { f.regular = false; }},
      {"refused/image-has-links", [](auto& f) { f.links = std::uint64_t{2}; }},
      {"refused/image-not-owned", [](auto& f) { f.owned = false; }},
      {"refused/image-not-writable", [](auto& f) { f.writable = false; }},
      {"refused/image-too-small",
       [](auto& f) {
         f.identity = ImageIdentity{8, 1, kSmallestImage - 512};
       }},
      {"refused/image-size-uneven",
       [](auto& f) {
         f.identity = ImageIdentity{8, 1, kSmallestImage + 511};
       }},
      {"busy/image-backs-loop", [](auto& f) { f.loop_device = std::string("loop3"); }},
      {"refused/image-inside-source", [](auto& f) { f.inside_source = std::string("/data"); }},
      {"busy/image-busy", [](auto& f) { f.locked = true; }},
      {"refused/image-not-empty", [](auto& f) { f.contents = something(); }},
  }));
  ImageFacts facts = good_facts();
  spoil(facts);
  CHECK(reason(facts) == expected);
  // None of them can be bought with the consent to format.
  if (expected != "refused/image-not-empty") {
    CHECK(reason(facts, {true, true, "DISK0", {}}) == expected);
  }
}

TEST_CASE("removing any single fact never turns a refusal into a permission") {
  using Lose = std::function<void(ImageFacts&)>;
  const Lose lose = GENERATE(values<Lose>({
      [](auto& f) { f.exists = {}; },
      [](auto& f) { f.symbolic_link = {}; },
      [](auto& f) { f.regular = {}; },
      [](auto& f) { f.links = {}; },
      [](auto& f) { f.owned = {}; },
      [](auto& f) { f.writable = {}; },
      [](auto& f) { f.identity = {}; },
      [](auto& f) { f.loop_device = {}; },
      [](auto& f) { f.inside_source = {}; },
      [](auto& f) { f.locked = {}; },
      [](auto& f) { f.contents = {}; },
  }));
  ImageFacts facts = good_facts();
  lose(facts);
  CHECK(judge(facts, {}).has("image-fact-unreadable"));
  CHECK(judge(facts, {true, true, "DISK0", {}}).has("image-fact-unreadable"));
}

TEST_CASE("sectors of 4096 bytes want a size that is a multiple of them") {
  ImageFacts facts = good_facts();
  facts.identity = ImageIdentity{8, 1, kSmallestImage + 512};
  CHECK(reason(facts).empty());
  facts.request.sector = SectorSize(4096);
  CHECK(reason(facts) == "refused/image-size-uneven");
}

TEST_CASE("contents are destroyed only with FormatOption Format and consent for this drive") {
  ImageFacts facts = good_facts();
  facts.contents = something();
  const auto consent = [](bool format, bool silent, std::optional<std::string> id) {
    return Consent{format, silent, std::move(id), {}};
  };
  CHECK(reason(facts, consent(false, true, "DISK0")) == "refused/image-not-empty");
  CHECK(reason(facts, consent(true, false, {})) == "not-confirmed/image-not-confirmed");
  CHECK(reason(facts, consent(true, false, "DISK1")) == "not-confirmed/image-wrong-confirmation");
  CHECK(reason(facts, consent(true, false, "")) == "not-confirmed/image-wrong-confirmation");
  CHECK(reason(facts, consent(true, false, "DISK0")).empty());
  CHECK(reason(facts, consent(true, true, {})).empty());
}

TEST_CASE("the message of a refusal tells what would be lost") {
  ImageFacts facts = good_facts();
  facts.contents = something();
  const Verdict verdict = judge(facts, {});
  REQUIRE(verdict.reasons.size() == 1);
  CHECK(verdict.reasons[0].message.find("GPT, NTFS 'Backup'") != std::string::npos);
  CHECK(verdict.reasons[0].message.find("job/disk0.img") != std::string::npos);
}

TEST_CASE("a begun drive continues without a new consent when it is the same drive") {
  ImageFacts facts = good_facts();
  facts.contents = something();
  Consent consent;
  consent.begun = Consent::Begun{"file:8:1234:67108864", {}};
  CHECK(reason(facts, consent).empty());
  consent.begun->identity = "file:8:9999:67108864";
  CHECK(reason(facts, consent) == "journal-mismatch/image-not-the-one-begun");

  // Once the table is there its GUID is the proof, wherever the file was moved.
  consent.begun->disk_guid = kDisk;
  CHECK(reason(facts, consent) == "journal-mismatch/image-not-the-one-begun");
  facts.disk_guid = kDisk.lower();
  CHECK(reason(facts, consent).empty());
  facts.disk_guid = Guid::random().lower();
  CHECK(reason(facts, consent) == "journal-mismatch/image-not-the-one-begun");
  facts.disk_guid = Fact<std::string>::unreadable("input/output error");
  CHECK(reason(facts, consent) == "refused/image-fact-unreadable");
}

TEST_CASE("all reasons are told, the first decides the exit status") {
  ImageFacts facts = good_facts();
  facts.links = std::uint64_t{3};
  facts.writable = false;
  facts.contents = something();
  const Verdict verdict = judge(facts, {});
  CHECK(verdict.reasons.size() == 3);
  try {
    verdict.throw_if_refused();
    FAIL("not refused");
  } catch (const Error& error) {
    CHECK(error.code() == "image-has-links");
    CHECK(error.kind() == ErrorKind::kRefused);
    CHECK(std::string(error.what()).find("cannot be written") != std::string::npos);
    CHECK(std::string(error.what()).find("already holds something") != std::string::npos);
  }
}

TEST_CASE("a drive that was verified once is made anew only with the operator's agreement") {
  Consent again;
  again.format = true;
  again.replaces = "drive DISK0 failed its verification: its recovery password is replaced";
  ImageFacts empty = good_facts();
  CHECK(reason(empty, again) == "not-confirmed/image-not-confirmed");
  ImageFacts holding = good_facts();
  holding.contents = something();
  const Verdict verdict = judge(holding, again);
  REQUIRE(verdict.reasons.size() == 1);
  CHECK_THAT(verdict.reasons[0].message, Catch::Contains("recovery password is replaced"));
  CHECK_THAT(verdict.reasons[0].message, Catch::Contains("NTFS 'Backup'"));

  Consent confirmed = again;
  confirmed.confirmed_id = "DISK0";
  CHECK(reason(empty, confirmed).empty());
  CHECK(reason(holding, confirmed).empty());
  confirmed.confirmed_id = "DISK1";
  CHECK(reason(empty, confirmed) == "not-confirmed/image-wrong-confirmation");
  Consent silent = again;
  silent.silent = true;
  CHECK(reason(holding, silent).empty());
}
