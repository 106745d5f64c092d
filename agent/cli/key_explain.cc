#include "agent/cli/key_commands.h"

#include <algorithm>
#include <map>

#include "agent/cli/output.h"
#include "agent/cli/own_key_codes.h"
#include "base/nearest_word.h"
#include "keywrap/condition.h"

namespace driveprep::cli {
namespace {

using keywrap::Condition;

// The conditions behind a code or the name of a condition, with the services that call them so.
using Meanings = std::map<Condition, std::vector<keywrap::Profile>>;

Meanings meanings_of(const std::string& code) {
  Meanings meanings;
  for (const Condition condition : keywrap::all_conditions()) {
    for (const keywrap::Profile profile : keywrap::kProfiles) {
      const std::string_view called = keywrap::code_of(condition, profile);
      if (called == code || keywrap::to_string(condition) == code) {
        meanings[condition].push_back(profile);
      }
    }
  }
  return meanings;
}

const OwnKeyCode* own_code(const std::string& code) {
  const auto found = std::ranges::find(own_key_codes(), code, &OwnKeyCode::code);
  return found == own_key_codes().end() ? nullptr : &*found;
}

[[noreturn]] void unknown(const std::string& code) {
  std::vector<std::string> codes;
  for (const OwnKeyCode& own : own_key_codes()) codes.emplace_back(own.code);
  for (const Condition condition : keywrap::all_conditions()) {
    codes.emplace_back(keywrap::to_string(condition));
    for (const keywrap::Profile profile : keywrap::kProfiles) {
      codes.emplace_back(keywrap::code_of(condition, profile));
    }
  }
  const auto near = nearest_word(code, codes);
  throw Error(ErrorKind::kUsage, "code-unknown", "no error about a key has the code " + code,
              near ? "Did you mean " + *near + "?"
                   : "docs/exit-codes.md lists the codes of all other errors.");
}

std::string services(const std::vector<keywrap::Profile>& profiles) {
  if (profiles.size() == keywrap::kProfiles.size()) return "every service";
  std::string text;
  for (const keywrap::Profile profile : profiles) {
    text += (text.empty() ? "" : ", ") + std::string(keywrap::to_string(profile));
  }
  return text;
}

void explain_own(const OwnKeyCode& own, bool json) {
  if (json) {
    print_json({{"schema", 1},
                {"code", own.code},
                {"meanings", {{{"cause", own.cause}, {"remedy", own.remedy}}}}});
    return;
  }
  print(std::string(own.code) + "\n\n  " + std::string(own.cause) +
        "\n  what to do: " + std::string(own.remedy));
}

nlohmann::ordered_json json_of(Condition condition, const std::vector<keywrap::Profile>& profiles) {
  nlohmann::ordered_json names = nlohmann::ordered_json::array();
  nlohmann::ordered_json codes = nlohmann::ordered_json::object();
  for (const keywrap::Profile profile : profiles) names.push_back(keywrap::to_string(profile));
  for (const keywrap::Profile profile : keywrap::kProfiles) {
    codes[std::string(keywrap::to_string(profile))] = keywrap::code_of(condition, profile);
  }
  return {{"condition", keywrap::to_string(condition)},
          {"services", std::move(names)},
          {"codes", std::move(codes)},
          {"cause", keywrap::cause_of(condition)},
          {"recoverable", keywrap::is_recoverable(condition)},
          {"retryable", keywrap::is_retryable(condition)},
          {"remedy", keywrap::remedy_of(condition)}};
}

std::string text_of(Condition condition, const std::vector<keywrap::Profile>& profiles) {
  return "\n\n" + std::string(keywrap::to_string(condition)) + "  (" + services(profiles) +
         ")\n  " + std::string(keywrap::cause_of(condition)) +
         "\n  what to do: " + std::string(keywrap::remedy_of(condition)) + "\n  " +
         (keywrap::is_retryable(condition)     ? "May pass by itself."
          : keywrap::is_recoverable(condition) ? "Can be mended; nothing is lost yet."
                                               : "Nothing in the vault mends it by itself.");
}

}  // namespace

int run_key_explain(const KeyExplainOptions& options) {
  if (const OwnKeyCode* own = own_code(options.code)) {
    explain_own(*own, options.json);
    return 0;
  }
  // Older names are read, and never printed.
  const std::string code(keywrap::current_name(options.code));
  const Meanings meanings = meanings_of(code);
  if (meanings.empty()) unknown(options.code);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  std::string text;
  for (const auto& [condition, profiles] : meanings) {
    list.push_back(json_of(condition, profiles));
    text += text_of(condition, profiles);
  }
  if (options.json) {
    print_json({{"schema", 1}, {"code", code}, {"meanings", std::move(list)}});
  } else {
    print(code + text);
  }
  return 0;
}

}  // namespace driveprep::cli
