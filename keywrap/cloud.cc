#include "keywrap/cloud.h"

#include <algorithm>

namespace driveprep::keywrap {
namespace {

const std::vector<Cloud>& known_clouds() {
  static const std::vector<Cloud> kClouds = {
      // login.windows.net stands in older challenges.
      {"public",
       "vault.azure.net",
       "managedhsm.azure.net",
       {"login.microsoftonline.com", "login.windows.net"}},
      {"us-government",
       "vault.usgovcloudapi.net",
       "managedhsm.usgovcloudapi.net",
       {"login.microsoftonline.us"}},
      // Unverified: sources differ about the suffix of Managed HSM in China.
      {"china",
       "vault.azure.cn",
       "managedhsm.azure.cn",
       {"login.chinacloudapi.cn", "login.partner.microsoftonline.cn"}},
  };
  return kClouds;
}

}  // namespace

std::optional<Cloud> known_cloud(std::string_view name) {
  const auto& clouds = known_clouds();
  const auto found = std::ranges::find(clouds, name, &Cloud::name);
  return found == clouds.end() ? std::nullopt : std::optional(*found);
}

}  // namespace driveprep::keywrap
