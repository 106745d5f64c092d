#include "agent/cli/drives_output.h"

#include "agent/cli/output.h"
#include "agent/report/sizes.h"

namespace driveprep::cli {
namespace {

using guard::SurveyedDisk;
using inventory::DiskFacts;
using inventory::DriveIdentity;
using inventory::Fact;
using inventory::Health;

constexpr std::size_t kReasonColumn = 19;

std::string serial_text(const DriveIdentity& identity) {
  if (!identity.serial) return "-";
  return identity.serial->value + " (" + std::string(to_string(identity.serial->source)) + ")";
}

// "512", "512e": larger ones inside, "4Kn".
std::string sectors_text(const DiskFacts& facts) {
  if (!facts.logical_sector.known() || !facts.physical_sector.known()) return "?";
  const std::uint32_t logical = facts.logical_sector.value();
  if (logical == 4096) return "4Kn";
  return std::to_string(logical) + (facts.physical_sector.value() > logical ? "e" : "");
}

std::string bus_text(const DiskFacts& facts) {
  if (!facts.reports.known()) return "?";
  return std::string(to_string(facts.reports.value().bus));
}

std::string contents_text(const DiskFacts& facts) {
  if (!facts.opened.signatures.known()) return "?";
  const std::string text = inventory::describe(facts.opened.signatures.value());
  return text.empty() ? "nothing known" : text;
}

std::string health_text(const Fact<std::optional<Health>>& fact) {
  if (!fact.known() || !fact.value()) return "?";
  const Health& health = *fact.value();
  std::string text = health.failing             ? "FAILING"
                     : health.has_bad_sectors() ? "bad sectors"
                     : health.self_assessed     ? "good"
                                                : "no bad sectors";
  if (health.celsius) text += ", " + std::to_string(*health.celsius) + " C";
  return text;
}

std::string readiness(const SurveyedDisk& surveyed) {
  if (surveyed.ready()) return "ready";
  const auto& reasons = surveyed.verdict.reasons;
  std::string text = reasons.front().code;
  if (reasons.size() > 1) text += " and " + std::to_string(reasons.size() - 1) + " more";
  return text;
}

// Facts as lines of two columns.
class Lines {
 public:
  void add(const std::string& name, const std::string& value) {
    text_ +=
        "  " + name + std::string(kReasonColumn - name.size(), ' ') + printable_line(value) + "\n";
  }
  template <typename T, typename Show>
  void add(const std::string& name, const Fact<T>& fact, Show show) {
    add(name, fact.known() ? show(fact.value()) : "not known: " + fact.why_not());
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

const auto kYesNo = [](bool value) { return std::string(value ? "yes" : "no"); };
const auto kNumber = [](auto value) { return std::to_string(value) + " bytes"; };

void add_identity(Lines& lines, const DiskFacts& facts) {
  const DriveIdentity identity = facts.identity();
  lines.add("identity", std::string(to_string(identity.trust)) +
                            (identity.contradiction.empty() ? "" : ": " + identity.contradiction));
  if (!facts.reports.known()) {
    lines.add("serial numbers", "not known: " + facts.reports.why_not());
    return;
  }
  const inventory::IdentityReports& reports = facts.reports.value();
  const auto add = [&](const char* name, const std::vector<inventory::Statement>& statements) {
    for (const inventory::Statement& each : statements) {
      lines.add(name, each.value + " (" + std::string(to_string(each.source)) + ")");
    }
  };
  add("serial number", reports.serials);
  add("model", reports.models);
  add("firmware", reports.firmwares);
  add("world wide name", reports.wwns);
  lines.add("bus", std::string(to_string(reports.bus)) +
                       (facts.bus_path.empty() ? "" : ", " + facts.bus_path));
  if (reports.own_geometry) {
    lines.add("size of its own", std::to_string(reports.own_geometry->bytes) +
                                     " bytes, sectors of " +
                                     std::to_string(reports.own_geometry->logical_sector));
  }
}

void add_health(Lines& lines, const Fact<std::optional<Health>>& fact) {
  lines.add("health", health_text(fact));
  if (!fact.known()) lines.add("", fact.why_not());
  if (!fact.known() || !fact.value()) return;
  const Health& health = *fact.value();
  const auto add = [&](const char* name, const std::optional<std::uint64_t>& value) {
    if (value) lines.add(name, std::to_string(*value));
  };
  add("  reallocated", health.reallocated);
  add("  pending", health.pending);
  add("  uncorrectable", health.uncorrectable);
  add("  cable errors", health.crc_errors);
  add("  hours on", health.hours);
}

std::string use_text(const inventory::Use& use) {
  switch (use.kind) {
    case inventory::Use::Kind::kMount: return use.device + " is mounted at " + use.what;
    case inventory::Use::Kind::kSwap: return use.device + " is swap space";
    case inventory::Use::Kind::kHolder: break;
  }
  return use.device + " is part of " + use.what;
}

}  // namespace

std::string drive_path(const DiskFacts& facts) {
  // The name of the drive in front of those of its world wide name or its port.
  for (const std::string& link : facts.links) {
    if (!link.starts_with("wwn-") && !link.starts_with("nvme-eui."))
      return "/dev/disk/by-id/" + link;
  }
  return facts.links.empty() ? facts.node.string() : "/dev/disk/by-id/" + facts.links.front();
}

std::string drives_table(const std::vector<SurveyedDisk>& disks) {
  std::vector<std::vector<std::string>> rows = {
      {"DRIVE", "MODEL", "SERIAL NUMBER", "SIZE", "SECTORS", "BUS", "CONTENTS", "HEALTH", "READY"}};
  for (const SurveyedDisk& surveyed : disks) {
    const DiskFacts& facts = surveyed.disk.disk;
    const DriveIdentity identity = facts.identity();
    rows.push_back({drive_path(facts), identity.model ? identity.model->value : "-",
                    serial_text(identity),
                    facts.bytes.known() ? report::human_bytes(facts.bytes.value()) : "?",
                    sectors_text(facts), bus_text(facts), printable_line(contents_text(facts)),
                    health_text(facts.opened.health), readiness(surveyed)});
  }
  return table(rows);
}

std::string explained(const SurveyedDisk& surveyed) {
  const DiskFacts& facts = surveyed.disk.disk;
  Lines lines;
  for (const std::string& link : facts.links) lines.add("also called", "/dev/disk/by-id/" + link);
  add_identity(lines, facts);
  lines.add("size", facts.bytes, [](std::uint64_t bytes) {
    return std::to_string(bytes) + " bytes (" + report::human_bytes(bytes) + ")";
  });
  lines.add("logical sector", facts.logical_sector, kNumber);
  lines.add("physical sector", facts.physical_sector, kNumber);
  lines.add("misaligned by", facts.misalignment, kNumber);
  lines.add("read only", facts.read_only, kYesNo);
  lines.add("removable medium", facts.removable_medium, kYesNo);
  lines.add("rotating", facts.rotational, kYesNo);
  lines.add("write cache", facts.write_cache, [](const std::string& text) { return text; });
  lines.add("contents", contents_text(facts));
  if (facts.uses.known()) {
    for (const inventory::Use& use : facts.uses.value()) lines.add("in use", use_text(use));
  }
  add_health(lines, facts.opened.health);

  std::string text = facts.node.string() + "\n" + lines.take() + "\n";
  for (const std::string& warning : surveyed.warnings) {
    text += "warning: " + printable_line(warning) + "\n";
  }
  if (surveyed.ready()) return text + "Nothing speaks against it.";
  text += "It cannot be used as it is:";
  for (const guard::Reason& reason : surveyed.verdict.reasons) {
    text += "\n  " + printable_line(reason.message) + " (" + reason.code + ")";
    text += "\n    what to do: " + printable_line(reason.remedy);
  }
  return text;
}

}  // namespace driveprep::cli
