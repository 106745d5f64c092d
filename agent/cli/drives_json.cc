#include "agent/cli/drives_output.h"
#include "agent/prepare/drive_health.h"

namespace driveprep::cli {
namespace {

using guard::SurveyedDisk;
using inventory::DiskFacts;
using inventory::DriveIdentity;
using inventory::Fact;

template <typename T>
nlohmann::ordered_json json_of(const Fact<T>& fact) {
  if (!fact.known()) return {{"unknown", fact.why_not()}};
  return fact.value();
}

nlohmann::ordered_json json_of(const std::vector<inventory::Statement>& statements) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const inventory::Statement& each : statements) {
    list.push_back({{"value", each.value}, {"source", to_string(each.source)}});
  }
  return list;
}

nlohmann::ordered_json identity_json(const DiskFacts& facts) {
  if (!facts.reports.known()) return {{"unknown", facts.reports.why_not()}};
  const inventory::IdentityReports& reports = facts.reports.value();
  const DriveIdentity identity = facts.identity();
  nlohmann::ordered_json object = {
      {"trust", to_string(identity.trust)},      {"serial", nullptr},
      {"serials", json_of(reports.serials)},     {"models", json_of(reports.models)},
      {"firmwares", json_of(reports.firmwares)}, {"world_wide_names", json_of(reports.wwns)},
      {"bus", to_string(reports.bus)},           {"bus_path", facts.bus_path}};
  if (identity.serial) object["serial"] = identity.serial->value;
  object["contradiction"] = identity.contradiction;
  object["password_locked"] = reports.password_locked;
  object["native_bytes"] = nullptr;
  if (reports.native_bytes) object["native_bytes"] = *reports.native_bytes;
  object["own_geometry"] = nullptr;
  if (reports.own_geometry) {
    object["own_geometry"] = {{"bytes", reports.own_geometry->bytes},
                              {"logical_sector", reports.own_geometry->logical_sector},
                              {"physical_sector", reports.own_geometry->physical_sector}};
  }
  return object;
}

nlohmann::ordered_json health_json(const Fact<std::optional<inventory::Health>>& fact) {
  if (!fact.known()) return {{"unknown", fact.why_not()}};
  if (!fact.value()) return {{"unknown", "the drive tells nothing of its health"}};
  return prepare::health_json(fact.value());
}

nlohmann::ordered_json handle_json(const Fact<inventory::DiskHandle>& fact) {
  if (!fact.known()) return {{"unknown", fact.why_not()}};
  nlohmann::ordered_json object = {{"number", fact.value().number.to_string()},
                                   {"disk_sequence", nullptr}};
  if (fact.value().sequence) object["disk_sequence"] = *fact.value().sequence;
  return object;
}

// What the kernel says of the disk once it is open.
nlohmann::ordered_json opened_json(const inventory::OpenedFacts& opened) {
  return {{"handle", handle_json(opened.handle)},
          {"bytes", json_of(opened.bytes)},
          {"logical_sector", json_of(opened.logical_sector)},
          {"read_only", json_of(opened.read_only)}};
}

nlohmann::ordered_json uses_json(const Fact<std::vector<inventory::Use>>& fact) {
  if (!fact.known()) return {{"unknown", fact.why_not()}};
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const inventory::Use& use : fact.value()) {
    const char* kind = use.kind == inventory::Use::Kind::kMount  ? "mount"
                       : use.kind == inventory::Use::Kind::kSwap ? "swap"
                                                                 : "holder";
    list.push_back(
        {{"kind", kind}, {"device", use.device}, {"what", use.what}, {"system", use.system}});
  }
  return list;
}

nlohmann::ordered_json contents_json(const Fact<inventory::Signatures>& fact) {
  if (!fact.known()) return {{"unknown", fact.why_not()}};
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const inventory::Signature& each : fact.value().found) {
    list.push_back(
        {{"type", each.type}, {"label", each.label}, {"uuid", each.uuid}, {"offset", each.offset}});
  }
  return {{"description", inventory::describe(fact.value())},
          {"part_of", fact.value().part_of},
          {"signatures", std::move(list)}};
}

nlohmann::ordered_json zones_json(const Fact<inventory::Zones>& fact) {
  if (!fact.known()) return {{"unknown", fact.why_not()}};
  switch (fact.value()) {
    case inventory::Zones::kNone: return "none";
    case inventory::Zones::kHostAware: return "host-aware";
    case inventory::Zones::kHostManaged: break;
  }
  return "host-managed";
}

nlohmann::ordered_json drive_json(const SurveyedDisk& surveyed) {
  const DiskFacts& facts = surveyed.disk.disk;
  nlohmann::ordered_json object = {{"name", facts.name},
                                   {"path", drive_path(facts)},
                                   {"node", facts.node.string()},
                                   {"links", facts.links},
                                   {"handle", handle_json(facts.handle)},
                                   {"whole", json_of(facts.whole)},
                                   {"disk", json_of(facts.disk)},
                                   {"hidden", json_of(facts.hidden)},
                                   {"backing_file", json_of(facts.backing_file)},
                                   {"identity", identity_json(facts)},
                                   {"bytes", json_of(facts.bytes)},
                                   {"logical_sector", json_of(facts.logical_sector)},
                                   {"physical_sector", json_of(facts.physical_sector)},
                                   {"misalignment", json_of(facts.misalignment)},
                                   {"read_only", json_of(facts.read_only)},
                                   {"removable_medium", json_of(facts.removable_medium)},
                                   {"zones", zones_json(facts.zones)},
                                   {"rotational", json_of(facts.rotational)},
                                   {"write_cache", json_of(facts.write_cache)},
                                   {"largest_discard", json_of(facts.largest_discard)},
                                   {"uses", uses_json(facts.uses)},
                                   {"opened", opened_json(facts.opened)},
                                   {"contents", contents_json(facts.opened.signatures)},
                                   {"health", health_json(facts.opened.health)},
                                   {"ready", surveyed.ready()}};
  object["reasons"] = nlohmann::ordered_json::array();
  for (const guard::Reason& reason : surveyed.verdict.reasons) {
    object["reasons"].push_back({{"code", reason.code},
                                 {"exit", static_cast<int>(reason.kind)},
                                 {"message", reason.message},
                                 {"remedy", reason.remedy},
                                 {"acceptable", guard::is_acceptable(reason.code)}});
  }
  object["warnings"] = surveyed.warnings;
  return object;
}

}  // namespace

nlohmann::ordered_json drives_json(const std::vector<SurveyedDisk>& disks) {
  nlohmann::ordered_json document = {{"schema", 1}, {"drives", nlohmann::ordered_json::array()}};
  for (const SurveyedDisk& disk : disks) document["drives"].push_back(drive_json(disk));
  return document;
}

}  // namespace driveprep::cli
