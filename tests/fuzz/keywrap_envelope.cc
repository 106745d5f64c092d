// An envelope that parses survives being written and parsed again, and nothing else than an Error
// of kind kKey comes out of bad text.
#include <cstddef>
#include <cstdint>
#include <span>

#include "keywrap/envelope.h"

using driveprep::Error;
using driveprep::ErrorKind;
using driveprep::require;
using driveprep::keywrap::Envelope;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = driveprep::as_text(std::as_bytes(std::span(data, size)));
  try {
    const Envelope envelope = Envelope::parse(text);
    const Envelope again = Envelope::parse(envelope.to_json());
    require(again.binding == envelope.binding && again.iv == envelope.iv &&
                again.tag == envelope.tag && again.ciphertext == envelope.ciphertext &&
                again.protected_header == envelope.protected_header &&
                again.recipients.size() == envelope.recipients.size(),
            "an envelope changed on its way through JSON");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kKey) throw;
  }
  return 0;
}
