#include "keywrap/pkcs11/pkcs11_uri.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/ascii.h"
#include "base/encoding.h"
#include "keywrap/excerpt.h"
#include "keywrap/key_error.h"
#include "keywrap/shown_uri.h"

namespace driveprep::keywrap::pkcs11 {
namespace {

constexpr std::string_view kScheme = "pkcs11:";
constexpr std::size_t kMaxUriLength = 4096;
// What needs no percent-encoding besides letters and digits: pk11-pchar and pk11-qchar of
// section 2.3.
constexpr std::string_view kUnreserved = "-._~";
constexpr std::string_view kPathMarks = ":[]@!$'()*+,=&";
constexpr std::string_view kQueryMarks = ":[]@!$'()*+,=/?|";

[[noreturn]] void invalid(const std::string& why, std::string remedy = {}) {
  if (remedy.empty()) {
    remedy = "Give pkcs11:token=LABEL;object=KEY with id=%.. for one of several keys (RFC 7512).";
  }
  throw KeyError(Condition::kUriInvalid, "the PKCS#11 URI cannot be used: " + why, {},
                 std::move(remedy));
}

// The attribute's value without percent-encoding.
std::string decode(std::string_view value, std::string_view marks, const std::string& name) {
  std::string text;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (c == '%') {
      const auto byte = from_hex(value.substr(std::min(i + 1, value.size()), 2));
      if (!byte || byte->size() != 1)
        invalid("a '%' in " + name + " has no two hex digits behind it");
      text += static_cast<char>(byte->front());
      i += 2;
    } else if (ascii::is_alphanumeric(c) || kUnreserved.find(c) != std::string_view::npos ||
               marks.find(c) != std::string_view::npos) {
      text += c;
    } else {
      invalid("a character in " + name + " has to be percent-encoded");
    }
  }
  return text;
}

std::string decode_text(std::string_view value, std::string_view marks, const std::string& name) {
  std::string text = decode(value, marks, name);
  if (text.find('\0') != std::string::npos) invalid(name + " has a zero byte in it");
  return text;
}

std::filesystem::path absolute_path(std::string text, const std::string& name) {
  if (text.starts_with('/')) return text;
  invalid(name + " is no absolute path", "Give " + name + " as an absolute path.");
}

// pin-source is a path or a file: URI (section 2.4). What follows "file:" is taken as it is: its
// own percent-encoding would be the second one around it.
std::filesystem::path pin_source_of(std::string text) {
  if (text.starts_with("|")) {
    invalid("its pin-source is a program", "Give the PIN in a file: pin-source=file:/PATH.");
  }
  if (ascii::lower(text.substr(0, 5)) == "file:") {
    text.erase(0, 5);
    if (text.starts_with("//")) {
      text.erase(0, 2);
      if (text.starts_with("localhost/")) text.erase(0, 9);
    }
  }
  return absolute_path(std::move(text), "pin-source");
}

unsigned long number_of(const std::string& text) {
  unsigned long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) invalid("its slot-id is no number");
  return number;
}

struct TextAttribute {
  std::string_view name;
  std::optional<std::string> Pkcs11Uri::*member;
};

constexpr std::array kTexts = {
    TextAttribute{"token", &Pkcs11Uri::token},
    TextAttribute{"manufacturer", &Pkcs11Uri::manufacturer},
    TextAttribute{"serial", &Pkcs11Uri::serial},
    TextAttribute{"model", &Pkcs11Uri::model},
    TextAttribute{"object", &Pkcs11Uri::object},
    TextAttribute{"type", &Pkcs11Uri::type},
    TextAttribute{"slot-description", &Pkcs11Uri::slot_description},
    TextAttribute{"slot-manufacturer", &Pkcs11Uri::slot_manufacturer},
    TextAttribute{"library-manufacturer", &Pkcs11Uri::library_manufacturer},
    TextAttribute{"library-description", &Pkcs11Uri::library_description},
    TextAttribute{"library-version", &Pkcs11Uri::library_version},
};

void set_path_attribute(Pkcs11Uri& uri, const std::string& name, std::string_view value) {
  if (name == "id") {
    const std::string id = decode(value, kPathMarks, name);
    uri.id.emplace(as_bytes(id).begin(), as_bytes(id).end());
    return;
  }
  std::string text = decode_text(value, kPathMarks, name);
  if (name == "slot-id") {
    uri.slot_id = number_of(text);
    return;
  }
  const auto known = std::ranges::find(kTexts, name, &TextAttribute::name);
  if (known == kTexts.end()) invalid("it has an unknown attribute '" + excerpt(name) + "'");
  if (name == "type" && text != "private" && text != "public")
    invalid("its type is not that of a key pair");
  uri.*(known->member) = std::move(text);
}

