// Where the drives go back to, at whose cost, and whom to ask.
#pragma once

#include <string>
#include <vector>

namespace driveprep::job {

struct ReturnAddress {
  std::string recipient_name;
  std::string company_name;  // may be empty
  std::string street_address1;
  std::string street_address2;  // may be empty
  std::string city;
  std::string state_or_province;  // may be empty
  std::string postal_code;
  std::string country_or_region;  // "US": the two-letter code serves both services
  std::string phone;
  std::string email;
};

// The carrier that brings the drives back, and the customer's account with it.
struct ReturnShipping {
  std::string carrier_name;
  std::string carrier_account_number;
};

// Who is told about the job. Taken from the return address where job.json does not say.
struct Contact {
  std::string name;
  std::string phone;
  std::vector<std::string> emails;
};

}  // namespace driveprep::job
