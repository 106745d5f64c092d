// The Azure clouds, as far as keys are concerned: which hosts are vaults, and who signs tokens for
// them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace driveprep::keywrap {

enum class StoreKind { kVault, kManagedHsm };

struct Cloud {
  std::string name;
  std::string vault_suffix;                // "vault.azure.net", without a dot in front
  std::string managed_hsm_suffix;          // "managedhsm.azure.net"; empty: the cloud has none
  std::vector<std::string> sign_in_hosts;  // accepted in a challenge; the first one is the default
  // What tokens are made for, where that is not the suffix: a host name; empty: the suffix.
  std::string vault_resource = {};
  std::string managed_hsm_resource = {};

  const std::string& suffix(StoreKind kind) const {
    return kind == StoreKind::kVault ? vault_suffix : managed_hsm_suffix;
  }
  // What a token for such a store is made for: "https://vault.azure.net".
  std::string resource(StoreKind kind) const {
    const std::string& own = kind == StoreKind::kVault ? vault_resource : managed_hsm_resource;
    return "https://" + (own.empty() ? suffix(kind) : own);
  }
};

// "public", "us-government" or "china"; nullopt for any other name.
std::optional<Cloud> known_cloud(std::string_view name);

}  // namespace driveprep::keywrap
