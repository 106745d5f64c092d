#include "agent/prepare/drive_health.h"

#include <chrono>
#include <cstdint>
#include <thread>

namespace driveprep::prepare {
namespace {

using inventory::Health;

template <typename T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

void add_growth(const std::optional<std::uint64_t>& before, const std::optional<std::uint64_t>& now,
                const char* what, std::string& text) {
  if (!before || !now || *now <= *before) return;
  if (!text.empty()) text += ", ";
  text += std::to_string(*now - *before) + " " + what + " more (" + std::to_string(*before) +
          " before, " + std::to_string(*now) + " now)";
}

template <typename T>
void add_silence(const std::optional<T>& before, const std::optional<T>& now, const char* what,
                 std::string& text) {
  if (!before || now) return;
  text += (text.empty() ? "" : ", ") + std::string(what);
}

}  // namespace

std::string deterioration(const std::optional<Health>& before, const std::optional<Health>& now) {
  if (!before || !now) return {};
  std::string text;
  if (now->failing && !before->failing) text = "it says itself that it is failing";
  add_growth(before->reallocated, now->reallocated, "reallocated sectors", text);
  add_growth(before->pending, now->pending, "pending sectors", text);
  add_growth(before->uncorrectable, now->uncorrectable, "uncorrectable sectors", text);
  add_growth(before->crc_errors, now->crc_errors, "interface errors", text);
  return text;
}

std::string silence(const std::optional<Health>& before, const std::optional<Health>& now) {
  if (!before) return {};
  if (!now) return "it does not answer SMART";
  std::string text;
  if (before->self_assessed && !now->self_assessed) text = "its own judgement";
  add_silence(before->reallocated, now->reallocated, "reallocated sectors", text);
  add_silence(before->pending, now->pending, "pending sectors", text);
  add_silence(before->uncorrectable, now->uncorrectable, "uncorrectable sectors", text);
  add_silence(before->crc_errors, now->crc_errors, "interface errors", text);
  return text;
}

std::optional<Health> health_after(const guard::ArmedDrive& drive) {
  constexpr int kAttempts = 5;
  constexpr std::chrono::seconds kPause{2};
  const std::optional<Health> before = drive.health_when_armed();
  for (int attempt = 1;; ++attempt) {
    std::optional<Health> now = drive.health();
    if (silence(before, now).empty() || attempt == kAttempts) return now;
    std::this_thread::sleep_for(kPause);
  }
}

nlohmann::ordered_json health_json(const std::optional<Health>& health) {
  if (!health) return nullptr;
  const bool told = health->failing || health->self_assessed;
  return {{"failing", told ? nlohmann::ordered_json(health->failing) : nullptr},
          {"reallocated", or_null(health->reallocated)},
          {"pending", or_null(health->pending)},
          {"uncorrectable", or_null(health->uncorrectable)},
          {"crc_errors", or_null(health->crc_errors)},
          {"hours", or_null(health->hours)},
          {"celsius", or_null(health->celsius)}};
}

}  // namespace driveprep::prepare
