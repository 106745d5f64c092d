// A recovery password that is accepted has a canonical text that reads back to the same key.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "bitlocker/recovery_password.h"

using namespace driveprep;
using namespace driveprep::bitlocker;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(std::as_bytes(std::span(data, size)));
  try {
    const RecoveryPassword password = RecoveryPassword::parse(text);
    const RecoveryPassword again = RecoveryPassword::parse(password.text());
    if (!(again.key() == password.key()) || again.text() != password.text()) std::abort();
  } catch (const Error& error) {
    if (error.code() != "bad-recovery-password") std::abort();
  }
  if (size == RecoveryPassword::kKeySize) {
    const RecoveryPassword password =
        RecoveryPassword::from_key(std::as_bytes(std::span(data, size)));
    if (!(RecoveryPassword::parse(password.text()).key() == password.key())) std::abort();
  }
  return 0;
}
