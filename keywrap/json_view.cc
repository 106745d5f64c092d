#include "keywrap/json_view.h"

#include <algorithm>
#include <charconv>

#include "base/ascii.h"

namespace driveprep::keywrap {
namespace {

constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxValues = 16384;

// The four digits behind "\u"; they have been checked.
std::uint32_t code_unit(std::string_view digits) {
  std::uint32_t unit = 0;
  std::from_chars(digits.data(), digits.data() + 4, unit, 16);
  return unit;
}

constexpr bool is_high_surrogate(std::uint32_t unit) { return unit >= 0xD800 && unit < 0xDC00; }
constexpr bool is_low_surrogate(std::uint32_t unit) { return unit >= 0xDC00 && unit < 0xE000; }

template <typename Put>
void put_utf8(std::uint32_t point, Put put) {
  const auto byte = [&](std::uint32_t value) { put(static_cast<char>(value)); };
  if (point < 0x80) return byte(point);
  if (point < 0x800) {
    byte(0xC0 | point >> 6);
  } else if (point < 0x10000) {
    byte(0xE0 | point >> 12);
    byte(0x80 | (point >> 6 & 0x3F));
  } else {
    byte(0xF0 | point >> 18);
    byte(0x80 | (point >> 12 & 0x3F));
    byte(0x80 | (point >> 6 & 0x3F));
  }
  byte(0x80 | (point & 0x3F));
}

// Gives the characters of a string that has been parsed, without its escapes.
template <typename Put>
void unescape(std::string_view raw, Put put) {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      put(raw[i]);
      continue;
    }
    switch (const char c = raw[++i]) {
      case 'b': put('\b'); break;
      case 'f': put('\f'); break;
      case 'n': put('\n'); break;
      case 'r': put('\r'); break;
      case 't': put('\t'); break;
      case 'u': {
        std::uint32_t point = code_unit(raw.substr(i + 1));
        i += 4;
        if (is_high_surrogate(point)) {
          point = 0x10000 + ((point - 0xD800) << 10) + (code_unit(raw.substr(i + 3)) - 0xDC00);
          i += 6;
        }
        put_utf8(point, put);
        break;
      }
      default: put(c);
    }
  }
}

// The length of the well-formed UTF-8 sequence at the front; 0 when there is none.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto continues = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      if ((at(i) & 0xC0) != 0x80) return false;
    }
    return true;
  };
  const unsigned lead = at(0);
  const unsigned next = at(1);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return continues(1, 2) ? 2 : 0;
  if (lead >= 0xE0 && lead < 0xF0) {
    const bool shortest = lead != 0xE0 || next >= 0xA0;
    const bool surrogate = lead == 0xED && next >= 0xA0;
    return shortest && !surrogate && continues(1, 3) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead < 0xF5) {
    const bool in_range = (lead != 0xF0 || next >= 0x90) && (lead != 0xF4 || next < 0x90);
    return in_range && continues(1, 4) ? 4 : 0;
  }
  return 0;
}

}  // namespace

class JsonViewParser {
 public:
  explicit JsonViewParser(std::string_view text) : rest_(text) {}

  JsonView document() {
    JsonView value = this->value(0);
    skip_space();
    if (!rest_.empty()) fail();
    return value;
  }

 private:
  [[noreturn]] static void fail() { throw FormatError("it is not valid JSON"); }

