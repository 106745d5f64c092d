// The job file as parameters of the request bodies.
#pragma once

#include "agent/job/job_spec.h"
#include "agent/request/parameters.h"

namespace driveprep::cli {

request::JobParameters request_parameters(const job::JobSpec& spec);
// Whether both kinds of body can be made from it: found out before hours of copying, not after.
void check_request_parameters(const job::JobSpec& spec);

}  // namespace driveprep::cli