void set_query_attribute(Pkcs11Uri& uri, const std::string& name, std::string_view value) {
  if (name == "pin-value") {
    invalid(
        "it has the PIN in it (pin-value)",
        "Give the PIN in a file of your own: pin-source=file:/PATH. Change the PIN, which others "
        "may have read.");
  }
  if (name == "module-name") {
    invalid("it names its module by module-name",
            "Give the path of the module: module-path=/PATH.");
  }
  if (name == "module-path") {
    uri.module_path = absolute_path(decode_text(value, kQueryMarks, name), name);
  } else if (name == "pin-source") {
    uri.pin_source = pin_source_of(decode_text(value, kQueryMarks, name));
  } else {
    invalid("it has an unknown attribute '" + excerpt(name) + "'");
  }
}

bool is_name(const std::string& text) {
  constexpr std::size_t kLongest = 40;
  return !text.empty() && text.size() <= kLongest && std::ranges::all_of(text, [](char c) {
    return ascii::is_alphanumeric(c) || c == '-' || c == '_';
  });
}

// Calls `set` with each name and raw value of "a=b;c=d".
template <typename Set>
void for_each_attribute(std::string_view text, char separator, const Set& set) {
  std::set<std::string, std::less<>> seen;
  while (true) {
    const std::size_t end = text.find(separator);
    const std::string_view attribute = text.substr(0, end);
    const std::size_t equals = attribute.find('=');
    if (equals == std::string_view::npos) invalid("an attribute has no '='");
    const std::string name(attribute.substr(0, equals));
    if (!is_name(name)) invalid("'" + excerpt(name) + "' cannot be the name of an attribute");
    if (!seen.insert(name).second) invalid("it has '" + excerpt(name) + "' twice");
    set(name, attribute.substr(equals + 1));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

std::string percent(char c) {
  const std::byte byte{static_cast<unsigned char>(c)};
  return "%" + hex_upper(ByteView(&byte, 1));
}

std::string encode(std::string_view text, std::string_view marks) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = ascii::is_alphanumeric(c) || kUnreserved.find(c) != std::string_view::npos ||
                       marks.find(c) != std::string_view::npos;
    encoded += plain ? std::string(1, c) : percent(c);
  }
  return encoded;
}

}  // namespace

Pkcs11Uri Pkcs11Uri::parse(std::string_view text) {
  if (text.size() > kMaxUriLength) invalid("it has more than 4096 characters");
  if (ascii::lower(text.substr(0, kScheme.size())) != kScheme) {
    invalid("'" + shown_uri(text) + "' does not begin with pkcs11:");
  }
  text.remove_prefix(kScheme.size());
  const std::size_t question = text.find('?');
  Pkcs11Uri uri;
  if (const std::string_view path = text.substr(0, question); !path.empty()) {
    for_each_attribute(path, ';', [&uri](const std::string& name, std::string_view value) {
      set_path_attribute(uri, name, value);
    });
  }
  if (question != std::string_view::npos && question + 1 < text.size()) {
    for_each_attribute(text.substr(question + 1), '&',
                       [&uri](const std::string& name, std::string_view value) {
                         set_query_attribute(uri, name, value);
                       });
  }
  return uri;
}

std::string Pkcs11Uri::to_string() const {
  std::string path;
  const auto add = [&path](std::string_view name, const std::string& encoded) {
    path += (path.empty() ? "" : ";") + std::string(name) + "=" + encoded;
  };
  for (const TextAttribute& text : kTexts) {
    if (this->*(text.member)) add(text.name, encode(*(this->*(text.member)), kPathMarks));
  }
  if (slot_id) add("slot-id", std::to_string(*slot_id));
  if (id) {
    std::string encoded;
    for (const char c : as_text(*id)) encoded += percent(c);
    add("id", encoded);
  }
  std::string query;
  const auto ask = [&query](std::string_view name, const std::string& value) {
    query += (query.empty() ? "?" : "&") + std::string(name) + "=" + encode(value, kQueryMarks);
  };
  if (!module_path.empty()) ask("module-path", module_path.string());
  if (!pin_source.empty()) ask("pin-source", "file://" + pin_source.string());
  return std::string(kScheme) + path + query;
}

}  // namespace driveprep::keywrap::pkcs11
