#include "agent/job/job_spec.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "agent/job/json_choices.h"
#include "agent/job/json_object.h"
#include "base/ascii.h"
#include "base/error.h"
#include "base/posix.h"

namespace driveprep::job {
namespace {

using ascii::lower;

constexpr std::uint64_t kMaxJobFileBytes = 1 << 20;

constexpr std::array<Choice<Cipher>, 4> kCiphers = {{{"xts-aes-256", Cipher::kXtsAes256},
                                                     {"xts-aes-128", Cipher::kXtsAes128},
                                                     {"aes-cbc-128", Cipher::kAesCbc128},
                                                     {"aes-cbc-256", Cipher::kAesCbc256}}};

// Both services name jobs; Data Box is the stricter one with 3 to 24 characters.
std::string job_name(JsonObject& job) {
  const std::string name = job.required_text("name");
  const bool fits = std::all_of(name.begin(), name.end(), [](char c) {
    return ascii::is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
  });
  if (!fits || name.size() < 3 || name.size() > 24 || !ascii::is_alphanumeric(name.front()) ||
      !ascii::is_alphanumeric(name.back())) {
    throw job.error("name", "job-value", "is \"" + name + "\"",
                    "Use 3 to 24 letters, digits, '-', '_' and '.', with a letter or digit at "
                    "both ends.");
  }
  return name;
}

std::string session_id(JsonObject& job, const std::string& name) {
  auto session = job.text("session");
  if (!session) {
    session = name;
    std::replace(session->begin(), session->end(), '.', '-');
  }
  if (const auto reason = check_session_id(*session)) {
    throw job.error("session", "session-id", "(\"" + *session + "\") " + *reason,
                    "Use 3 to 30 letters, digits, '_', '-' and '#'.");
  }
  return *session;
}

std::string storage_account(JsonObject& job) {
  const std::string id = job.required_text("storageAccountId");
  std::vector<std::string> parts;
  std::size_t start = 1;
  while (start <= id.size()) {
    const std::size_t end = std::min(id.find('/', start), id.size());
    parts.push_back(id.substr(start, end - start));
    start = end + 1;
  }
  const bool fits =
      id.starts_with('/') && parts.size() == 8 && lower(parts[0]) == "subscriptions" &&
      lower(parts[2]) == "resourcegroups" && lower(parts[4]) == "providers" &&
      (lower(parts[5]) == "microsoft.storage" || lower(parts[5]) == "microsoft.classicstorage") &&
      lower(parts[6]) == "storageaccounts" &&
      std::none_of(parts.begin(), parts.end(), [](const std::string& p) { return p.empty(); });
  if (!fits) {
    throw job.error("storageAccountId", "job-value",
                    "is not the resource id of a storage account: \"" + id + "\"",
                    "Write /subscriptions/.../resourceGroups/.../providers/Microsoft.Storage/"
                    "storageAccounts/....");
  }
  return id;
}

void check_email(const JsonObject& object, const std::string& member, const std::string& email) {
  const std::size_t at = email.find('@');
  if (at == 0 || at == std::string::npos || at + 1 == email.size() ||
      email.find('@', at + 1) != std::string::npos || email.find(' ') != std::string::npos) {
    throw object.error(member, "job-value", "has no e-mail address: \"" + email + "\"",
                       "Write name@example.com.");
  }
}

ReturnAddress return_address(JsonObject& job) {
  JsonObject object = job.required_object("returnAddress");
  ReturnAddress address;
  address.recipient_name = object.required_text("recipientName");
  address.company_name = object.text("companyName").value_or("");
  address.street_address1 = object.required_text("streetAddress1");
  address.street_address2 = object.text("streetAddress2").value_or("");
  address.city = object.required_text("city");
  address.state_or_province = object.text("stateOrProvince").value_or("");
  address.postal_code = object.required_text("postalCode");
  address.country_or_region = object.required_text("countryOrRegion");
  address.phone = object.required_text("phone");
  address.email = object.required_text("email");
  check_email(object, "email", address.email);
  object.finish();
  return address;
}

std::optional<ReturnShipping> return_shipping(JsonObject& job) {
  auto object = job.object("returnShipping");
  if (!object) return std::nullopt;
  ReturnShipping shipping{object->required_text("carrierName"),
                          object->required_text("carrierAccountNumber")};
  object->finish();
  return shipping;
}

Contact contact(JsonObject& job, const ReturnAddress& address) {
  Contact contact{address.recipient_name, address.phone, {address.email}};
  auto object = job.object("contact");
  if (!object) return contact;
  contact.name = object->text("name").value_or(contact.name);
  contact.phone = object->text("phone").value_or(contact.phone);
  if (auto emails = object->texts("emails")) contact.emails = std::move(*emails);
  if (contact.emails.empty()) {
    throw object->error("emails", "job-value", "is empty", "Name one address at least.");
  }
  for (const std::string& email : contact.emails) check_email(*object, "emails", email);
  object->finish();
  return contact;
}

std::map<std::string, std::string> tags(JsonObject& job) {
  std::map<std::string, std::string> result;
  auto object = job.object("tags");
  if (!object) return result;
  for (const auto& [name, value] : object->text_map()) {
    if (name.empty() || name.size() > 512 || value.size() > 256 ||
        name.find_first_of("<>%&\\?/") != std::string::npos) {
      throw object->error(name, "job-value", "is not a tag",
                          "Keep names to 512 characters without < > % & \\ ? / and values to 256.");
    }
    result[name] = value;
  }
  return result;
}

BitLocker bitlocker(JsonObject& job, const std::filesystem::path& directory) {
  BitLocker result;
  auto object = job.object("bitlocker");
  if (!object) return result;
  result.cipher = choose(*object, "cipher", kCiphers, result.cipher);
  result.external_key = object->boolean("externalKey").value_or(false);
  result.password_file = path_member(*object, "passwordFile", directory);
  result.description = object->text("description").value_or("");
  if (result.description.size() > 256) {
    throw object->error("description", "job-value", "has more than 256 bytes", "Shorten it.");
  }
  object->finish();
  return result;
}

SourcePolicy source_policy(JsonObject& job) {
  using Policy = SourcePolicy;
  Policy result;
  auto object = job.object("sources");
  if (!object) return result;
  result.illegal_names = choose(*object, "illegalNames",
                                std::array<Choice<Policy::IllegalNames>, 2>{
                                    {{"substitute", Policy::IllegalNames::kSubstitute},
                                     {"refuse", Policy::IllegalNames::kRefuse}}},
                                result.illegal_names);
  result.symlinks =
      choose(*object, "symlinks",
             std::array<Choice<Policy::Symlinks>, 3>{{{"refuse", Policy::Symlinks::kRefuse},
                                                      {"skip", Policy::Symlinks::kSkip},
                                                      {"follow", Policy::Symlinks::kFollow}}},
             result.symlinks);
  result.specials =
      choose(*object, "specials",
             std::array<Choice<Policy::Specials>, 2>{
                 {{"refuse", Policy::Specials::kRefuse}, {"skip", Policy::Specials::kSkip}}},
             result.specials);
  result.unreadable =
      choose(*object, "unreadable",
             std::array<Choice<Policy::Unreadable>, 3>{{{"report", Policy::Unreadable::kReport},
                                                        {"refuse", Policy::Unreadable::kRefuse},
                                                        {"skip", Policy::Unreadable::kSkip}}},
             result.unreadable);
  object->finish();
  return result;
}

}  // namespace

std::string_view to_string(Cipher cipher) {
  for (const auto& [name, value] : kCiphers) {
    if (value == cipher) return name;
  }
  internal_error("a cipher without a name");
}

std::optional<std::string> check_session_id(std::string_view session) {
  if (session.size() < 3 || session.size() > 30) {
    return "has " + std::to_string(session.size()) + " characters, 3 to 30 are allowed";
  }
  const bool fits = std::all_of(session.begin(), session.end(), [](char c) {
    return ascii::is_alphanumeric(c) || c == '_' || c == '-' || c == '#';
  });
  if (!fits) return "has a character other than letters, digits, '_', '-' and '#'";
  // The session names a directory on the drive, and Windows keeps these names for devices.
  const std::string name = lower(session);
  const bool numbered = name.size() == 4 && (name.starts_with("com") || name.starts_with("lpt")) &&
                        name[3] >= '0' && name[3] <= '9';
  if (numbered || name == "con" || name == "prn" || name == "aux" || name == "nul") {
    return "is a device name of Windows";
  }
  return std::nullopt;
}

JobSpec parse_job_spec(std::string_view text, const std::filesystem::path& file, MemberSet* known) {
  const std::string name = file.string();
  const nlohmann::json document = parse_json_with_comments(text, name);
  const std::filesystem::path directory = std::filesystem::absolute(file).parent_path();
  JsonObject job(document, "", name, known);
  JobSpec spec;
  (void)job.text("$schema");
  spec.name = job_name(job);
  spec.session = session_id(job, spec.name);
  spec.location = job.required_text("location");
  spec.storage_account_id = storage_account(job);
  spec.storage_account_location = job.text("storageAccountLocation").value_or("");
  spec.return_address = return_address(job);
  spec.return_shipping = return_shipping(job);
  spec.contact = contact(job, spec.return_address);
  spec.tags = tags(job);
  spec.diagnostics_path = job.text("diagnosticsPath").value_or(spec.diagnostics_path);
  spec.log_level = choose_text(job, "logLevel", {"Error", "Verbose"}, spec.log_level);
  spec.backup_drive_manifest = job.boolean("backupDriveManifest").value_or(false);
  spec.encryption = parse_encryption(job, directory);
  spec.bitlocker = bitlocker(job, directory);
  spec.sources = source_policy(job);
  job.finish();
  return spec;
}

JobSpec load_job_spec(const std::filesystem::path& file) {
  return parse_job_spec(posix::read_file(file, kMaxJobFileBytes, ErrorKind::kUsage), file);
}

}  // namespace driveprep::job
