#include "agent/record/signed_record.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>

#include "base/atomic_file.h"
#include "base/encoding.h"
#include "base/error.h"
#include "base/posix.h"
#include "base/system_error.h"
#include "keywrap/excerpt.h"
#include "keywrap/strict_json.h"

namespace driveprep::record {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kType = "driveprep-record+json";

void require_members(const json& object, const std::string& what,
                     std::initializer_list<const char*> names) {
  if (!object.is_object()) throw FormatError(what + " is not an object");
  for (const char* name : names) {
    if (!object.contains(name)) throw FormatError(what + " lacks '" + name + "'");
  }
  if (object.size() != names.size()) {
    throw FormatError(what + " has a member that does not belong there");
  }
}

const std::string& text_member(const json& object, const char* name) {
  const json& member = object.at(name);
  if (!member.is_string()) throw FormatError("'" + std::string(name) + "' is not a string");
  return member.get_ref<const std::string&>();
}

Bytes binary_member(const json& object, const char* name) {
  auto bytes = from_base64url(text_member(object, name));
  if (!bytes) throw FormatError("'" + std::string(name) + "' is not base64url");
  return std::move(*bytes);
}

Signature signature_of(const json& file) {
  const Bytes bytes = binary_member(file, "signature");
  Signature signature{};
  if (bytes.size() != signature.size()) {
    throw FormatError("its signature has " + std::to_string(bytes.size()) + " bytes, not 64");
  }
  std::ranges::copy(bytes, signature.begin());
  return signature;
}

struct Parts {
  json file;
  PublicKey key;
  std::string kid;  // as the file says
  Signature signature;
  Bytes payload;
};

// Everything but the content of the payload, which is looked at when its signature fits.
Parts parts_of(std::string_view text) {
  json file = keywrap::parse_strict_json(text, kMaxRecordBytes);
  require_members(file, "the file", {"record", "payload", "protected", "signature"});
  const Bytes raw = binary_member(file, "protected");
  const json header = keywrap::parse_strict_json(as_text(raw), kMaxRecordBytes);
  require_members(header, "the protected header", {"alg", "jwk", "typ", "kid"});
  if (const std::string& algorithm = text_member(header, "alg"); algorithm != "EdDSA") {
    throw FormatError("it is signed with " + keywrap::excerpt(algorithm, 40) +
                      ", and only EdDSA is accepted");
  }
  if (text_member(header, "typ") != kType)
    throw FormatError("its type is not " + std::string(kType));
  const PublicKey key = PublicKey::from_jwk(header.at("jwk"));
  std::string kid = text_member(header, "kid");
  const Signature signature = signature_of(file);
  Bytes payload = binary_member(file, "payload");
  return {std::move(file), key, std::move(kid), signature, std::move(payload)};
}

json payload_of(const Bytes& payload) {
  json record = keywrap::parse_strict_json(as_text(payload), kMaxRecordBytes);
  if (!record.is_object()) throw FormatError("what was signed is not a JSON object");
  return record;
}

[[noreturn]] void malformed(const std::string& name, const std::string& why) {
  throw Error(ErrorKind::kUsage, "record-malformed", name + " is no signed record: " + why,
              "Give the file that driveprep wrote, unchanged.");
}

// umask takes nothing away here: a record is made to be shown.
void make_readable(int fd, const fs::path& path) {
  // EPERM for a file that is our own: a file system without modes, such as FAT.
  if (::fchmod(fd, 0644) == 0 || errno == EPERM || errno == EOPNOTSUPP) return;
  throw SystemError(ErrorKind::kWrite, "chmod-failed", "set the mode of " + path.string(), errno);
}

}  // namespace

std::string sign_record(const ordered_json& record, const RecordKey& key) {
  const PublicKey& owner = key.public_key();
  const ordered_json header = {
      {"alg", "EdDSA"}, {"jwk", owner.jwk()}, {"typ", kType}, {"kid", owner.kid()}};
  const std::string payload = record.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  const std::string protected_part = base64url(as_bytes(header.dump()));
  const std::string payload_part = base64url(as_bytes(payload));
  const Signature signature = key.sign(as_bytes(protected_part + "." + payload_part));
  const ordered_json file = {{"record", ordered_json::parse(payload)},
                             {"payload", payload_part},
                             {"protected", protected_part},
                             {"signature", base64url(signature)}};
  // Pure ASCII: names in it come from drives, and the file is looked at in terminals.
  std::string text = file.dump(2, ' ', true) + "\n";
  try {
    (void)check_record(text);
  } catch (const Error& error) {
    internal_error(std::string("a new record does not pass its own check: ") + error.what());
  }
  return text;
}

CheckedRecord check_record(std::string_view text, const std::string& name) {
  try {
    const Parts parts = parts_of(text);
    const std::string input =
        text_member(parts.file, "protected") + "." + text_member(parts.file, "payload");
    if (!parts.key.verifies(as_bytes(input), parts.signature) || parts.kid != parts.key.kid()) {
      throw Error(ErrorKind::kVerification, "record-signature",
                  "the signature of " + name +
                      " does not fit: the record was changed after it was "
                      "signed, or never signed with the key it names",
                  "Do not rely on it; ask its author for the original.");
    }
    const json signed_part = payload_of(parts.payload);
    // As text: for the library 1 equals 1.0, and members are sorted.
    if (parts.file.at("record").dump() != signed_part.dump()) {
      throw Error(ErrorKind::kVerification, "record-differs",
                  "the readable part of " + name + " is not what was signed",
                  "Do not rely on the readable part; ask its author for the original.");
    }
    return {ordered_json::parse(as_text(parts.payload)), parts.key};
  } catch (const FormatError& error) {
    malformed(name, error.what());
  }
}

void refuse_existing(const fs::path& path) {
  throw Error(ErrorKind::kUsage, "record-exists",
              path.string() + " is there already, and a record is never overwritten",
              "Name another file, or move that one away.");
}

void write_record(const fs::path& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0 && errno == EEXIST) refuse_existing(path);
  if (fd < 0) {
    throw SystemError(ErrorKind::kWrite, "create-failed", "create " + path.string(), errno,
                      "Check that the directory exists, is writable and has free space.");
  }
  UniqueFd file(fd);
  try {
    make_readable(fd, path);
    posix::write_all(fd, as_bytes(text), path.string(), ErrorKind::kWrite);
    posix::fsync(fd, path.string(), ErrorKind::kWrite);
    if (::close(file.release()) != 0) {
      throw SystemError(ErrorKind::kWrite, "close-failed", "close " + path.string(), errno);
    }
    posix::fsync_directory(path.has_parent_path() ? path.parent_path() : ".", ErrorKind::kWrite);
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
}

void require_writable(const fs::path& path) {
  if (path.empty())
    throw SystemError(ErrorKind::kWrite, "create-failed", "create a record", ENOENT);
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) refuse_existing(path);
  // Really made, and gone at once: permissions alone do not tell of a read-only or full file
  // system.
  const AtomicFile trial(path, 0600);
}

}  // namespace driveprep::record
