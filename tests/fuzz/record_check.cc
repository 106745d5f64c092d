// Nothing but the errors that are promised comes out of a file that is to be a record, nor out of a
// record of a wipe, whatever it holds.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "agent/record/public_key.h"
#include "agent/record/signed_record.h"
#include "agent/record/wipe_consistency.h"

using driveprep::Error;
using driveprep::ErrorKind;
namespace record = driveprep::record;

namespace {

template <typename Work>
void expect_only(std::initializer_list<ErrorKind> kinds, Work work) {
  try {
    work();
  } catch (const Error& error) {
    if (std::ranges::find(kinds, error.kind()) == kinds.end()) throw;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = driveprep::as_text(std::as_bytes(std::span(data, size)));
  expect_only({ErrorKind::kUsage, ErrorKind::kVerification}, [&] {
    const record::CheckedRecord checked = record::check_record(text);
    driveprep::require(checked.record.is_object(), "a record is an object");
  });
  expect_only({ErrorKind::kUsage},
              [&] { (void)record::PublicKey::from_file_text(text, "the key"); });
  const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!json.is_discarded()) {
    expect_only({ErrorKind::kVerification},
                [&] { record::check_wipe_consistency(json, "the record"); });
  }
  return 0;
}
