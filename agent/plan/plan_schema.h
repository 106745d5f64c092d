// The tables of a plan, and those that exist only while it is made.
#pragma once

#include <cstdint>
#include <string>

#include "agent/journal/sqlite.h"

namespace driveprep::plan {

inline constexpr std::int64_t kPlanFormat = 2;

// The tables of the plan itself.
void create_plan_tables(journal::Database& database);
// Attaches a private database "scan" that spills to disk and vanishes with the connection.
void attach_scan_tables(journal::Database& database);

// The entry `key` of the table meta; empty when absent.
std::string meta_text(journal::Database& database, const std::string& key);
void set_meta(journal::Database& database, const std::string& key, const std::string& value);

}  // namespace driveprep::plan
