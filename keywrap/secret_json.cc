#include "keywrap/secret_json.h"

#include <algorithm>
#include <cstring>

namespace driveprep::keywrap {
namespace {}  // namespace

void SecretJsonWriter::append(std::string_view text) {
  if (buffer_.size() - size_ < text.size()) {
    SecretBytes larger(std::max(buffer_.size() * 2, size_ + text.size()));
    std::memcpy(larger.span().data(), buffer_.span().data(), size_);
    buffer_ = std::move(larger);
  }
  if (!text.empty()) std::memcpy(buffer_.span().data() + size_, text.data(), text.size());
  size_ += text.size();
}

void SecretJsonWriter::line_break() {
  if (indent_ == 0) return;
  append("\n");
  for (std::size_t i = 0; i < levels_.size() * indent_; ++i) append(" ");
}

void SecretJsonWriter::before_value() {
  if (levels_.empty()) {
    require(size_ == 0, "a JSON document has one value");
    return;
  }
  if (levels_.back().object) {
    require(after_key_, "a value in a JSON object needs its key");
    after_key_ = false;
    return;
  }
  if (!levels_.back().empty) append(",");
  levels_.back().empty = false;
  line_break();
}

SecretJsonWriter& SecretJsonWriter::open(char bracket, bool object) {
  before_value();
  append({&bracket, 1});
  levels_.push_back({object, true});
  return *this;
}

SecretJsonWriter& SecretJsonWriter::close(char bracket, bool object) {
  require(!levels_.empty() && levels_.back().object == object && !after_key_,
          "JSON brackets do not match");
  const bool empty = levels_.back().empty;
  levels_.pop_back();
  if (!empty) line_break();
  append({&bracket, 1});
  return *this;
}

SecretJsonWriter& SecretJsonWriter::begin_object() { return open('{', true); }
SecretJsonWriter& SecretJsonWriter::end_object() { return close('}', true); }
SecretJsonWriter& SecretJsonWriter::begin_array() { return open('[', false); }
SecretJsonWriter& SecretJsonWriter::end_array() { return close(']', false); }

SecretJsonWriter& SecretJsonWriter::key(std::string_view name) {
  require(!levels_.empty() && levels_.back().object && !after_key_,
          "a JSON key belongs into an object");
  if (!levels_.back().empty) append(",");
  levels_.back().empty = false;
  line_break();
  quoted(name);
  append(indent_ == 0 ? ":" : ": ");
  after_key_ = true;
  return *this;
}

SecretJsonWriter& SecretJsonWriter::string(std::string_view text) {
  before_value();
  quoted(text);
  return *this;
}

SecretJsonWriter& SecretJsonWriter::integer(std::int64_t value) {
  before_value();
  append(std::to_string(value));
  return *this;
}

SecretJsonWriter& SecretJsonWriter::boolean(bool value) {
  before_value();
  append(value ? "true" : "false");
  return *this;
}

void SecretJsonWriter::quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  append("\"");
  for (const char& c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      append("\\");
      append({&c, 1});
    } else if (code < 0x20) {
      append("\\u00");
      append(kHex.substr(code >> 4, 1));
      append(kHex.substr(code & 15, 1));
    } else {
      append({&c, 1});
    }
  }
  append("\"");
}

SecretBytes SecretJsonWriter::finish() {
  require(levels_.empty() && size_ > 0, "the JSON document is not complete");
  if (indent_ > 0) append("\n");
  buffer_.truncate(size_);
  size_ = 0;
  return std::move(buffer_);
}

}  // namespace driveprep::keywrap
