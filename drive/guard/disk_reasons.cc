#include "drive/guard/disk_reasons.h"

namespace driveprep::guard {

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

DiskReasons::DiskReasons(const DiskCase& disk) : case_(disk), name_(disk.disk.node.string()) {}

void DiskReasons::refuse(std::string code, ErrorKind kind, std::string message,
                         std::string remedy) {
  if (is_acceptable(code) && case_.request.accepted.contains(code)) return;
  verdict_.reasons.push_back({std::move(code), kind, std::move(message), std::move(remedy)});
}

void DiskReasons::refuse(std::string code, std::string message, std::string remedy) {
  refuse(std::move(code), ErrorKind::kRefused, std::move(message), std::move(remedy));
}

std::string DiskReasons::accepting(std::string_view code) const {
  return "--accept " + std::string(code) + ":" + case_.request.drive_id;
}

void DiskReasons::unknown(const char* what, const std::string& why_not) {
  refuse("disk-fact-unreadable",
         "cannot tell " + std::string(what) + " of " + name_ + ": " + why_not,
         "Remove the cause, then run the same command again.");
}

}  // namespace driveprep::guard
