// Whatever a challenge says, a token is asked for the cloud's own resource only, from one of its
// sign-in hosts, for one tenant; and nothing else than a KeyError or FormatError comes out.
#include <cstddef>
#include <cstdint>
#include <span>

#include "keywrap/identity/challenge.h"
#include "keywrap/key_error.h"

using namespace driveprep;
using namespace driveprep::keywrap;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Cloud kCloud = known_cloud("public").value();
  const std::string_view text = as_text(std::as_bytes(std::span(data, size)));
  // Lines are headers.
  std::vector<std::string_view> headers;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    headers.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  try {
    const auto challenges = identity::parse_challenges(headers);
    const identity::TokenRequest request =
        identity::validate(challenges, "demo.vault.azure.net", kCloud, StoreKind::kVault, "");
    require(request.resource == "https://vault.azure.net", "a token for something else");
    require(request.authority == "https://login.microsoftonline.com" ||
                request.authority == "https://login.windows.net",
            "a token from somebody else");
    require(identity::is_guid(request.tenant), "no tenant");
  } catch (const FormatError&) {
  } catch (const KeyError& error) {
    for (const char c : std::string_view(error.what())) {
      require(c >= ' ' && c <= '~', "a message that is not printable");
    }
  }
  return 0;
}
