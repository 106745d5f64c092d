#include "bitlocker/protector_edit.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "made_volume.h"
#include "power_cut.h"

namespace driveprep::bitlocker {
namespace {

const SectorSize kSector(512);

Credential by(const ExternalKeyFile& file) { return ExternalKeyCredential{file.content.clone()}; }

// What a volume is opened and edited with, at hand.
struct Edited {
  MadeVolume made{Cipher::kXtsAes128, kSector};

  VolumeFacts facts() const { return examine(made.partition); }
  OpenedVolume open(const Credential& key) const { return open_volume(made.partition, key); }
  bool opens(const Credential& key) const {
    try {
      open(key);
      return true;
    } catch (const Error& error) {
      CHECK((error.code() == "key-does-not-open" || error.code() == "no-such-protector"));
      return false;
    }
  }
  const ExternalKeyFile& first_file() const { return *made.created.external_key; }
  void write(ProtectorEdit&& edit) {
    write_metadata(made.partition, made.layout, std::move(edit).seal());
  }
};

void collect(const Entry& entry, std::vector<std::uint32_t>& counters) {
  if (const auto nonce = nonce_of(entry)) counters.push_back(nonce->counter);
  for (const Entry& child : entry.children) collect(child, counters);
}

std::vector<std::uint32_t> counters_of(const Metadata& metadata) {
  std::vector<std::uint32_t> counters;
  for (const Entry& entry : metadata.entries) collect(entry, counters);
  collect(*metadata.integrity, counters);
  return counters;
}

std::string code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  return "nothing thrown";
}

}  // namespace

TEST_CASE("a forged copy does not keep the holder of a key from changing protectors") {
  Edited volume;
  const OpenedVolume before = volume.open(by(volume.first_file()));
  Metadata forged = before.metadata;
  forged.next_nonce = 0xFFFFFFFF;
  const std::optional<Entry> integrity = forged.integrity;
  seal(forged, SecretBytes::random(32), {FileTime{1}, 1});
  forged.integrity = integrity;
  volume.made.partition.write(volume.made.layout.metadata[1], serialise(forged));
  ExternalKeyFile file;
  {
    const OpenedVolume opened = volume.open(by(volume.first_file()));
    ProtectorEdit edit(opened, volume.facts());
    edit.add_external_key(file);
    volume.write(std::move(edit));
  }
  CHECK(volume.opens(by(file)));
  CHECK(volume.facts().copies_agree());
  CHECK(volume.open(by(file)).metadata.next_nonce < before.metadata.next_nonce + 100);
}

TEST_CASE("each kind of protector can be added, and opens the volume beside the old ones") {
  Edited volume;
  const OpenedVolume before = volume.open(by(volume.first_file()));
  const RecoveryPassword second = RecoveryPassword::random();
  ExternalKeyFile file;
  {
    ProtectorEdit all(before, volume.facts());
    all.add_recovery_password(second);
    all.add_external_key(file);
    volume.write(std::move(all));
  }
  for (const Credential& key : {by(volume.first_file()), by(file), Credential(second.clone()),
                                Credential(volume.made.recovery.clone())}) {
    const OpenedVolume opened = volume.open(key);
    CHECK(opened.vmk == before.vmk);
    CHECK(opened.integrity == Integrity::kGood);
  }
  const Metadata after = volume.open(by(file)).metadata;
  CHECK(protectors(after.entries).size() == protectors(before.metadata.entries).size() + 2);
  CHECK(after.entries.back().role == Role::kRelocation);
  // All that was there stands as it was.
  for (const Entry& entry : before.metadata.entries) {
    CHECK(std::ranges::count(after.entries, entry) == 1);
  }
}

TEST_CASE("a removed protector no longer opens the volume, the others do") {
  Edited volume;
  const OpenedVolume before = volume.open(by(volume.first_file()));
  {
    ProtectorEdit edit(before, volume.facts());
    edit.remove(*volume.made.created.password_protector);
    edit.remove(*volume.made.created.external_key_protector);
    volume.write(std::move(edit));
  }
  CHECK_FALSE(volume.opens(by(volume.first_file())));
  CHECK_FALSE(volume.opens(PasswordCredential{SecretBytes::copy_of(kTestPassword)}));
  CHECK(volume.opens(volume.made.recovery.clone()));
}

TEST_CASE("the last key of a volume stays") {
  Edited volume;
  const OpenedVolume opened = volume.open(by(volume.first_file()));
  ProtectorEdit edit(opened, volume.facts());
  edit.remove(*volume.made.created.password_protector);
  edit.remove(*volume.made.created.recovery_protector);
  edit.remove(*volume.made.created.external_key_protector);
  CHECK(code_of([&] { std::move(edit).seal(); }) == "last-protector");
}

