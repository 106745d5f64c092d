#include "agent/cli/key_commands.h"

#include <algorithm>
#include <map>

#include "agent/cli/output.h"
#include "base/nearest_word.h"
#include "keywrap/condition.h"

namespace driveprep::cli {
namespace {

using keywrap::Condition;

// The conditions behind a code or the name of a condition, with the services that call them so.
using Meanings = std::map<Condition, std::vector<keywrap::Profile>>;

Meanings meanings_of(const std::string& code) {
  Meanings meanings;
  // An older name of a code leads to the newer one; only the article of Import/Export had such.
  const std::string_view newer =
      keywrap::is_older_name(code)
          ? keywrap::code_of(*keywrap::condition_of(code), keywrap::Profile::kImportExport)
          : std::string_view(code);
  for (const Condition condition : keywrap::all_conditions()) {
    for (const keywrap::Profile profile : keywrap::kProfiles) {
      const std::string_view called = keywrap::code_of(condition, profile);
      if (called == newer || keywrap::to_string(condition) == code) {
        meanings[condition].push_back(profile);
      }
    }
  }
  return meanings;
}

[[noreturn]] void unknown(const std::string& code) {
  std::vector<std::string> codes;
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

}  // namespace

int run_key_explain(const KeyExplainOptions& options) {
  const Meanings meanings = meanings_of(options.code);
  if (meanings.empty()) unknown(options.code);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  std::string text;
  for (const auto& [condition, profiles] : meanings) {
    nlohmann::ordered_json names = nlohmann::ordered_json::array();
    nlohmann::ordered_json codes = nlohmann::ordered_json::object();
    for (const keywrap::Profile profile : profiles) names.push_back(keywrap::to_string(profile));
    for (const keywrap::Profile profile : keywrap::kProfiles) {
      codes[std::string(keywrap::to_string(profile))] = keywrap::code_of(condition, profile);
    }
    list.push_back({{"condition", keywrap::to_string(condition)},
                    {"services", std::move(names)},
                    {"codes", std::move(codes)},
                    {"cause", keywrap::cause_of(condition)},
                    {"recoverable", keywrap::is_recoverable(condition)},
                    {"retryable", keywrap::is_retryable(condition)},
                    {"remedy", keywrap::remedy_of(condition)}});
    text += "\n\n" + std::string(keywrap::to_string(condition)) + "  (" + services(profiles) +
            ")\n  " + std::string(keywrap::cause_of(condition)) +
            "\n  what to do: " + std::string(keywrap::remedy_of(condition)) + "\n  " +
            (keywrap::is_retryable(condition)     ? "May pass by itself."
             : keywrap::is_recoverable(condition) ? "Can be mended; nothing is lost yet."
                                                  : "Cannot be mended in the vault.");
  }
  if (options.json) {
    print_json({{"schema", 1}, {"code", options.code}, {"meanings", std::move(list)}});
  } else {
    print(options.code + text);
  }
  return 0;
}

}  // namespace driveprep::cli
