// A key store in a directory of its own, with a clock that the test sets.
#pragma once

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "keywrap/envelope.h"
#include "keywrap/local_key_store.h"
#include "tests/support/scratch.h"

namespace driveprep::keywrap {

inline constexpr KeyParameters kSmallKey{.bits = 2048, .not_before = {}, .expires = {}};

// Making a key costs seconds under a sanitiser, so every fixture gets a copy of one store.
inline const std::filesystem::path& sample_store() {
  static const test::ScratchDirectory temporary;
  static const std::filesystem::path directory = [] {
    auto path = temporary.path() / "store";
    const auto store =
        LocalKeyStore::open_or_create({path, {}, [] { return UnixSeconds{1'800'000'000}; }});
    store->create_key("default", kSmallKey);
    return path;
  }();
  return directory;
}

struct StoreFixture {
  test::ScratchDirectory temporary;
  std::filesystem::path directory = temporary.path() / "store";
  UnixSeconds now = 1'800'000'000;
  std::unique_ptr<LocalKeyStore> store;
  std::string kid;

  StoreFixture() {
    std::filesystem::copy(sample_store(), directory, std::filesystem::copy_options::recursive);
    store = LocalKeyStore::open(options());
    kid = store->newest("default").kid;
  }
  LocalKeyStore::Options options() {
    return {directory, {}, [this] { return now; }};
  }
};

// One store for all tests that change nothing in it: its key is decrypted once.
inline StoreFixture& unchanged_store() {
  static StoreFixture fixture;
  return fixture;
}

// The code of the Error that `action` throws, which must be of kind kKey; "" when it throws none.
inline std::string code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(error.kind() == ErrorKind::kKey);
    CHECK_FALSE(std::string(error.what()).empty());
    return error.code();
  }
  return "";
}

inline constexpr std::string_view kPassword =
    "238810-662376-448998-450120-652806-203390-606320-483076";

inline Payload sample_payload(std::string_view value = kPassword) {
  return {SecretBytes::copy_of(value), *Guid::parse("4967d63b-2e29-4ad8-8399-f6a339e3d001"),
          FileTime::from_timespec({1'700'000'000, 0})};
}

inline Binding sample_binding() {
  return {"import-2026-11", "ZC1A0F7K", Purpose::kRecoveryPassword};
}

}  // namespace driveprep::keywrap
