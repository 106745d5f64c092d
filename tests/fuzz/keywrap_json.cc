// The two readers of JSON: whatever both take they understand alike.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/error.h"
#include "keywrap/json_view.h"
#include "keywrap/strict_json.h"

using namespace driveprep;
using namespace driveprep::keywrap;
using nlohmann::json;

namespace {

constexpr std::size_t kMaxBytes = 64 * 1024;

void require_same(const JsonView& view, const json& value) {
  using Kind = JsonView::Kind;
  switch (view.kind()) {
    case Kind::kNull: return require(value.is_null(), "null");
    case Kind::kBoolean: return require(view.boolean() == value.get<bool>(), "boolean");
    case Kind::kString: {
      const auto& text = value.get_ref<const std::string&>();
      require(view.text() == text && view.secret()->text() == text, "string");
      return;
    }
    case Kind::kNumber:
      require(value.is_number(), "number");
      if (const auto integer = view.integer()) {
        // "-0" is no integer for one of them.
        require(*integer == 0 || value.get<std::int64_t>() == *integer, "integer");
      }
      return;
    case Kind::kArray:
    case Kind::kObject: break;
  }
  require(view.is_object() == value.is_object() && view.is_object() != value.is_array(), "kind");
  require(view.children().size() == value.size(), "size");
  for (std::size_t i = 0; i < value.size(); ++i) {
    const JsonMember& child = view.children()[i];
    if (view.is_object()) {
      require(value.contains(child.name) && view.find(child.name) == &child.value, "member");
      require_same(child.value, value.at(child.name));
    } else {
      require_same(child.value, value.at(i));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(std::as_bytes(std::span(data, size)));
  try {
    const JsonView view = JsonView::parse(text, kMaxBytes);
    require_same(view, parse_strict_json(text, kMaxBytes));
  } catch (const FormatError&) {
  }
  try {
    (void)parse_strict_json(text, kMaxBytes);
  } catch (const FormatError&) {
  }
  return 0;
}
