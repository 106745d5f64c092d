#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>

#include "agent/cli/output.h"
#include "agent/cli/record_output.h"
#include "agent/cli/report_command.h"
#include "agent/record/record_key.h"
#include "agent/record/signed_record.h"
#include "agent/record/wipe_consistency.h"
#include "base/posix.h"

namespace driveprep::cli {
namespace {

using record::CheckedRecord;
using record::PublicKey;
using record::RecordKey;

constexpr std::uint64_t kMaxKeyBytes = 64 * 1024;

// To tell one's own records from others. Checking goes on without it.
std::optional<PublicKey> own_key() {
  try {
    const std::optional<RecordKey> key = RecordKey::load();
    return key ? std::optional(key->public_key()) : std::nullopt;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kKey) throw;
    note("driveprep: warning: " + printable(error.what()) +
         "; whether a record is signed by this machine's key cannot be told");
    return std::nullopt;
  }
}

std::optional<PublicKey> demanded_key(const std::string& file) {
  if (file.empty()) return std::nullopt;
  return PublicKey::from_file_text(posix::read_file(file, kMaxKeyBytes, ErrorKind::kUsage), file);
}

void check_wipe(const nlohmann::ordered_json& record, const std::string& path) {
  record::check_wipe_consistency(record, path);
  const std::optional<std::string> result = record::missed_result(record);
  if (!result) return;
  if (*result != "begun") {
    throw Error(ErrorKind::kVerification, kNotWiped,
                path + " says that the wipe " +
                    (*result == "failed" ? "has failed" : "was stopped") +
                    ": the drive may hold something still",
                "Unless a later record says that it was wiped, wipe the drive again: run the same "
                "command. After an error of the medium, destroy the drive.");
  }
  throw Error(ErrorKind::kVerification, kUnfinished,
              path +
                  " says that the wipe was begun, and nothing says how it ended: the drive may "
                  "hold anything still",
              "Unless a later record says that it was wiped, wipe the drive again: run the same "
              "command.");
}

RecordFile check_file(const std::string& path, const std::optional<PublicKey>& own,
                      const std::optional<PublicKey>& demanded) {
  RecordFile file{
      .path = path, .record = {}, .signer = Signer::kOther, .demanded = false, .error = {}};
  try {
    CheckedRecord checked = record::check_record(
        posix::read_file(path, record::kMaxRecordBytes, ErrorKind::kUsage), path);
    if (demanded && checked.key != *demanded) {
      throw Error(ErrorKind::kVerification, "record-key",
                  path + " is signed by the key " + checked.key.kid() + ", not by " +
                      demanded->kid() + ", which was demanded",
                  "Whoever signed it, it was not the owner of that key: do not rely on it.");
    }
    if (own == checked.key) file.signer = Signer::kOwn;
    file.demanded = demanded.has_value();
    file.record = std::move(checked);
    if (is_wipe(file.record->record)) check_wipe(file.record->record, path);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal) throw;
    file.error = error;
  }
  return file;
}

int check_files(const ReportOptions& options) {
  const std::optional<PublicKey> demanded = demanded_key(options.key);
  const std::optional<PublicKey> own = own_key();
  nlohmann::ordered_json document = {{"schema", 1}, {"records", nlohmann::ordered_json::array()}};
  int status = 0;
  for (const std::string& path : options.files) {
    const RecordFile file = check_file(path, own, demanded);
    if (options.json) {
      document["records"].push_back(record_json(file));
    } else {
      print((&path == &options.files.front() ? "" : "\n") + record_text(file));
    }
    if (!file.error) continue;
    print_error(*file.error);
    // A record that lies is worse than a file that is none.
    status = std::max(status, static_cast<int>(file.error->kind()));
  }
  if (options.json) print_json(document);
  return status;
}

int show_public_key(bool json) {
  const std::optional<RecordKey> key = RecordKey::load();
  if (!key) {
    throw Error(ErrorKind::kUsage, "record-key-missing",
                "this user has no key that signs records: " + RecordKey::default_file().string() +
                    " is not there",
                "It is made with the first record; run this as the user who makes them.");
  }
  const PublicKey& shown = key->public_key();
  if (json) {
    print_json({{"schema", 1}, {"kid", shown.kid()}, {"jwk", shown.jwk()}, {"pem", shown.pem()}});
  } else {
    std::string pem = shown.pem();
    pem.pop_back();  // print() adds a line feed
    print(pem);
  }
  return 0;
}

}  // namespace

int run_report(const ReportOptions& options) {
  if (options.public_key) return show_public_key(options.json);
  if (!options.files.empty()) return check_files(options);
  throw Error(ErrorKind::kUsage, "arguments", "report: neither --check nor --public-key is given",
              "driveprep report --help tells what belongs here.");
}

void add_report_command(CLI::App& app, std::function<int()>& command) {
  const auto options = std::make_shared<ReportOptions>();
  CLI::App* report =
      app.add_subcommand("report", "Check the signed records of what was done with drives");
  CLI::Option* check =
      report->add_option("--check", options->files, "Check these records, and tell what they say")
          ->type_name("FILE");
  report
      ->add_option("--key", options->key,
                   "Demand that they are signed by this key: a public key\nas PEM or JWK")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->needs(check);
  report
      ->add_flag("--public-key", options->public_key,
                 "Print the public key with which this user's records\nare signed (PEM)")
      ->excludes(check);
  report->add_flag("--json", options->json, "Result as one JSON document on standard output");
  report->footer(
      "Writes:\n  nothing; the key is made with the first record\n\n"
      "Examples:\n"
      "  driveprep report --check wipe-WD-WX51A1234567.json\n"
      "  driveprep report --check *.json --key workstation-7.pem\n"
      "  driveprep report --public-key > workstation-7.pem");
  report->callback([options, &command] { command = [options] { return run_report(*options); }; });
}

}  // namespace driveprep::cli
