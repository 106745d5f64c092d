// JSON (RFC 8259) read in place: for answers that hold a token or an unwrapped key.
//
// A view keeps nothing of the text but the names of members: strings and numbers stay where they
// are, still escaped, until one of them is asked for. So the text has to live as long as the view,
// and whoever wipes the text (a SecretBytes does by itself) has wiped all of it. What `secret()`
// gives is in locked memory; what `text()` gives is an ordinary string that nobody wipes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret_bytes.h"

namespace driveprep::keywrap {

struct JsonMember;

class JsonView {
 public:
  enum class Kind { kNull, kBoolean, kNumber, kString, kArray, kObject };

  // Throws FormatError, without quoting the text, for what is not one JSON value of valid UTF-8,
  // for more than `max_bytes`, nesting deeper than 16, more than 16384 values, a member that comes
  // twice in one object and half of a surrogate pair.
  static JsonView parse(std::string_view text, std::size_t max_bytes);

  Kind kind() const { return kind_; }
  bool is_object() const { return kind_ == Kind::kObject; }
  bool is_string() const { return kind_ == Kind::kString; }
  // The value of the member; nullptr when there is none, or this is no object.
  const JsonView* find(std::string_view name) const;
  // Members of an object, or elements of an array (their names are empty), in their order.
  const std::vector<JsonMember>& children() const { return children_; }

  // nullopt when the value is of another kind. Of numbers only those that are written as integers
  // and fit.
  std::optional<std::string> text() const;
  std::optional<SecretBytes> secret() const;
  std::optional<std::int64_t> integer() const;
  std::optional<bool> boolean() const;

 private:
  friend class JsonViewParser;
  JsonView() = default;

  Kind kind_ = Kind::kNull;
  std::string_view raw_;  // of a string without its quotes
  std::vector<JsonMember> children_;
};

struct JsonMember {
  std::string name;
  JsonView value;
};

}  // namespace driveprep::keywrap
