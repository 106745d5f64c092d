// The envelopes that lie in a job directory: those of each drive (its recovery password, a backup
// of its metadata), and one for each secret of the customer's.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/job/job_directory.h"
#include "keywrap/envelope.h"

namespace driveprep::keys {

struct EnvelopeFile {
  std::filesystem::path file;
  std::string name;  // the drive's id, or the name of the secret
  bool is_drive = true;
};

// Drives first, each group by name. What is no envelope by its place is left out; what only is no
// regular file is told by whoever reads it. kKey "envelopes-unreadable" for a directory that cannot
// be listed.
std::vector<EnvelopeFile> envelopes_of(const job::JobDirectory& directory);

// KeyError kEnvelopeCorrupt names the file. The binding is checked against job and name.
keywrap::Envelope read_envelope(const EnvelopeFile& file, const std::string& job_id,
                                keywrap::Accept accept = keywrap::Accept::kOurAlgorithm);
// The text of an envelope; no other file by way of a link.
std::string envelope_text(const std::filesystem::path& file);
void write_envelope(const EnvelopeFile& file, const keywrap::Envelope& envelope);

// The keys that the envelope in the file is under.
std::vector<std::string> kids_of(const EnvelopeFile& file);

// Temporary files that a killed run has left in the place of envelopes and of the key state, and
// where it tried whether the job directory can be written.
void remove_leftovers(const job::JobDirectory& directory);

// nullopt when `name` may name a secret; else why not.
std::optional<std::string> check_secret_name(std::string_view name);

}  // namespace driveprep::keys
