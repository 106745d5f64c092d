// An identifier of a key that parses has one text, which parses to the same and stays below a vault's
// suffix, whatever the input; the others have a fault with a reason.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "keywrap/vault/vault_key_uri.h"

using namespace driveprep;
using namespace driveprep::keywrap;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(std::as_bytes(std::span(data, size)));
  for (const char* name : {"public", "us-government", "china"}) {
    const Cloud cloud = *known_cloud(name);
    const vault::ParsedKeyUri parsed = vault::parse_vault_key_uri(text, cloud);
    require(parsed.uri.has_value() != parsed.fault.has_value(), "neither or both");
    if (!parsed.uri) {
      require(!parsed.fault->why.empty(), "a fault without a reason");
      continue;
    }
    const std::string again = parsed.uri->to_string();
    require(vault::parse_vault_key_uri(again, cloud).uri == parsed.uri, "an identifier changed");
    require(vault::is_one_label_below(parsed.uri->host, cloud.suffix(parsed.uri->kind)),
            "a host that is no vault was taken");
  }
  return 0;
}
