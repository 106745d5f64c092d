#include "agent/keys/audit.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "keywrap/key_policy.h"

namespace driveprep::keys {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Others that tell of keys, besides those in the header.
constexpr std::array kKeyEvents = {kKeyAdopted,
                                   kKeyChanged,
                                   kRewrapped,
                                   kDropped,
                                   kSecretWrapped,
                                   kSecretUnwrapped,
                                   kKeyShown,
                                   kEnvelopeOpened,
                                   std::string_view("drive-begun"),
                                   std::string_view("keys-revealed")};

std::string user_name() {
  const passwd* user = ::getpwuid(::getuid());
  return user != nullptr ? user->pw_name : "uid " + std::to_string(::getuid());
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// Never lets a job go back.
constexpr keywrap::Profile kStrictest = keywrap::Profile::kImportExport;
// In JOB/audit-head.json.
constexpr const char* kCustomersKeyMark = "customers-key";

std::optional<keywrap::Profile> recorded_profile(const journal::Journal& journal) {
  std::optional<keywrap::Profile> first;
  std::int64_t next = 1;
  while (true) {
    const std::vector<journal::Event> events = journal.events(next);
    if (events.empty()) return first;
    for (const journal::Event& event : events) {
      if (event.kind != kKeyAdopted && event.kind != kKeyChanged) continue;
      const json details = json::parse(event.details, nullptr, false);
      if (!details.is_object() || !details.value("customers", false)) continue;
      const std::string name = details.value("service", "");
      const auto profile = std::ranges::find(keywrap::kProfiles, name, [](keywrap::Profile p) {
        return std::string(keywrap::to_string(p));
      });
      if (profile == keywrap::kProfiles.end()) return kStrictest;
      if (!keywrap::may_revert(*profile)) return *profile;
      if (!first) first = *profile;
    }
    next = events.back().sequence + 1;
  }
}

}  // namespace

std::string details_text(ordered_json details) {
  details["user"] = user_name();
  details["host"] = host_name();
  return details.dump(-1, ' ', false, json::error_handler_t::replace);
}

void record(journal::Journal& journal, std::string_view kind, std::string_view drive,
            ordered_json details) {
  const bool adopts = kind == kKeyAdopted || kind == kKeyChanged;
  if (adopts && details.value("customers", false)) journal.mark(kCustomersKeyMark);
  journal.add_event(kind, drive, details_text(std::move(details)));
}

bool is_key_event(const journal::Event& event) {
  return std::ranges::find(kKeyEvents, event.kind) != kKeyEvents.end();
}

std::optional<keywrap::Profile> customers_profile(const journal::Journal& journal) {
  using State = journal::ChainCheck::State;
  const journal::ChainCheck chain = journal.check_chain();
  const bool marked = std::ranges::find(chain.marks, kCustomersKeyMark) != chain.marks.end();
  if (chain.state == State::kChanged || chain.state == State::kCutOff || chain.head_unreadable ||
      (chain.state == State::kOlder && marked)) {
    return kStrictest;
  }
  const std::optional<keywrap::Profile> recorded = recorded_profile(journal);
  return recorded || !marked ? recorded : kStrictest;
}

}  // namespace driveprep::keys