TEST_CASE("a second password, an unknown id and a short password are refused") {
  Edited volume;
  const OpenedVolume opened = volume.open(by(volume.first_file()));
  ProtectorEdit edit(opened, volume.facts());
  CHECK(code_of([&] { edit.add_password(SecretBytes::copy_of("another password")); }) ==
        "protector-exists");
  CHECK(code_of([&] { edit.remove(Guid::random()); }) == "protector-unknown");
  edit.remove(*volume.made.created.password_protector);
  CHECK(code_of([&] { edit.add_password(SecretBytes::copy_of("short")); }) ==
        "bitlocker-password-length");
  CHECK(code_of([&] { find_protector(opened.metadata, "00000000"); }) == "protector-unknown");
  const Guid id = *volume.made.created.recovery_protector;
  CHECK(find_protector(opened.metadata, "{" + id.upper() + "}").id == id);
  CHECK(find_protector(opened.metadata, id.upper().substr(0, 8)).id == id);
}

TEST_CASE("no counter is used twice over many edits, and the next one is behind all") {
  Edited volume;
  ExternalKeyFile file;
  for (int round = 0; round < 12; ++round) {
    const OpenedVolume opened = volume.open(by(volume.first_file()));
    const std::vector<std::uint32_t> counters = counters_of(opened.metadata);
    CHECK(std::set(counters.begin(), counters.end()).size() == counters.size());
    CHECK(opened.metadata.next_nonce == std::ranges::max(counters) + 1);
    ProtectorEdit edit(opened, volume.facts());
    const Guid id = edit.add_external_key(file);
    if (round % 2 == 1) edit.remove(id);
    volume.write(std::move(edit));
    const Metadata after = volume.open(by(volume.first_file())).metadata;
    CHECK(nonce_of(*after.integrity)->counter > nonce_of(*opened.metadata.integrity)->counter);
  }
}

TEST_CASE("more protectors than fit are refused, and nothing is lost") {
  Edited volume;
  const OpenedVolume opened = volume.open(by(volume.first_file()));
  ProtectorEdit edit(opened, volume.facts());
  ExternalKeyFile file;
  for (int n = 0; n < 280; ++n) edit.add_external_key(file);
  CHECK(code_of([&] { std::move(edit).seal(); }) == "metadata-full");
}

TEST_CASE("a power cut at every write of a change leaves the old or the new keys") {
  for (std::size_t writes = 0; writes <= 3; ++writes) {
    for (const Torn torn : {Torn{0, 0}, Torn{0, 1}, Torn{0, 2}, Torn{0, 3}, Torn{0, 127},
                            Torn{1, 127}, Torn{2, 1}, Torn{3, 125}}) {
      INFO("power gone after " << writes << " writes, and of the next there are " << torn.count
                               << " sectors from " << torn.first);
      Edited volume;
      const OpenedVolume opened = volume.open(by(volume.first_file()));
      ExternalKeyFile added;
      ProtectorEdit edit(opened, volume.facts());
      edit.add_external_key(added);
      edit.remove(*volume.made.created.external_key_protector);
      PowerCut device(volume.made.partition, writes, torn);
      const Bytes metadata = std::move(edit).seal();
      try {
        write_metadata(device, volume.made.layout, metadata);
        CHECK(writes == 3);
      } catch (const Error& error) {
        CHECK(error.code() == "power-cut");
      }
      const VolumeFacts facts = volume.facts();
      REQUIRE(facts.has_sound_copy());
      const bool old_key = volume.opens(by(volume.first_file()));
      const bool new_key = volume.opens(by(added));
      CHECK((old_key || new_key));
      if (writes == 3) CHECK_FALSE(old_key);
      // A key that both sets have opens it in any case, and the change can be taken up again.
      if (!new_key) continue;
      const OpenedVolume again = volume.open(by(added));
      ProtectorEdit repair(again, facts);
      const Guid id = repair.add_external_key(added);
      volume.write(std::move(repair));
      CHECK(volume.facts().copies_agree());
      CHECK(volume.open(by(added)).protector == id);
      CHECK_FALSE(volume.opens(by(volume.first_file())));
    }
  }
}

TEST_CASE("a key that only older metadata knows changes nothing") {
  Edited volume;
  const OpenedVolume opened = volume.open(by(volume.first_file()));
  ExternalKeyFile added;
  ProtectorEdit edit(opened, volume.facts());
  edit.add_external_key(added);
  edit.remove(*volume.made.created.external_key_protector);
  PowerCut device(volume.made.partition, 1, {});
  CHECK_THROWS(write_metadata(device, volume.made.layout, std::move(edit).seal()));
  const OpenedVolume by_old = volume.open(by(volume.first_file()));
  CHECK(code_of([&] { ProtectorEdit(by_old, volume.facts()); }) == "protector-change-interrupted");
}

}  // namespace driveprep::bitlocker