  void skip_space() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
  }

  bool accept(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail();
  }

  JsonView value(int depth) {
    if (++values_ > kMaxValues) throw FormatError("it has too many values");
    skip_space();
    if (rest_.empty()) fail();
    JsonView value;
    switch (rest_.front()) {
      case '{':
      case '[':
        if (depth == kMaxDepth) throw FormatError("it is nested too deeply");
        children(value, depth + 1);
        break;
      case '"':
        value.kind_ = JsonView::Kind::kString;
        value.raw_ = quoted();
        break;
      case 't': literal(value, "true", JsonView::Kind::kBoolean); break;
      case 'f': literal(value, "false", JsonView::Kind::kBoolean); break;
      case 'n': literal(value, "null", JsonView::Kind::kNull); break;
      default: number(value);
    }
    return value;
  }

  void children(JsonView& value, int depth) {
    const bool object = rest_.front() == '{';
    const char end = object ? '}' : ']';
    rest_.remove_prefix(1);
    value.kind_ = object ? JsonView::Kind::kObject : JsonView::Kind::kArray;
    if (accept(end)) return;
    do {
      JsonMember member{"", JsonView()};
      if (object) {
        skip_space();
        unescape(quoted(), [&](char c) { member.name.push_back(c); });
        expect(':');
      }
      member.value = this->value(depth);
      value.children_.push_back(std::move(member));
    } while (accept(','));
    expect(end);
    if (object) require_distinct(value.children_);
  }

  static void require_distinct(const std::vector<JsonMember>& members) {
    std::vector<std::string_view> names;
    for (const JsonMember& member : members) names.push_back(member.name);
    std::ranges::sort(names);
    if (std::ranges::adjacent_find(names) != names.end()) {
      throw FormatError("a member comes twice in one object");
    }
  }

  // What is between the quotes; the escapes in it are well-formed.
  std::string_view quoted() {
    if (!rest_.starts_with('"')) fail();
    std::size_t at = 1;
    while (at < rest_.size() && rest_[at] != '"') at += character(at);
    if (at >= rest_.size()) fail();
    const std::string_view raw = rest_.substr(1, at - 1);
    rest_.remove_prefix(at + 1);
    return raw;
  }

  // The length of the character or escape there.
  std::size_t character(std::size_t at) {
    const char c = rest_[at];
    if (c == '\\') return escape(at);
    if (c >= 0 && c < 0x20) fail();
    const std::size_t length = utf8_length(rest_.substr(at));
    if (length == 0) throw FormatError("it is not valid UTF-8");
    return length;
  }

  std::size_t escape(std::size_t at) {
    const char kind = at + 1 < rest_.size() ? rest_[at + 1] : '\0';
    if (kind != 'u') {
      if (std::string_view("\"\\/bfnrt").find(kind) == std::string_view::npos) fail();
      return 2;
    }
    const std::uint32_t unit = unicode_escape(at);
    if (is_low_surrogate(unit)) throw FormatError("half of a surrogate pair");
    if (!is_high_surrogate(unit)) return 6;
    if (rest_.substr(std::min(at + 6, rest_.size()), 2) != "\\u" ||
        !is_low_surrogate(unicode_escape(at + 6))) {
      throw FormatError("half of a surrogate pair");
    }
    return 12;
  }

  std::uint32_t unicode_escape(std::size_t at) {
    const std::string_view digits = rest_.substr(std::min(at + 2, rest_.size()), 4);
    const bool hex = std::ranges::all_of(digits, [](char c) {
      return ascii::is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    });
    if (digits.size() != 4 || !hex) fail();
    return code_unit(digits);
  }

  void literal(JsonView& value, std::string_view word, JsonView::Kind kind) {
    if (!rest_.starts_with(word)) fail();
    value.kind_ = kind;
    value.raw_ = rest_.substr(0, word.size());
    rest_.remove_prefix(word.size());
  }

  std::size_t digits(std::size_t at) const {
    std::size_t end = at;
    while (end < rest_.size() && ascii::is_digit(rest_[end])) ++end;
    if (end == at) fail();
    return end;
  }

  void number(JsonView& value) {
    const auto at = [&](std::size_t i) { return i < rest_.size() ? rest_[i] : '\0'; };
    const std::size_t start = at(0) == '-' ? 1 : 0;
    std::size_t end = digits(start);
    if (at(start) == '0' && end > start + 1) fail();
    if (at(end) == '.') end = digits(end + 1);
    if (at(end) == 'e' || at(end) == 'E') {
      ++end;
      if (at(end) == '+' || at(end) == '-') ++end;
      end = digits(end);
    }
    value.kind_ = JsonView::Kind::kNumber;
    value.raw_ = rest_.substr(0, end);
    rest_.remove_prefix(end);
  }

  std::string_view rest_;
  std::size_t values_ = 0;
};

JsonView JsonView::parse(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes) {
    throw FormatError("it has " + std::to_string(text.size()) + " bytes, more than " +
                      std::to_string(max_bytes));
  }
  return JsonViewParser(text).document();
}

const JsonView* JsonView::find(std::string_view name) const {
  if (!is_object()) return nullptr;
  const auto found = std::ranges::find(children_, name, &JsonMember::name);
  return found == children_.end() ? nullptr : &found->value;
}

std::optional<std::string> JsonView::text() const {
  if (!is_string()) return std::nullopt;
  std::string text;
  text.reserve(raw_.size());
  unescape(raw_, [&](char c) { text.push_back(c); });
  return text;
}

std::optional<SecretBytes> JsonView::secret() const {
  if (!is_string()) return std::nullopt;
  SecretBytes secret(raw_.size());  // an escape is longer than what it stands for
  std::size_t size = 0;
  unescape(raw_, [&](char c) { secret.span()[size++] = static_cast<std::byte>(c); });
  secret.truncate(size);
  return secret;
}

std::optional<std::int64_t> JsonView::integer() const {
  std::int64_t value = 0;
  const char* end = raw_.data() + raw_.size();
  if (kind_ != Kind::kNumber) return std::nullopt;
  const auto [stop, status] = std::from_chars(raw_.data(), end, value);
  return status == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

std::optional<bool> JsonView::boolean() const {
  return kind_ == Kind::kBoolean ? std::optional(raw_ == "true") : std::nullopt;
}

}  // namespace driveprep::keywrap
