#include "keywrap/secret_json.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace driveprep::keywrap {
namespace {

constexpr std::size_t kMaxMembers = 32;

}  // namespace

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

namespace {

class FlatReader {
 public:
  explicit FlatReader(std::string_view text) : rest_(text) {}

  std::vector<FlatMember> read() {
    std::vector<FlatMember> members;
    expect('{');
    if (!accept('}')) {
      do {
        if (members.size() == kMaxMembers) throw FormatError("too many JSON members");
        members.push_back(member());
        const auto same = [&](const FlatMember& m) { return m.name == members.back().name; };
        if (std::count_if(members.begin(), members.end(), same) > 1) {
          throw FormatError("a JSON member comes twice");
        }
      } while (accept(','));
      expect('}');
    }
    skip_space();
    if (!rest_.empty()) throw FormatError("text after the JSON object");
    return members;
  }

 private:
  void skip_space() {
    const std::size_t start = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(start == std::string_view::npos ? rest_.size() : start);
  }

  bool accept(char c) {
    skip_space();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!accept(c)) throw FormatError("not a flat JSON object");
  }

  std::string_view quoted() {
    expect('"');
    const std::size_t end = rest_.find('"');
    if (end == std::string_view::npos) throw FormatError("a JSON string does not end");
    const std::string_view text = rest_.substr(0, end);
    for (char c : text) {
      if (c < 0x20 || c > 0x7E || c == '\\') throw FormatError("an unexpected character");
    }
    rest_.remove_prefix(end + 1);
    return text;
  }

  FlatMember member() {
    FlatMember member;
    member.name = quoted();
    expect(':');
    skip_space();
    if (!rest_.empty() && rest_.front() == '"') {
      member.is_string = true;
      member.text = quoted();
      return member;
    }
    const auto [end, status] =
        std::from_chars(rest_.data(), rest_.data() + rest_.size(), member.integer);
    if (status != std::errc()) throw FormatError("a JSON value is neither text nor an integer");
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return member;
  }

  std::string_view rest_;
};

}  // namespace

std::vector<FlatMember> read_flat_object(std::string_view text) { return FlatReader(text).read(); }

}  // namespace driveprep::keywrap
