// An external key file that is accepted survives serialise and parse.
#include <cstdint>
#include <cstdlib>

#include "bitlocker/external_key.h"

using namespace driveprep;
using namespace driveprep::bitlocker;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const SecretBytes file = SecretBytes::copy_of(std::as_bytes(std::span(data, size)));
  try {
    const ExternalKey key = parse_external_key(file);
    const ExternalKey again = parse_external_key(serialise_external_key(key));
    if (!(again.key == key.key) || again.protector != key.protector ||
        again.volume_id != key.volume_id || again.changed != key.changed ||
        again.saved != key.saved) {
      std::abort();
    }
  } catch (const Error& error) {
    if (error.code() != "bad-external-key") std::abort();
  }
  return 0;
}
