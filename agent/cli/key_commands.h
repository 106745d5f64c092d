// driveprep key ...: the key that protects a job, and what is under it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/cli/commands.h"

namespace CLI {
class App;
}

namespace driveprep::cli {

// Commands that open an envelope.
struct OpeningOptions : CommonOptions {
  bool allow_rsa_oaep = false;  // as another tool may have wrapped it
};

struct KeyShowOptions : OpeningOptions {
  std::string drive;
};

struct KeyExplainOptions {
  std::string code;
  bool json = false;
};

// Commands that check a key before they use it.
struct KeyUseOptions : CommonOptions {
  unsigned wait_for_access = 0;  // seconds
};

struct KeyCheckOptions : KeyUseOptions {
  std::optional<std::string> key_url;  // the job's without
  std::string profile;                 // empty: the job's
};

struct KeySetOptions : KeyUseOptions {
  std::optional<std::string> key_url;   // the one in job.json without
  std::optional<std::string> identity;  // "system", or the id of a user-assigned one
  bool local = false;                   // back to the local key
  bool allow_region_mismatch = false;
};

struct KeyAuditOptions : CommonOptions {
  std::optional<std::string> head;  // of the chain, kept elsewhere, in hexadecimal digits
};

struct WrapSecretOptions : CommonOptions {
  std::string name;
  std::string purpose = "secret";
  int descriptor = 0;  // the secret is read from here
  bool replace = false;
};

struct UnwrapSecretOptions : OpeningOptions {
  std::string name;
};

int run_key_check(const KeyCheckOptions& options);
int run_key_explain(const KeyExplainOptions& options);
int run_key_set(const KeySetOptions& options);
int run_key_status(const CommonOptions& options);
int run_key_rewrap(const KeyUseOptions& options);
int run_key_show(const KeyShowOptions& options);
int run_key_audit(const KeyAuditOptions& options);
int run_wrap_secret(const WrapSecretOptions& options);
int run_unwrap_secret(const UnwrapSecretOptions& options);

// Adds "key" and its commands; the one that is named is left in `command`.
void add_key_commands(CLI::App& app, std::function<int()>& command);

}  // namespace driveprep::cli
