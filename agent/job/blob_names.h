// What the blob service and Azure Files accept as names: pure rules, one reason a name.
// Source: the service's naming rules, docs/names.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace driveprep::job {

inline constexpr std::size_t kMaxBlobNameLength = 1024;  // UTF-16 code units
inline constexpr std::size_t kMaxBlobSegments = 254;

// Containers and shares: 3-63 of a-z, 0-9 and '-'; also $root, $web and $logs.
// nullopt when good; else the reason, to follow the words "the name".
std::optional<std::string> check_container_name(std::string_view name);

// A whole blob name (without its container), UTF-8.
std::optional<std::string> check_blob_name(std::string_view container, std::string_view name);

// The service takes such names but advises against them: some clients drop the dot.
bool has_segment_ending_in_dot(std::string_view name);

// One component of a path in a file share, UTF-8.
std::optional<std::string> check_share_component(std::string_view name);

}  // namespace driveprep::job
