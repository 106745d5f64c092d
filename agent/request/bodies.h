// The bodies of the two PUT requests that create an import job:
//   Data Box order for customer disks  Microsoft.DataBox/jobs, api-version 2022-12-01
//   classic Import/Export job          Microsoft.ImportExport/jobs, api-version 2021-01-01
//
// Pure functions. Without recovery passwords a body is complete but for the members `bitLockerKey`,
// which are then left out: it can be shown and kept, but not sent. With them it is a secret, which
// is why the result is SecretBytes: write it with mode 0600, or send it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/request/parameters.h"
#include "base/secret_bytes.h"

namespace driveprep::request {

inline constexpr std::string_view kDataBoxApiVersion = "2022-12-01";
inline constexpr std::string_view kImportExportApiVersion = "2021-01-01";

// Indented JSON (UTF-8) with a line feed at the end; the drives in the order given.
//
// All drives have a recovery password, or none has. With a customer-managed key the Data Box body
// names the identity; the request schema of the classic service has no member for it.
//
// Throws Error kUsage before anything is built when the service would refuse the body:
//   request-field-missing, request-field-invalid  names the field of job.json as a JSON pointer
//   request-no-drives, request-too-many-drives    1 to 10 drives make a job
//   request-drive-invalid                         id, manifest name, hash or password of a drive
SecretBytes databox_body(const JobParameters& job, const std::vector<DriveEntry>& drives);
SecretBytes import_export_body(const JobParameters& job, const std::vector<DriveEntry>& drives);

// The same checks alone, for a plan: needs no drives. Both throw as above.
void check_databox_parameters(const JobParameters& job);
void check_import_export_parameters(const JobParameters& job);

}  // namespace driveprep::request
