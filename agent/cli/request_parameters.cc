#include "agent/cli/request_parameters.h"

#include "agent/request/bodies.h"

namespace driveprep::cli {

request::JobParameters request_parameters(const job::JobSpec& spec) {
  request::JobParameters parameters;
  parameters.name = spec.name;
  parameters.location = spec.location;
  parameters.tags = spec.tags;
  parameters.storage_account_id = spec.storage_account_id;
  parameters.return_address = spec.return_address;
  parameters.contact = spec.contact;
  parameters.return_shipping = spec.return_shipping;
  parameters.diagnostics_path = spec.diagnostics_path;
  parameters.log_level =
      spec.log_level == "Verbose" ? request::LogLevel::kVerbose : request::LogLevel::kError;
  parameters.backup_drive_manifest = spec.backup_drive_manifest;
  return parameters;
}

void check_request_parameters(const job::JobSpec& spec) {
  const request::JobParameters parameters = request_parameters(spec);
  request::check_databox_parameters(parameters);
  request::check_import_export_parameters(parameters);
}

}  // namespace driveprep::cli
