// Collects the reasons against a disk. Part of the policy: only its files include this.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drive/guard/disk_policy.h"

namespace driveprep::guard {

// "a, b".
std::string listed(const std::vector<std::string>& names);

class DiskReasons {
 public:
  explicit DiskReasons(const DiskCase& disk);

  const DiskCase& of() const { return case_; }
  const inventory::DiskFacts& disk() const { return case_.disk; }
  const std::string& name() const { return name_; }  // "/dev/sdb"

  // Unless the operator has accepted this one.
  void refuse(std::string code, ErrorKind kind, std::string message, std::string remedy);
  void refuse(std::string code, std::string message, std::string remedy);
  // The words that accept it.
  std::string accepting(std::string_view code) const;

  // A fact that is not known refuses; false then.
  template <typename T>
  bool known(const Fact<T>& fact, const char* what) {
    if (!fact.known()) unknown(what, fact.why_not());
    return fact.known();
  }
  // What only a descriptor tells: when there is none, that has been said once.
  template <typename T>
  bool known_opened(const Fact<T>& fact, const char* what) {
    return disk().opened.handle.known() ? known(fact, what) : fact.known();
  }
  void unknown(const char* what, const std::string& why_not);

  Verdict take() { return std::move(verdict_); }

 private:
  const DiskCase& case_;
  const std::string name_;
  Verdict verdict_;
};

// The parts of the policy, by what they ask. Whether it is a drive at all; false: there is nothing
// more to say.
bool check_kind(DiskReasons& reasons);
// What uses the disk, and what of this run lies on it.
void check_use(DiskReasons& reasons);
void check_identity(DiskReasons& reasons);
// Medium, sizes and health.
void check_medium(DiskReasons& reasons);

}  // namespace driveprep::guard
