#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

#include "base/posix.h"
#include "tests/unit/keywrap/fixtures.h"

namespace driveprep::keywrap {
namespace {

namespace fs = std::filesystem;

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

std::string content_of(const fs::path& path) {
  return posix::read_file(path, 1 << 20, ErrorKind::kInternal);
}

void overwrite(const fs::path& path, std::string_view content) {
  const UniqueFd fd = posix::open(path, O_WRONLY | O_TRUNC | O_CREAT, ErrorKind::kInternal);
  posix::write_all(fd.get(), as_bytes(content), path.string(), ErrorKind::kInternal);
}

void replace_in(const fs::path& path, const std::string& from, const std::string& to) {
  std::string text = content_of(path);
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  overwrite(path, text.replace(at, from.size(), to));
}

TEST_CASE("a key wraps and unwraps, also after the store is opened again") {
  StoreFixture& f = unchanged_store();
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes wrapped = f.store->wrap(f.kid, secret);
  CHECK(wrapped.size() == 256);
  CHECK(f.store->wrap(f.kid, secret) != wrapped);  // OAEP is randomised

  const auto again = LocalKeyStore::open(f.options());
  CHECK(again->id() == f.store->id());
  const Unwrapped unwrapped = again->unwrap(f.kid, wrapped);
  CHECK(unwrapped.secret == secret);
  CHECK(unwrapped.warning.empty());
}

TEST_CASE("the default key is RSA 3072 and made once") {
  StoreFixture f;
  const KeyVersion made = f.store->newest_or_create("First-Use");
  CHECK(made.bits == 3072);
  CHECK(made.key_type == "RSA");
  CHECK(made.enabled);
  CHECK(made.created == f.now);
  CHECK(made.recovery_level == "Recoverable");
  CHECK(f.store->newest_or_create("first-use").kid == made.kid);
  CHECK(f.store->describe(made.kid).bits == 3072);
  CHECK(f.store->owns(made.kid));
  CHECK_FALSE(f.store->owns("https://demo.vault.azure.net/keys/a/" + std::string(32, '0')));
}

TEST_CASE("everything in a key store is for its owner only") {
  const test::ScratchDirectory temporary;
  const fs::path directory = temporary.path() / "store";
  const mode_t old = umask(0);
  LocalKeyStore::open_or_create({directory, {}, system_clock_seconds})->create_key("a", kSmallKey);
  umask(old);
  CHECK(mode_of(directory) == 0700);
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    CAPTURE(entry.path());
    CHECK(mode_of(entry.path()) == (entry.is_directory() ? 0700 : 0600));
    ++files;
  }
  CHECK(files == 7);  // store.json, unlock, lock, keys, a, key.json, the .pem; nothing else
  CHECK(content_of(directory / "unlock").size() == 65);
}

TEST_CASE("a disabled key neither wraps nor unwraps") {
  StoreFixture f;
  const Bytes wrapped = f.store->wrap(f.kid, SecretBytes::random(32));
  CHECK_FALSE(f.store->set_enabled(f.kid, false).enabled);
  CHECK(code_of([&] { f.store->wrap(f.kid, SecretBytes::random(32)); }) == "CmkErrorKeyDisabled");
  CHECK(code_of([&] { f.store->unwrap(f.kid, wrapped); }) == "CmkErrorKeyDisabled");
  f.store->set_enabled(f.kid, true);
  CHECK(f.store->unwrap(f.kid, wrapped).secret.size() == 32);
}

TEST_CASE("outside its validity a key unwraps with a warning but does not wrap") {
  StoreFixture f;
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes wrapped = f.store->wrap(f.kid, secret);

  f.store->set_validity(f.kid, std::nullopt, f.now);  // the end is exclusive
  CHECK(code_of([&] { f.store->wrap(f.kid, secret); }) == "SsemUserErrorEncryptionKeyExpired");
  CHECK(f.store->unwrap(f.kid, wrapped).secret == secret);
  CHECK_FALSE(f.store->unwrap(f.kid, wrapped).warning.empty());

  f.store->set_validity(f.kid, f.now + 1, std::nullopt);
  CHECK(code_of([&] { f.store->wrap(f.kid, secret); }) == "KwKeyNotYetActive");
  CHECK_FALSE(f.store->unwrap(f.kid, wrapped).warning.empty());

  f.store->set_validity(f.kid, f.now, f.now + 1);  // the start is inclusive
  CHECK(f.store->wrap(f.kid, secret).size() == 256);
  CHECK(f.store->describe(f.kid).expires == f.now + 1);
}

TEST_CASE("after rotation the old version still unwraps and the new one is the newest") {
  StoreFixture f;
  const SecretBytes secret = SecretBytes::random(32);
  const Bytes wrapped = f.store->wrap(f.kid, secret);
  const KeyVersion next = f.store->new_version("default", kSmallKey);
  CHECK(next.kid != f.kid);
  CHECK(f.store->newest("default").kid == next.kid);
  CHECK(f.store->unwrap(f.kid, wrapped).secret == secret);
  CHECK(code_of([&] { f.store->unwrap(next.kid, wrapped); }) == "envelope-not-opened");
  const auto all = f.store->key("Default").versions;
  REQUIRE(all.size() == 2);
  CHECK((all[0].kid == f.kid && all[1].kid == next.kid));
}

TEST_CASE("a deleted key is refused until it is recovered") {
  StoreFixture f;
  const Bytes wrapped = f.store->wrap(f.kid, SecretBytes::random(32));
  f.store->delete_key("default");
  CHECK(code_of([&] { f.store->describe(f.kid); }) == "CmkErrorKeyNotFound");
  CHECK(code_of([&] { f.store->unwrap(f.kid, wrapped); }) == "CmkErrorKeyNotFound");
  CHECK(code_of([&] { f.store->newest_or_create("default"); }) == "CmkErrorKeyNotFound");
  REQUIRE(f.store->keys().size() == 1);
  REQUIRE(f.store->keys().front().deletion);
  CHECK(f.store->keys().front().deletion->deleted == f.now);
  CHECK(f.store->keys().front().deletion->scheduled_purge == f.now + 90 * 86'400);
  f.store->recover_key("default");
  CHECK(f.store->unwrap(f.kid, wrapped).secret.size() == 32);
  CHECK(code_of([&] { f.store->recover_key("default"); }) == "key-not-deleted");
}

TEST_CASE(
    "with purge protection a deleted key is kept until its time is over, and then until it is "
    "purged") {
  StoreFixture f;
  CHECK(code_of([&] { f.store->purge_key("default"); }) == "key-not-deleted");
  const Deletion deletion = f.store->delete_key("DEFAULT");
  f.now = deletion.scheduled_purge - 1;
  CHECK(code_of([&] { f.store->purge_key("default"); }) == "key-purge-refused");
  f.now = deletion.scheduled_purge;
  f.store->recover_key("default");
  CHECK(f.store->describe(f.kid).enabled);
  f.now = f.store->delete_key("default").scheduled_purge;
  f.store->purge_key("Default");
  CHECK_FALSE(fs::exists(f.directory / "keys/default"));
  CHECK(f.store->keys().empty());
  CHECK(code_of([&] { f.store->recover_key("default"); }) == "CmkErrorKeyNotFound");
  CHECK(code_of([&] { f.store->wrap(f.kid, SecretBytes::random(32)); }) == "CmkErrorKeyNotFound");
  CHECK(f.store->create_key("default", kSmallKey).kid != f.kid);
}

TEST_CASE("without purge protection a deleted key may be purged at once") {
  const test::ScratchDirectory temporary;
  StoreSettings settings;
  settings.retention_days = 7;
  settings.purge_protection = false;
  const auto store =
      LocalKeyStore::create({temporary / "store", {}, system_clock_seconds}, settings);
  CHECK(store->create_key("a", kSmallKey).recovery_level == "CustomizedRecoverable+Purgeable");
  const Deletion deletion = store->delete_key("a");
  CHECK(deletion.scheduled_purge == deletion.deleted + 7 * 86'400);
  store->purge_key("a");
  CHECK(store->keys().empty());
}

TEST_CASE("what a purge that died half-way leaves is no key, and makes room for a new one") {
  StoreFixture f;
  fs::remove(f.directory / "keys/default/key.json");
  CHECK(f.store->keys().empty());
  CHECK(f.store->create_key("default", kSmallKey).kid != f.kid);
}

TEST_CASE("wrong names, versions and sizes are refused by their own codes") {
  StoreFixture& f = unchanged_store();
  const std::string unknown = f.kid.substr(0, f.kid.size() - 32) + std::string(32, '0');
  CHECK(code_of([&] { f.store->describe(unknown); }) == "CmkErrorKeyNotFound");
  CHECK(code_of([&] { f.store->newest("other"); }) == "CmkErrorKeyNotFound");
  CHECK(code_of([&] { f.store->describe("keystore://x"); }) == "SsemUserErrorInvalidKeyVaultUrl");
  CHECK(code_of([&] { f.store->newest("../default"); }) == "key-name-invalid");
  CHECK(code_of([&] { f.store->create_key("DEFAULT"); }) == "key-exists");
  CHECK(code_of([&] {
          f.store->create_key("small", {.bits = 1024, .not_before = {}, .expires = {}});
        }) == "key-size-unsupported");
  // 2048 bits with SHA-256 hold 256 - 2*32 - 2 bytes.
  CHECK(f.store->wrap(f.kid, SecretBytes::random(190)).size() == 256);
  CHECK(code_of([&] { f.store->wrap(f.kid, SecretBytes::random(191)); }) == "wrap-failed");

  const test::ScratchDirectory other;
  const auto stranger =
      LocalKeyStore::open_or_create({other.path() / "store", {}, system_clock_seconds});
  CHECK_FALSE(stranger->owns(f.kid));
  CHECK(code_of([&] { stranger->describe(f.kid); }) == "SsemUserErrorInvalidKeyVaultUrl");
}

TEST_CASE("files and directories that others can access are refused") {
  StoreFixture f;
  const fs::path key = f.directory / "keys/default";
  const auto use = [&] { LocalKeyStore::open(f.options())->wrap(f.kid, SecretBytes::random(32)); };
  for (const fs::path& victim :
       {f.directory, f.directory / "store.json", f.directory / "unlock", f.directory / "keys", key,
        key / "key.json", key / (f.kid.substr(f.kid.size() - 32) + ".pem")}) {
    CAPTURE(victim);
    const mode_t mode = mode_of(victim);
    for (mode_t bit : {040, 020, 010, 04, 02, 01}) {
      REQUIRE(::chmod(victim.c_str(), mode | bit) == 0);
      CHECK(code_of(use) == "key-store-unsafe");
    }
    REQUIRE(::chmod(victim.c_str(), mode) == 0);

    const fs::path moved = f.temporary.path() / "moved";
    fs::rename(victim, moved);
    fs::create_symlink(moved, victim);
    CHECK(code_of(use) == "key-store-unsafe");
    fs::remove(victim);
    fs::rename(moved, victim);

    if (geteuid() == 0) {
      REQUIRE(::lchown(victim.c_str(), 12345, 12345) == 0);
      CHECK(code_of(use) == "key-store-unsafe");
      REQUIRE(::lchown(victim.c_str(), 0, 0) == 0);
    } else {
      WARN("skipped: only root can give a file to another user");
    }
  }
  CHECK(code_of(use).empty());  // everything was put back
}

TEST_CASE("a lock that is a symbolic link or a directory in a file's place is refused") {
  StoreFixture f;
  fs::remove(f.directory / "lock");
  fs::create_symlink("/dev/null", f.directory / "lock");
  CHECK(code_of([&] { f.store->set_enabled(f.kid, true); }) == "key-store-unsafe");
  fs::remove(f.directory / "lock");
  fs::remove(f.directory / "store.json");
  fs::create_directory(f.directory / "store.json");
  ::chmod((f.directory / "store.json").c_str(), 0700);
  CHECK(code_of([&] { LocalKeyStore::open(f.options()); }) == "key-store-unsafe");
}

TEST_CASE("damaged stores are refused, not repaired by guessing") {
  StoreFixture f;
  const fs::path directory = f.directory / "keys/default";
  const fs::path key = directory / "key.json";
  const fs::path pem = directory / (f.kid.substr(f.kid.size() - 32) + ".pem");
  const auto use = [&] { LocalKeyStore::open(f.options())->wrap(f.kid, SecretBytes::random(32)); };

  SECTION("nothing is damaged") { CHECK(code_of(use).empty()); }
  SECTION("store.json is no JSON") {
    overwrite(f.directory / "store.json", "{");
    CHECK(code_of(use) == "key-store-corrupt");
  }
  SECTION("store.json has another format") {
    replace_in(f.directory / "store.json", "\"version\": 1", "\"version\": 2");
    CHECK(code_of(use) == "key-store-corrupt");
  }
  SECTION("store.json is gone although there are keys") {
    fs::remove(f.directory / "store.json");
    CHECK(code_of(use) == "key-store-missing");
    CHECK(code_of([&] { LocalKeyStore::open_or_create(f.options()); }) == "key-store-corrupt");
  }
  SECTION("key.json lacks a member") {
    replace_in(key, "\"enabled\"", "\"Enabled\"");
    CHECK(code_of(use) == "key-store-corrupt");
  }
  SECTION("key.json says a member twice") {
    replace_in(key, "\"enabled\": true", "\"enabled\": true, \"enabled\": true");
    CHECK(code_of(use) == "key-store-corrupt");
  }
  SECTION("key.json is another key's") {
    replace_in(key, "\"name\": \"default\"", "\"name\": \"other\"");
    CHECK(code_of(use) == "key-store-corrupt");
  }
  SECTION("the private key is missing") {
    fs::remove(pem);
    CHECK(code_of(use) == "key-store-corrupt");
  }
  SECTION("the private key is no PEM") {
    overwrite(pem, "hello");
    CHECK(code_of(use) == "key-store-corrupt");
  }
  SECTION("the private key is another one") {
    const std::string other = f.store->new_version("default", kSmallKey).kid;
    overwrite(pem, content_of(directory / (other.substr(other.size() - 32) + ".pem")));
    CHECK(code_of(use) == "key-store-corrupt");
  }
  SECTION("the private key is too large for one") {
    overwrite(pem, std::string(100'000, 'x'));
    CHECK(code_of(use) == "key-store-corrupt");
  }
  SECTION("the unlock secret is another one") {
    overwrite(f.directory / "unlock", std::string(64, '0') + "\n");
    CHECK(code_of(use) == "key-store-locked-out");
  }
  SECTION("the unlock secret is missing") {
    fs::remove(f.directory / "unlock");
    CHECK(code_of(use) == "key-store-locked-out");
  }
  SECTION("the unlock secret is cut short") {
    overwrite(f.directory / "unlock", "0011");
    CHECK(code_of(use) == "key-store-corrupt");
  }
}

TEST_CASE("no store is made by opening one") {
  const test::ScratchDirectory temporary;
  const LocalKeyStore::Options options{temporary.path() / "none", {}, system_clock_seconds};
  CHECK(code_of([&] { LocalKeyStore::open(options); }) == "key-store-missing");
  CHECK_FALSE(fs::exists(options.directory));
}

TEST_CASE("a creation that died half-way is completed by the next") {
  const test::ScratchDirectory temporary;
  const LocalKeyStore::Options options{temporary.path() / "a" / "b", {}, system_clock_seconds};
  fs::create_directories(options.directory);
  ::chmod(options.directory.c_str(), 0700);
  overwrite(options.directory / "unlock", std::string(64, 'a') + "\n");
  const auto store = LocalKeyStore::open_or_create(options);
  CHECK(content_of(options.directory / "unlock") == std::string(64, 'a') + "\n");

  // Died after the private key and before key.json.
  fs::create_directory(options.directory / "keys/default");
  ::chmod((options.directory / "keys/default").c_str(), 0700);
  overwrite(options.directory / "keys/default/0123456789abcdef0123456789abcdef.pem", "half");
  const std::string kid = store->newest_or_create().kid;
  CHECK(store->unwrap(kid, store->wrap(kid, SecretBytes::random(32))).secret.size() == 32);
}

TEST_CASE("a change that does not fit on the disk leaves the store as it was") {
  StoreFixture f;
  const fs::path key = f.directory / "keys/default/key.json";
  const std::string before = content_of(key);
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlimit small{100, limit.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string code = code_of([&] { f.store->set_enabled(f.kid, false); });
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  std::signal(SIGXFSZ, old_handler);
  CHECK(code == "write-failed");
  CHECK(content_of(key) == before);
  const auto files = fs::directory_iterator(f.directory / "keys/default");
  CHECK(std::distance(begin(files), end(files)) == 2);
  CHECK(f.store->describe(f.kid).enabled);
}

TEST_CASE("processes that create the store at once all get the same store and key") {
  const test::ScratchDirectory temporary;
  const fs::path directory = temporary.path() / "store";
  constexpr int kProcesses = 6;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        const auto store = LocalKeyStore::open_or_create({directory, {}, system_clock_seconds});
        const std::string kid = store->newest_or_create().kid;
        overwrite(temporary.path() / std::to_string(i), kid);
        _exit(0);
      } catch (...) {
        _exit(1);
      }
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  const auto store = LocalKeyStore::open({directory, {}, system_clock_seconds});
  REQUIRE(store->keys().size() == 1);
  for (int i = 0; i < kProcesses; ++i) {
    CHECK(content_of(temporary.path() / std::to_string(i)) == store->newest("default").kid);
  }
}

TEST_CASE("threads share one store") {
  StoreFixture& f = unchanged_store();
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) {
        const SecretBytes secret = SecretBytes::random(32);
        if (f.store->unwrap(f.kid, f.store->wrap(f.kid, secret)).secret == secret) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(good == 20);
}

}  // namespace
}  // namespace driveprep::keywrap
