#include "agent/cli/record_output.h"

#include <vector>

#include "agent/cli/output.h"
#include "agent/report/sizes.h"

namespace driveprep::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kLongestValue = 400;  // bytes; --json shows all of it

// A record may come from anywhere, and its values may be anything.
std::string value_text(const ordered_json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_unsigned()) return report::human_count(value.get<std::uint64_t>());
  if (!value.is_structured()) return value.dump();
  std::string text;
  for (const auto& [name, element] : value.items()) {
    const std::string shown = value_text(element);
    if (shown.empty()) continue;
    text += (text.empty() ? "" : ", ") + (value.is_object() ? name + " " + shown : shown);
  }
  return text;
}

class Rows {
 public:
  explicit Rows(const ordered_json& record) : record_(record) {}

  std::string at(const char* path) const {
    const ordered_json::json_pointer pointer(path);
    return record_.contains(pointer) ? value_text(record_.at(pointer)) : std::string();
  }

  std::optional<std::uint64_t> number(const char* path) const {
    const ordered_json::json_pointer pointer(path);
    if (!record_.contains(pointer) || !record_.at(pointer).is_number_unsigned()) {
      return std::nullopt;
    }
    return record_.at(pointer).get<std::uint64_t>();
  }

  std::size_t elements(const char* path) const {
    const ordered_json::json_pointer pointer(path);
    return record_.contains(pointer) && record_.at(pointer).is_array() ? record_.at(pointer).size()
                                                                       : 0;
  }

  void add(const std::string& what, std::string value) {
    if (value.empty()) return;
    if (value.size() > kLongestValue) {
      std::size_t end = kLongestValue;
      while (end > 0 && (value[end] & 0xC0) == 0x80) --end;  // between two characters
      value = value.substr(0, end) + "...";
    }
    rows_.push_back({"  " + what, printable_line(value)});
  }

  const ordered_json& record() const { return record_; }
  std::string take() const { return table(rows_); }

 private:
  const ordered_json& record_;
  std::vector<std::vector<std::string>> rows_;
};

// "a (b)", also when one of them is missing.
std::string with_remark(const std::string& text, const std::string& remark) {
  if (remark.empty()) return text;
  return text.empty() ? remark : text + " (" + remark + ")";
}

void add_drive(Rows& rows) {
  const std::string serial = rows.at("/drive/serial");
  rows.add("Drive", serial.empty() ? rows.at("/drive/id")
                                   : with_remark(serial, rows.at("/drive/serial_source")));
  const std::string firmware = rows.at("/drive/firmware");
  rows.add("Model",
           with_remark(rows.at("/drive/model"), firmware.empty() ? "" : "firmware " + firmware));
  rows.add("WWN", rows.at("/drive/wwn"));
  if (const auto bytes = rows.number("/drive/bytes")) {
    rows.add("Size", report::human_bytes(*bytes) + " (" + report::human_count(*bytes) + " bytes)");
  }
  if (const auto hidden = rows.number("/drive/hidden_bytes"); hidden.value_or(0) > 0) {
    rows.add("Not reached",
             report::human_count(*hidden) + " bytes at its end, which the disk hides (HPA)");
  }
  rows.add("Connected by", with_remark(rows.at("/drive/bus"), rows.at("/drive/device")));
  rows.add("Held before", rows.at("/before/description"));
  rows.add("BitLocker volumes", rows.at("/before/bitlocker_volumes"));
}

void add_work(Rows& rows) {
  rows.add("Method", rows.at("/method"));
  if (const std::string destroyed = rows.at("/metadata_destroyed"); !destroyed.empty()) {
    rows.add("Metadata destroyed",
             with_remark(destroyed, report::counted(rows.elements("/destroyed"), "place")));
  }
  rows.add("Metadata gone at", rows.at("/metadata_destroyed_at"));
  if (const auto samples = rows.number("/read_back/samples")) {
    std::string found;
    for (const char* what : {"zero", "other", "unreadable", "failed"}) {
      const std::string count = rows.at((std::string("/read_back/") + what).c_str());
      if (!count.empty()) found += (found.empty() ? ": " : ", ") + count + " " + what;
    }
    rows.add("Read back", report::counted(*samples, "sample") + found);
  }
  rows.add("Health before", rows.at("/health/before"));
  rows.add("Health after", rows.at("/health/after"));
  const std::string result = rows.at("/result");
  const bool open = is_wipe(rows.record()) && result == "begun";
  rows.add("Result", open ? "begun; how it ended is not known" : result);
  rows.add("Warnings", rows.at("/warnings"));
  rows.add("Error", with_remark(rows.at("/error/message"), rows.at("/error/code")));
}

void add_origin(Rows& rows) {
  rows.add("Earlier attempt", rows.at("/earlier_attempt"));
  rows.add("Started", rows.at("/started"));
  rows.add("Ended", rows.at("/ended"));
  const std::string user = rows.at("/user");
  const std::string host = rows.at("/host");
  rows.add("By", user + (user.empty() || host.empty() ? "" : " on ") + host);
  rows.add("Program", rows.at("/program"));
}

std::string heading(const RecordFile& file) {
  if (!file.record) return "NOT good (" + file.error->code() + ")";
  if (file.error && file.error->code() == kUnfinished) {
    return "signature good, but the wipe was NOT finished";
  }
  if (file.error && file.error->code() == kNotWiped) {
    return "signature good, but the drive was NOT wiped";
  }
  return file.error ? "signature good, contents NOT (" + file.error->code() + ")"
                    : "signature good";
}

std::string signer_text(const RecordFile& file) {
  const std::string whose = file.signer == Signer::kOwn ? "this machine's key"
                            : file.demanded             ? "the key of --key"
                                                        : "another key";
  return whose + " (kid " + file.record->key.kid() + ")";
}

}  // namespace

bool is_wipe(const ordered_json& record) {
  const auto kind = record.find("kind");
  return kind != record.end() && *kind == "wipe";
}

std::string record_text(const RecordFile& file) {
  const std::string first = printable_line(file.path) + ": " + heading(file);
  if (!file.record) return first;
  Rows rows(file.record->record);
  const std::string kind = rows.at("/kind");
  rows.add("Record", is_wipe(file.record->record)
                         ? kind
                         : with_remark(kind, "not known here: only its signature was checked"));
  add_drive(rows);
  add_work(rows);
  add_origin(rows);
  rows.add("Signed by", signer_text(file));
  return first + "\n" + rows.take();
}

ordered_json record_json(const RecordFile& file) {
  ordered_json entry = {{"file", file.path},  {"good", !file.error}, {"kid", nullptr},
                        {"own_key", nullptr}, {"jwk", nullptr},      {"record", nullptr},
                        {"error", nullptr}};
  if (file.record) {
    entry["kid"] = file.record->key.kid();
    entry["own_key"] = file.signer == Signer::kOwn;
    entry["jwk"] = file.record->key.jwk();
    entry["record"] = file.record->record;
  }
  if (file.error) entry["error"] = error_json(*file.error);
  return entry;
}

}  // namespace driveprep::cli
