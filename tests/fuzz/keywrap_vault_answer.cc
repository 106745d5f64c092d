// What a vault answers, however odd: a bundle is one or a FormatError, an error body is always read,
// and nothing that acts on a terminal gets into a message.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "keywrap/vault/error_body.h"
#include "keywrap/vault/key_bundle.h"

using namespace driveprep;
using namespace driveprep::keywrap;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(std::as_bytes(std::span(data, size)));
  const Cloud cloud = *known_cloud("public");
  const auto asked =
      vault::parse_vault_key_uri("https://demo.vault.azure.net/keys/cmk", cloud).uri.value();
  try {
    const KeyVersion key = vault::parse_key_bundle(text, asked, cloud);
    require(key.kid.starts_with("https://demo.vault.azure.net/keys/cmk/"), "another key was taken");
  } catch (const FormatError&) {
  }
  const vault::ErrorBody body = vault::parse_error_body(text);
  for (const int status : {400, 401, 403, 404, 409, 500}) {
    (void)vault::condition_of_answer(status, body, vault::Operation::kUnwrap);
  }
  for (const char c : body.code + body.message) require(c >= ' ' && c <= '~', "not printable");
  return 0;
}
