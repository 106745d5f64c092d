#include "agent/cli/test_output.h"

#include "agent/cli/output.h"
#include "agent/intake/conclusion.h"
#include "agent/prepare/drive_health.h"
#include "agent/report/sizes.h"

namespace driveprep::cli {
namespace {

using intake::SampleResult;
using inventory::DiskFacts;
using inventory::Geometry;
using inventory::Health;
using inventory::IdentityReports;

constexpr std::size_t kFactColumn = 15;
constexpr std::size_t kFindingsShown = 10;
constexpr std::uint64_t kLargestOf32Bits = 2 * kTiB;

std::string size_text(std::uint64_t bytes) {
  return report::human_count(bytes) + " bytes (" + report::human_bytes(bytes) + ")";
}

const DiskFacts& facts_of(const TestReport& report) { return report.drive.disk().disk; }

IdentityReports reports_of(const TestReport& report) {
  const DiskFacts& facts = facts_of(report);
  return facts.reports.known() ? facts.reports.value() : IdentityReports();
}

Geometry geometry_of_kernel(const TestReport& report) {
  const auto& physical = facts_of(report).physical_sector;
  const std::uint32_t logical = report.drive.sector().bytes();
  return {report.drive.size(), logical, physical.known() ? physical.value() : logical};
}

bool agrees(const Geometry& own, const Geometry& kernel) {
  return own.bytes == kernel.bytes && own.logical_sector == kernel.logical_sector;
}

double rate(std::uint64_t bytes, std::chrono::duration<double> time) {
  return time.count() > 0 ? static_cast<double>(bytes) / time.count() : 0;
}

std::string rate_text(std::uint64_t bytes, std::chrono::duration<double> time) {
  return report::human_bytes(static_cast<std::uint64_t>(rate(bytes, time))) + "/s";
}

// Whether what lies beyond 2 TiB, or 32 bits of sector numbers, was tried; nullopt: the drive ends
// before.
std::optional<bool> beyond_2_tib(const TestReport& report) {
  if (report.drive.size() <= kLargestOf32Bits) return std::nullopt;
  const SampleResult& sample = report.sample;
  for (std::size_t i = 0; i < sample.states.size(); ++i) {
    const bool read = sample.states[i] == intake::PlaceState::kGood ||
                      sample.states[i] == intake::PlaceState::kWrong;
    if (!read && sample.places.at(i).end() > kLargestOf32Bits) return false;
  }
  return true;
}

std::string serial_text(const TestReport& report) {
  const inventory::DriveIdentity identity = facts_of(report).identity();
  std::string text;
  for (const inventory::Statement& each : reports_of(report).serials) {
    text +=
        (text.empty() ? "" : ", ") + each.value + " (" + std::string(to_string(each.source)) + ")";
  }
  if (text.empty()) return "the drive tells none; it is called " + report.drive.drive_id();
  switch (identity.trust) {
    case inventory::Trust::kStrong:
      return text + (reports_of(report).serials.size() > 1 ? ": they agree" : "");
    case inventory::Trust::kContradictory: return text + ": they do not agree";
    case inventory::Trust::kWeak: return text + ": only the bridge tells it";
    case inventory::Trust::kNone: break;
  }
  return text + ": tells nothing";
}

std::string geometry_text(const TestReport& report) {
  const Geometry kernel = geometry_of_kernel(report);
  const std::string text = "sectors of " + std::to_string(kernel.logical_sector) + " bytes, " +
                           std::to_string(kernel.physical_sector) + " inside; ";
  const std::optional<Geometry> own = reports_of(report).own_geometry;
  if (!own) return text + "IDENTIFY tells nothing to compare with";
  if (agrees(*own, kernel)) return text + "IDENTIFY says the same";
  return text + "IDENTIFY says " + size_text(own->bytes) + " in sectors of " +
         std::to_string(own->logical_sector);
}

std::string capacity_text(const TestReport& report) {
  std::string text = size_text(report.drive.size()) + ", " +
                     report::human_count(report.drive.size() / report.drive.sector().bytes()) +
                     " sectors";
  if (const std::optional<bool> beyond = beyond_2_tib(report)) {
    text += *beyond ? "; tested beyond 2 TiB, too" : "; NOT tested beyond 2 TiB";
  }
  return text;
}

std::string sample_text(const TestReport& report) {
  const SampleResult& sample = report.sample;
  std::string text = report.coverage == intake::Coverage::kWhole
                         ? "the whole drive: "
                         : report::counted(sample.places.count(), "place") + ": ";
  text += report::human_bytes(sample.bytes_written) + " written at " +
          rate_text(sample.bytes_written, sample.writing);
  if (sample.bytes_read == 0) return text + "; nothing was read back";
  if (sample.cut_short) text += " (given up: too much cannot be read)";
  text += ", " + report::human_bytes(sample.bytes_read) + " read back in random order at " +
          rate_text(sample.bytes_read, sample.reading) +
          (report.cache_bypassed ? ", page cache bypassed" : ", OUT OF THE PAGE CACHE");
  if (sample.wrong_bytes == 0) return text + ": all equal";
  return text + ": " + report::human_bytes(sample.wrong_bytes) + " at " +
         report::counted(sample.wrong_places, "place") + " WRONG";
}

std::string health_text(const std::optional<Health>& health) {
  if (!health) return "unknown: the drive tells nothing";
  const auto number = [](const std::optional<std::uint64_t>& value) {
    return value ? report::human_count(*value) : "?";
  };
  const char* verdict = health->failing         ? "FAILING"
                        : health->self_assessed ? "not failing"
                                                : "does not tell whether it is failing";
  return std::string(verdict) + "; reallocated " + number(health->reallocated) + ", pending " +
         number(health->pending) + ", uncorrectable " + number(health->uncorrectable) +
         ", interface errors " + number(health->crc_errors);
}

std::string temperature_text(const TestReport& report) {
  const auto celsius = [](const std::optional<Health>& health) {
    return health && health->celsius ? std::to_string(*health->celsius) + " C" : "?";
  };
  return celsius(report.before) + " before, " + celsius(report.after) + " after";
}

std::string left_text(const TestReport& report) {
  const SampleResult& sample = report.sample;
  if (!sample.cleared) {
    return "what the test wrote may still be there" +
           (sample.not_cleared ? std::string(": ") + sample.not_cleared->what() : std::string());
  }
  return report.coverage == intake::Coverage::kSample
             ? "every place of the test is zeros again: the drive does not look like anything"
             : "the first and the last MiB are zeros, the rest is what the test wrote: the drive "
               "does not look like anything";
}

std::string reasons_text(const TestReport& report) {
  std::string text;
  for (const guard::Reason& reason : report.reasons) {
    text += "\n  " + printable_line(reason.message) + " (" + reason.code + ")";
    if (!reason.remedy.empty()) text += "\n    what to do: " + printable_line(reason.remedy);
  }
  std::size_t shown = 0;
  for (const intake::Finding& finding : report.sample.findings) {
    if (shown++ == 0) text += "\n  found:";
    if (shown > kFindingsShown) {
      text += "\n    ... (--json lists more)";
      break;
    }
    text += "\n    " + printable_line(describe(finding));
  }
  return text;
}

nlohmann::ordered_json json_of(const Geometry& geometry) {
  return {{"bytes", geometry.bytes},
          {"logical_sector", geometry.logical_sector},
          {"physical_sector", geometry.physical_sector}};
}

nlohmann::ordered_json serial_json(const TestReport& report) {
  const inventory::DriveIdentity identity = facts_of(report).identity();
  nlohmann::ordered_json object = {{"value", nullptr},
                                   {"trust", to_string(identity.trust)},
                                   {"agree", identity.trust != inventory::Trust::kContradictory},
                                   {"statements", nlohmann::ordered_json::array()}};
  if (identity.serial) object["value"] = identity.serial->value;
  for (const inventory::Statement& each : reports_of(report).serials) {
    object["statements"].push_back({{"value", each.value}, {"source", to_string(each.source)}});
  }
  return object;
}

nlohmann::ordered_json capacity_json(const TestReport& report) {
  nlohmann::ordered_json object = {{"bytes", report.drive.size()},
                                   {"sectors", report.drive.size() / report.drive.sector().bytes()},
                                   {"beyond_2_tib_tested", nullptr},
                                   {"true_size", nullptr}};
  if (const std::optional<bool> beyond = beyond_2_tib(report)) {
    object["beyond_2_tib_tested"] = *beyond;
  }
  if (const auto size = intake::true_size(report.sample)) {
    object["true_size"] = {{"at_least", size->at_least}, {"at_most", size->at_most}};
  }
  return object;
}

nlohmann::ordered_json finding_json(const intake::Finding& finding) {
  nlohmann::ordered_json object = {{"offset", finding.range.offset},
                                   {"length", finding.range.length},
                                   {"defect", to_string(finding.defect)}};
  if (finding.defect == intake::Defect::kOtherPlace) object["written_at"] = finding.written_at;
  if (finding.defect == intake::Defect::kFewBits) object["bits"] = finding.bits;
  if (finding.defect == intake::Defect::kUnreadable) object["cause"] = finding.cause;
  return object;
}

nlohmann::ordered_json sample_json(const TestReport& report) {
  const SampleResult& sample = report.sample;
  nlohmann::ordered_json object = {
      {"coverage", report.coverage == intake::Coverage::kWhole ? "whole" : "sample"},
      {"run", sample.run.lower()},
      {"places", sample.places.count()},
      {"bytes", sample.places.bytes()},
      {"bytes_written", sample.bytes_written},
      {"bytes_read", sample.bytes_read},
      {"write_rate", static_cast<std::uint64_t>(rate(sample.bytes_written, sample.writing))},
      {"read_rate", static_cast<std::uint64_t>(rate(sample.bytes_read, sample.reading))},
      {"cache_bypassed", report.cache_bypassed},
      {"stopped", sample.stopped},
      {"cut_short", sample.cut_short},
      {"wrong_places", sample.wrong_places},
      {"wrong_bytes", sample.wrong_bytes},
      {"findings", nlohmann::ordered_json::array()},
      {"cleared", sample.cleared}};
  for (const intake::Finding& finding : sample.findings) {
    object["findings"].push_back(finding_json(finding));
  }
  return object;
}

}  // namespace

std::string test_text(const TestReport& report) {
  std::string text =
      printable_line(report.drive.name()) + ", " + printable_line(report.drive.drive_id()) + "\n";
  const auto add = [&](const std::string& name, const std::string& value) {
    text +=
        "  " + name + std::string(kFactColumn - name.size(), ' ') + printable_line(value) + "\n";
  };
  add("serial number", serial_text(report));
  add("geometry", geometry_text(report));
  add("capacity", capacity_text(report));
  add("sample", sample_text(report));
  add("health", health_text(report.before));
  if (report.before || report.after) add("  after", health_text(report.after));
  if (report.before || report.after) add("temperature", temperature_text(report));
  add("left on it", left_text(report));
  for (const std::string& warning : report.warnings) add("warning", warning);
  text += "\n";
  if (report.passed()) return text + "passed";
  if (report.stopped())
    return text + "stopped: nothing is said about the drive; run the same command again to test it";
  return text + "failed:" + reasons_text(report);
}

nlohmann::ordered_json test_json(const TestReport& report, int exit_status) {
  const Geometry kernel = geometry_of_kernel(report);
  const std::optional<Geometry> own = reports_of(report).own_geometry;
  nlohmann::ordered_json document = {
      {"schema", 1},
      {"drive", report.drive.drive_id()},
      {"node", report.drive.name()},
      {"verdict", report.passed()    ? "passed"
                  : report.stopped() ? "stopped"
                                     : "failed"},
      {"exit", exit_status},
      {"reasons", nlohmann::ordered_json::array()},
      {"warnings", report.warnings},
      {"serial", serial_json(report)},
      {"geometry", {{"kernel", json_of(kernel)}, {"own", nullptr}, {"agree", nullptr}}},
      {"capacity", capacity_json(report)},
      {"sample", sample_json(report)},
      {"health",
       {{"before", prepare::health_json(report.before)},
        {"after", prepare::health_json(report.after)}}}};
  if (own) {
    document["geometry"]["own"] = json_of(*own);
    document["geometry"]["agree"] = agrees(*own, kernel);
  }
  for (const guard::Reason& reason : report.reasons) {
    document["reasons"].push_back({{"code", reason.code},
                                   {"exit", static_cast<int>(reason.kind)},
                                   {"message", reason.message},
                                   {"remedy", reason.remedy}});
  }
  return document;
}

}  // namespace driveprep::cli
