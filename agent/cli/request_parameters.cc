#include "agent/cli/request_parameters.h"

#include "agent/request/bodies.h"

namespace driveprep::cli {

request::JobParameters request_parameters(const job::JobSpec& spec) {
  request::JobParameters parameters;
  parameters.name = spec.name;
  parameters.location = spec.location;
  parameters.tags = spec.tags;
  parameters.storage_account_id = spec.storage_account_id;
  const job::ReturnAddress& from = spec.return_address;
  request::ReturnAddress& to = parameters.return_address;
  to.recipient_name = from.recipient_name;
  to.company_name = from.company_name;
  to.street_1 = from.street_address1;
  to.street_2 = from.street_address2;
  to.city = from.city;
  to.state_or_province = from.state_or_province;
  to.postal_code = from.postal_code;
  to.country_or_region = from.country_or_region;
  to.phone = from.phone;
  to.email = from.email;
  parameters.contact = {spec.contact.name, spec.contact.phone, spec.contact.emails};
  if (spec.return_shipping) {
    parameters.return_shipping = {spec.return_shipping->carrier_name,
                                  spec.return_shipping->carrier_account_number};
  }
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
