// The promises of KeyStore, written once for every kind of store.
//
// A store that is to be held to them brings a StoreUnderTest. In a test program of it:
//
//   TEST_CASE("the ... store keeps the promises of KeyStore") {
//     test::check_store_conformance([] { return std::make_unique<MyStoreUnderTest>(); });
//   }
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "keywrap/key_store.h"

namespace driveprep::test {

// What a kind of store may lack.
enum class Ability {
  kPicksNewest,  // an identifier without version finds the version made last, of several
  kDisables,
  kLimitsTime,  // not_before, expires; to the second
  kDeletes,     // and recovers
  kLimitsOperations,
};

// One store, with what a test has to do to its keys behind the interface. `kid` is always the full
// identifier of a version; `name` is 1 to 20 lower-case letters.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;

  virtual keywrap::KeyStore& store() = 0;
  virtual std::set<Ability> abilities() const = 0;
  // What the store takes for now.
  virtual keywrap::UnixSeconds now() const = 0;

  // RSA keys of 2048 bits, able to wrap and unwrap. Return the kid.
  virtual std::string make_key(const std::string& name) = 0;
  virtual std::string add_version(const std::string& name) = 0;
  virtual std::string versionless(const std::string& name) const = 0;
  // Well-formed identifiers that this store does not have: of an unknown key and an unknown version
  // of a known key.
  virtual std::vector<std::string> unknown(const std::string& known_name) const = 0;
  // Texts that are no identifiers of this store's keys: of another store of its kind, malformed.
  virtual std::vector<std::string> foreign(const std::string& kid) const = 0;

  // Called only for abilities that the store has.
  virtual void set_enabled(const std::string& kid, bool enabled);
  virtual void set_validity(const std::string& kid, std::optional<keywrap::UnixSeconds> not_before,
                            std::optional<keywrap::UnixSeconds> expires);
  virtual void delete_key(const std::string& name);
  virtual void recover_key(const std::string& name);
  virtual void set_operations(const std::string& kid, bool wrap, bool unwrap);
};

void check_store_conformance(const std::function<std::unique_ptr<StoreUnderTest>()>& make);

}  // namespace driveprep::test
