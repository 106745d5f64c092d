#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "tests/unit/keywrap/fixtures.h"

namespace driveprep::keywrap {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPassphrase = "seven trees and a very small boat";

StoreSettings with_passphrase(std::string_view passphrase = kPassphrase) {
  StoreSettings settings;
  settings.passphrase = SecretBytes::copy_of(passphrase);
  return settings;
}

// A store that opens with a passphrase, and somebody who is asked for it.
struct PassphraseFixture {
  test::ScratchDirectory temporary;
  fs::path directory = temporary / "store";
  std::string answer = std::string(kPassphrase);
  int asked = 0;

  LocalKeyStore::Options options() {
    LocalKeyStore::Options options{directory, {}, system_clock_seconds};
    options.unlock.ask_passphrase = [this](const fs::path& store) {
      CHECK(store == directory);
      ++asked;
      return SecretBytes::copy_of(answer);
    };
    return options;
  }
};

std::string text_of(const fs::path& file) {
  return posix::read_file(file, 1 << 20, ErrorKind::kInternal);
}

TEST_CASE("a store with a passphrase keeps no unlock secret and asks once") {
  PassphraseFixture f;
  const auto store = LocalKeyStore::create(f.options(), with_passphrase());
  CHECK_FALSE(store->unlock_file());
  CHECK_FALSE(fs::exists(f.directory / "unlock"));
  CHECK(text_of(f.directory / "store.json").find("trees") == std::string::npos);
  const std::string kid = store->create_key("a", kSmallKey).kid;
  store->create_key("b", kSmallKey);
  CHECK(f.asked == 1);

  const auto again = LocalKeyStore::open(f.options());
  CHECK(again->keys().size() == 2);
  again->set_enabled(kid, true);
  CHECK(f.asked == 1);  // no key was needed
  again->unlock();
  CHECK(f.asked == 2);
  CHECK(again->unwrap(kid, again->wrap(kid, SecretBytes::random(32))).secret.size() == 32);
  CHECK(f.asked == 2);
}

TEST_CASE("no key is made under a passphrase that is not the store's") {
  PassphraseFixture f;
  LocalKeyStore::create(f.options(), with_passphrase());
  f.answer = "seven trees and a very small goat";
  const auto store = LocalKeyStore::open(f.options());
  CHECK(code_of([&] { store->create_key("a", kSmallKey); }) == "key-store-locked-out");
  CHECK(code_of([&] { store->unlock(); }) == "key-store-locked-out");
  CHECK(store->keys().empty());
  f.answer = kPassphrase;  // a wrong one is not remembered
  CHECK(store->create_key("a", kSmallKey).enabled);
}

TEST_CASE("a store with a passphrase and nobody to ask is locked out") {
  PassphraseFixture f;
  LocalKeyStore::create(f.options(), with_passphrase());
  const auto store = LocalKeyStore::open({f.directory, {}, system_clock_seconds});
  CHECK(code_of([&] { store->create_key("a", kSmallKey); }) == "key-store-locked-out");
}

TEST_CASE("a short passphrase is refused and no store is made") {
  PassphraseFixture f;
  CHECK(code_of([&] { LocalKeyStore::create(f.options(), with_passphrase("eleven char")); }) ==
        "key-passphrase");
  CHECK(code_of([&] {
          LocalKeyStore::create(f.options(), with_passphrase(std::string(1025, 'x')));
        }) == "key-passphrase");
  CHECK(code_of([&] { LocalKeyStore::open(f.options()); }) == "key-store-missing");
  CHECK(code_of([&] {
          LocalKeyStore::create(f.options(), with_passphrase("twelve chars"));
        }).empty());
}

TEST_CASE("a store is made once") {
  PassphraseFixture f;
  LocalKeyStore::create(f.options(), {});
  const std::string before = text_of(f.directory / "store.json");
  CHECK(code_of([&] { LocalKeyStore::create(f.options(), with_passphrase()); }) ==
        "key-store-exists");
  CHECK(text_of(f.directory / "store.json") == before);
}

TEST_CASE("the unlock file may lie elsewhere, and the store knows where") {
  PassphraseFixture f;
  StoreSettings settings;
  settings.unlock_file = f.temporary / "unlock-elsewhere";
  const auto store = LocalKeyStore::create(f.options(), settings);
  CHECK(store->unlock_file() == settings.unlock_file);
  CHECK_FALSE(fs::exists(f.directory / "unlock"));
  const std::string kid = store->create_key("a", kSmallKey).kid;

  const auto use = [&] { LocalKeyStore::open(f.options())->wrap(kid, SecretBytes::random(32)); };
  CHECK(code_of(use).empty());
  CHECK(f.asked == 0);
  REQUIRE(::chmod(settings.unlock_file.c_str(), 0640) == 0);
  CHECK(code_of(use) == "key-store-unsafe");
  REQUIRE(::chmod(settings.unlock_file.c_str(), 0600) == 0);
  fs::rename(settings.unlock_file, f.temporary / "away");
  CHECK(code_of(use) == "key-store-locked-out");

  // Another store may share it.
  fs::rename(f.temporary / "away", settings.unlock_file);
  const std::string secret = text_of(settings.unlock_file);
  LocalKeyStore::create({f.temporary / "second", {}, system_clock_seconds}, settings);
  CHECK(text_of(settings.unlock_file) == secret);
}

TEST_CASE("no key is made under an unlock file that is not the store's") {
  PassphraseFixture f;
  const auto store = LocalKeyStore::create(f.options(), {});
  fs::remove(f.directory / "unlock");
  f.temporary.file("other", as_bytes(std::string(64, 'a')));
  fs::rename(f.temporary / "other", f.directory / "unlock");
  CHECK(code_of([&] { store->create_key("a", kSmallKey); }) == "key-store-locked-out");
  CHECK(store->keys().empty());
}

TEST_CASE("a credential of the service manager goes before file and question") {
  PassphraseFixture f;
  LocalKeyStore::create(f.options(), with_passphrase());
  LocalKeyStore::Options options = f.options();
  options.unlock.credential = f.temporary / "driveprep-unlock";
  const auto use = [&] { LocalKeyStore::open(options)->unlock(); };
  CHECK(code_of(use).empty());  // no such credential: asked
  CHECK(f.asked == 1);
  const fs::path file = f.temporary.file("driveprep-unlock", as_bytes(kPassphrase));
  CHECK(code_of(use).empty());
  CHECK(f.asked == 1);
  // An access list of the service manager shows as a permission of the group.
  REQUIRE(::chmod(file.c_str(), 0440) == 0);
  CHECK(code_of(use).empty());
  for (const mode_t mode : {0404, 0460, 0402}) {
    REQUIRE(::chmod(file.c_str(), mode) == 0);
    CHECK(code_of(use) == "key-store-unsafe");
  }
  REQUIRE(::chmod(file.c_str(), 0400) == 0);
  fs::rename(file, f.temporary / "real");
  fs::create_symlink(f.temporary / "real", file);
  CHECK(code_of(use) == "key-store-unsafe");
  CHECK(f.asked == 1);
}

TEST_CASE("a credential opens a store with an unlock file, and must fit") {
  StoreFixture f;
  LocalKeyStore::Options options = f.options();
  options.unlock.credential = f.temporary / "driveprep-unlock";
  fs::rename(f.directory / "unlock", options.unlock.credential);
  const auto use = [&] { LocalKeyStore::open(options)->wrap(f.kid, SecretBytes::random(32)); };
  CHECK(code_of(use).empty());
  fs::remove(options.unlock.credential);
  f.temporary.file("driveprep-unlock", as_bytes(std::string(64, 'a')));
  CHECK(code_of(use) == "key-store-locked-out");
  fs::remove(options.unlock.credential);
  f.temporary.file("driveprep-unlock", as_bytes(std::string("hello")));
  CHECK(code_of(use) == "key-store-corrupt");
}

TEST_CASE("stores made before there was a check of the unlock secret still open") {
  StoreFixture f;
  const fs::path file = f.directory / "store.json";
  std::string text = text_of(file);
  const std::size_t begin = text.find("\"unlock\"");
  REQUIRE(begin != std::string::npos);
  text.erase(begin, text.find("\"version\"") - begin);
  fs::remove(file);
  f.temporary.file("old", as_bytes(text));
  fs::rename(f.temporary / "old", file);
  const auto store = LocalKeyStore::open(f.options());
  CHECK(store->wrap(f.kid, SecretBytes::random(32)).size() == 256);
  CHECK(store->new_version("default", kSmallKey).enabled);
}

TEST_CASE("what store.json says of unlocking is checked") {
  StoreFixture f;
  const fs::path file = f.directory / "store.json";
  const std::string good = text_of(file);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"kind\": \"file\"", "\"kind\": \"magic\""},
           {"\"kind\": \"file\"", "\"kind\": \"file\", \"file\": \"relative\""},
           {"\"rounds\": 1", "\"rounds\": 0"},
           {"\"rounds\": 1", "\"rounds\": 2000000000"},
           {"\"salt\": \"", "\"salt\": \"*"}}) {
    CAPTURE(to);
    std::string text = good;
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    fs::remove(file);
    f.temporary.file("changed", as_bytes(text));
    fs::rename(f.temporary / "changed", file);
    CHECK(code_of([&] { LocalKeyStore::open(f.options()); }) == "key-store-corrupt");
  }
}

}  // namespace
}  // namespace driveprep::keywrap
