#include "keywrap/payload.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <string>

#include "base/encoding.h"
#include "base/error.h"
#include "keywrap/json_view.h"
#include "keywrap/recovery_password.h"
#include "keywrap/secret_json.h"

namespace driveprep::keywrap {
namespace {

constexpr int kFormatVersion = 1;
constexpr std::size_t kLongestText = 1024;
constexpr std::size_t kLongestMetadata = 128 * 1024;
// Of a customer's secret in base64url; text whose escapes need more is written so, too.
constexpr std::size_t kLongestEncoded = (kLongestSecret * 4 + 2) / 3;
constexpr std::string_view kEncoding = "base64url";
constexpr std::size_t kMaxPayloadBytes = kLongestMetadata + 3072;

struct Facts {
  Purpose purpose;
  std::string_view name;
  std::string_view kind;
  bool customers;
  std::size_t longest;
};

constexpr std::array kPurposes = {
    Facts{Purpose::kRecoveryPassword, "bitlocker-recovery-password", "recovery-password", false,
          kLongestText},
    Facts{Purpose::kVolumeKey, "bitlocker-volume-key", "volume-key", false, kLongestText},
    Facts{Purpose::kVolumeMetadata, "bitlocker-volume-metadata", "volume-metadata", false,
          kLongestMetadata},
    Facts{Purpose::kDeviceUnlockKey, "databox-device-unlock-key", "device-unlock-key", true,
          kLongestText},
    Facts{Purpose::kSecret, "secret", "secret", true, kLongestEncoded},
};

const Facts& facts_of(Purpose purpose) {
  const auto found = std::ranges::find(kPurposes, purpose, &Facts::purpose);
  require(found != kPurposes.end(), "an envelope without a purpose");
  return *found;
}

enum class LineEnds { kAllowed, kRefused };

// Whatever reads JSON reads the text, and no copy of it is left anywhere.
bool is_utf8(std::string_view text) {
  const SecretBytes quoted = SecretJsonWriter().string(text).finish();
  try {
    JsonView::parse(quoted.text(), quoted.size());
    return true;
  } catch (const FormatError&) {
    return false;
  }
}

bool is_readable(std::string_view text, LineEnds line_ends) {
  const auto refused = [&](char c) {
    const bool blank = c == '\t' || c == '\n' || c == '\r';
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    return control && !(blank && line_ends == LineEnds::kAllowed);
  };
  return std::ranges::none_of(text, refused) && is_utf8(text);
}

bool is_plain_ascii(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return c >= 0x20 && c <= 0x7E && c != '"' && c != '\\'; });
}

// As SecretJsonWriter writes it.
std::size_t escaped_length(std::string_view text) {
  std::size_t length = 0;
  for (const char& c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20;
    length += control ? 6 : c == '"' || c == '\\' ? 2 : 1;
  }
  return length;
}

bool fits(std::string_view value, const Facts& facts) {
  switch (facts.purpose) {
    case Purpose::kRecoveryPassword: return is_recovery_password(value);
    case Purpose::kSecret: return !value.empty() && value.size() <= kLongestSecret;
    case Purpose::kDeviceUnlockKey:
      return !value.empty() && value.size() <= facts.longest &&
             is_readable(value, LineEnds::kRefused);
    default: return !value.empty() && value.size() <= facts.longest && is_plain_ascii(value);
  }
}

bool goes_encoded(const SecretBytes& value, const Facts& facts) {
  return facts.purpose == Purpose::kSecret &&
         (!is_text(value) || escaped_length(value.text()) > facts.longest);
}

std::optional<FileTime> parse_time(const std::string& text) {
  std::tm parts{};
  if (strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == nullptr) return std::nullopt;
  const FileTime time = FileTime::from_timespec({timegm(&parts), 0});
  // strptime is lenient about blanks, digits and what follows.
  return time.iso8601() == text ? std::optional(time) : std::nullopt;
}

std::string text_of(const JsonView& object, std::string_view name) {
  const JsonView* member = object.find(name);
  return member == nullptr ? "" : member->text().value_or("");
}

}  // namespace

std::string_view to_string(Purpose purpose) { return facts_of(purpose).name; }

std::optional<Purpose> purpose_from(std::string_view text) {
  const auto found = std::ranges::find(kPurposes, text, &Facts::name);
  return found == kPurposes.end() ? std::nullopt : std::optional(found->purpose);
}

bool is_customers_secret(Purpose purpose) { return facts_of(purpose).customers; }
std::size_t longest_value(Purpose purpose) { return facts_of(purpose).longest; }

void check_value(const SecretBytes& value, Purpose purpose) {
  const Facts& facts = facts_of(purpose);
  if (fits(value.text(), facts)) return;
  if (purpose == Purpose::kSecret) {
    throw Error(ErrorKind::kKey, "envelope-value-invalid",
                value.empty()
                    ? std::string("the secret is empty")
                    : "the secret is longer than " + std::to_string(kLongestSecret) + " bytes",
                "Give 1 to " + std::to_string(kLongestSecret) +
                    " bytes; of more, wrap the key that encrypts it.");
  }
  if (facts.customers) {
    throw Error(ErrorKind::kKey, "envelope-value-invalid",
                "the unlock key is empty, longer than " + std::to_string(facts.longest) +
                    " bytes, or no text of one line",
                "Give the unlock key as the service shows it, in one line; --purpose secret takes "
                "anything.");
  }
  throw Error(ErrorKind::kKey, "envelope-value-invalid",
              "the value to seal is not a valid " + std::string(facts.kind),
              "Make the drive again: its secret cannot be right.");
}

bool is_text(const SecretBytes& value) { return is_readable(value.text(), LineEnds::kAllowed); }

SecretBytes payload_json(const Payload& payload, Purpose purpose) {
  const Facts& facts = facts_of(purpose);
  SecretJsonWriter writer;
  writer.begin_object();
  writer.key("v").integer(kFormatVersion);
  writer.member("kind", facts.kind);
  if (goes_encoded(payload.value, facts)) {
    writer.member("value", secret_base64url(payload.value.span()).text());
    writer.member("encoding", kEncoding);
  } else {
    writer.member("value", payload.value.text());
  }
  if (!facts.customers) writer.member("protectorId", payload.protector_id.lower());
  writer.member("created", payload.created.iso8601());
  return writer.end_object().finish();
}

std::optional<Payload> parse_payload(const SecretBytes& text, Purpose purpose) {
  const Facts& facts = facts_of(purpose);
  try {
    const JsonView object = JsonView::parse(text.text(), kMaxPayloadBytes);
    const JsonView* version = object.find("v");
    const JsonView* value = object.find("value");
    if (!version || !value || version->integer() != kFormatVersion) return std::nullopt;
    if (text_of(object, "kind") != facts.kind) return std::nullopt;
    const bool encoded =
        facts.purpose == Purpose::kSecret && text_of(object, "encoding") == kEncoding;
    if (object.children().size() != (facts.customers && !encoded ? 4 : 5)) return std::nullopt;
    auto secret = value->secret();
    if (secret && encoded) secret = secret_from_base64url(secret->text());
    const auto created = parse_time(text_of(object, "created"));
    if (!secret || !created || !fits(secret->text(), facts)) return std::nullopt;
    if (facts.customers) return Payload{std::move(*secret), Guid(), *created};
    const auto id = Guid::parse(text_of(object, "protectorId"));
    if (!id) return std::nullopt;
    return Payload{std::move(*secret), *id, *created};
  } catch (const FormatError&) {
    return std::nullopt;
  }
}

}  // namespace driveprep::keywrap
