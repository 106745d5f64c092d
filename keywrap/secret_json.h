// JSON whose text may hold a secret: written into locked memory, never into a string. JsonView
// reads it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/secret_bytes.h"

namespace driveprep::keywrap {

// Writes one document. Members come out in the order of the calls. With `indent` 0 everything is
// on one line. Misuse (a value without its key, an unclosed object) is an internal error.
class SecretJsonWriter {
 public:
  explicit SecretJsonWriter(unsigned indent = 0) : indent_(indent) {}

  SecretJsonWriter& begin_object();
  SecretJsonWriter& end_object();
  SecretJsonWriter& begin_array();
  SecretJsonWriter& end_array();
  SecretJsonWriter& key(std::string_view name);
  // `text` must be valid UTF-8; quotes, backslashes and control characters are escaped.
  SecretJsonWriter& string(std::string_view text);
  SecretJsonWriter& integer(std::int64_t value);
  SecretJsonWriter& boolean(bool value);

  SecretJsonWriter& member(std::string_view name, std::string_view text) {
    return key(name).string(text);
  }

  // The document; the writer is used up.
  SecretBytes finish();

 private:
  SecretJsonWriter& open(char bracket, bool object);
  SecretJsonWriter& close(char bracket, bool object);
  void before_value();
  void line_break();
  void append(std::string_view text);
  void quoted(std::string_view text);

  struct Level {
    bool object;
    bool empty;
  };

  unsigned indent_;
  std::vector<Level> levels_;
  bool after_key_ = false;
  SecretBytes buffer_{256};
  std::size_t size_ = 0;
};

}  // namespace driveprep::keywrap
