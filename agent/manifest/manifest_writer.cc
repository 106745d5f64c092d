#include "agent/manifest/manifest_writer.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "agent/manifest/xml_text.h"
#include "base/encoding.h"

namespace driveprep::manifest {
namespace {

constexpr std::size_t kBufferSize = 256 * 1024;
// More than the longest line of a piece: two numbers of 20 digits, an id, a hash and the names.
constexpr std::size_t kPieceLine = 256;

constexpr std::string_view kInDrive = "    ";
constexpr std::string_view kInList = "      ";
constexpr std::string_view kInBlob = "        ";

[[noreturn]] void invalid(std::string_view element, std::string_view value, const char* problem) {
  throw Error(ErrorKind::kUsage, "manifest-invalid-value",
              std::string(element) + " '" + std::string(value) + "' " + problem,
              "Correct it in the data set or the drive set.");
}

void check_file(std::string_view element, const std::optional<AttachedFile>& file) {
  if (!file) return;
  if (const char* problem = drive_path_problem(file->path)) invalid(element, file->path, problem);
  require_writable(file->path, element);
}

void check_blob(const BlobHeader& blob) {
  if (const char* problem = blob_path_problem(blob.blob_path)) {
    invalid("BlobPath", blob.blob_path, problem);
  }
  if (const char* problem = drive_path_problem(blob.file_path)) {
    invalid("FilePath", blob.file_path, problem);
  }
  require_writable(blob.blob_path, "BlobPath");
  require_writable(blob.file_path, "FilePath");
  require_writable(blob.client_data, "ClientData");
  require_writable(blob.snapshot, "Snapshot");
  check_file("MetadataPath", blob.metadata);
  check_file("PropertiesPath", blob.properties);
}

// Appends to memory that is known to be large enough.
class LineCursor {
 public:
  explicit LineCursor(MutableByteView out)
      : begin_(static_cast<char*>(static_cast<void*>(out.data()))),
        at_(begin_),
        end_(begin_ + out.size()) {}

  std::size_t size() const { return static_cast<std::size_t>(at_ - begin_); }
  void text(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void number(std::uint64_t value) { at_ = std::to_chars(at_, end_, value).ptr; }
  void hex(const Md5& hash) {
    static constexpr char kDigits[] = "0123456789ABCDEF";
    for (const std::byte b : hash) {
      *at_++ = kDigits[std::to_integer<unsigned>(b) >> 4];
      *at_++ = kDigits[std::to_integer<unsigned>(b) & 15];
    }
  }
  // Base64 of the 32-bit little-endian index.
  void block_id(std::uint64_t index) {
    static constexpr char kDigits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // The four bytes in their order are the leading 32 of the 36 bits of six digits.
    const std::uint64_t bits = (index & 0xFF) << 28 | (index & 0xFF00) << 12 |
                               (index & 0xFF0000) >> 4 | (index & 0xFF000000) >> 20;
    for (int shift = 30; shift >= 0; shift -= 6) *at_++ = kDigits[bits >> shift & 63];
    text("==");
  }

 private:
  char* begin_;
  char* at_;
  char* end_;
};

void hold(const char* problem, const std::string& blob_path) {
  if (problem != nullptr) internal_error("the manifest of " + blob_path + ": " + problem);
}

}  // namespace

ManifestWriter::ManifestWriter(Sink sink, const ManifestHeader& header)
    : sink_(std::move(sink)), buffer_(kBufferSize), full_(kBufferSize) {
  if (const char* problem = drive_id_problem(header.drive_id)) {
    invalid("DriveId", header.drive_id, problem);
  }
  if (!is_known_version(header.version)) {
    invalid("Version", header.version, "is not a manifest version");
  }
  require_writable(header.drive_id, "DriveId");
  require_writable(header.client_creator, "ClientCreator");
  raw("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<DriveManifest Version=\"");
  raw(header.version);
  raw("\">\n  <Drive>\n");
  element(kInDrive, "DriveId", header.drive_id);
  if (!header.client_creator.empty()) element(kInDrive, "ClientCreator", header.client_creator);
}

void ManifestWriter::begin_list(const BlobList& list) {
  require(state_ == State::kDrive, "ManifestWriter::begin_list out of order");
  require_writable(list.id, "BlobList Id");
  check_file("MetadataPath", list.metadata);
  check_file("PropertiesPath", list.properties);
  pending_list_ = list;
  list_open_ = false;
  state_ = State::kList;
}

void ManifestWriter::begin_blob(const BlobHeader& blob) {
  require(state_ == State::kList, "ManifestWriter::begin_blob out of order");
  check_blob(blob);
  hold(rules_.begin(blob.type, blob.length), blob.blob_path);
  if (!list_open_) {
    raw("    <BlobList");
    if (!pending_list_.id.empty()) {
      raw(" Id=\"");
      escaped(pending_list_.id);
      raw("\"");
    }
    raw(">\n");
    attached(kInList, "MetadataPath", pending_list_.metadata);
    attached(kInList, "PropertiesPath", pending_list_.properties);
    list_open_ = true;
    ++summary_.lists;
  }
  raw("      <Blob>\n        <BlobPath>");
  escaped(blob.blob_path);
  raw("</BlobPath>\n        <FilePath>");
  escaped(blob.file_path);
  raw("</FilePath>\n");
  if (!blob.client_data.empty()) element(kInBlob, "ClientData", blob.client_data);
  if (!blob.snapshot.empty()) element(kInBlob, "Snapshot", blob.snapshot);
  make_room(kPieceLine);
  LineCursor line(MutableByteView(buffer_).subspan(used_));
  line.text("        <Length>");
  line.number(blob.length);
  line.text("</Length>\n");
  used_ += line.size();
  if (blob.disposition) element(kInBlob, "ImportDisposition", to_string(*blob.disposition));
  raw(blob.type == BlobType::kBlock ? "        <BlockList>\n" : "        <PageRangeList>\n");
  blob_ = blob;
  ++summary_.blobs;
  state_ = State::kBlob;
}

void ManifestWriter::piece(std::uint64_t offset, std::uint32_t length, const Md5& hash) {
  require(state_ == State::kBlob, "ManifestWriter::piece out of order");
  if (rules_.count() == 0) with_ids_ = blob_.type == BlobType::kBlock && length < blob_.length;
  const std::uint64_t index = rules_.count();
  hold(rules_.piece(offset, length), blob_.blob_path);
  // One line is put together in place: this runs five million times for a drive of 20 TB.
  make_room(kPieceLine);
  LineCursor line(MutableByteView(buffer_).subspan(used_));
  line.text(blob_.type == BlobType::kBlock ? "          <Block Offset=\""
                                           : "          <PageRange Offset=\"");
  line.number(offset);
  line.text("\" Length=\"");
  line.number(length);
  if (with_ids_) {
    line.text("\" Id=\"");
    line.block_id(index);
  }
  line.text("\" Hash=\"");
  line.hex(hash);
  line.text("\" />\n");
  used_ += line.size();
  ++summary_.pieces;
}

void ManifestWriter::end_blob() {
  require(state_ == State::kBlob, "ManifestWriter::end_blob out of order");
  hold(rules_.end(), blob_.blob_path);
  raw(blob_.type == BlobType::kBlock ? "        </BlockList>\n" : "        </PageRangeList>\n");
  attached(kInBlob, "MetadataPath", blob_.metadata);
  attached(kInBlob, "PropertiesPath", blob_.properties);
  raw("      </Blob>\n");
  state_ = State::kList;
}

void ManifestWriter::end_list() {
  require(state_ == State::kList, "ManifestWriter::end_list out of order");
  if (list_open_) raw("    </BlobList>\n");
  state_ = State::kDrive;
}

ManifestSummary ManifestWriter::finish() {
  require(state_ == State::kDrive, "ManifestWriter::finish out of order");
  if (summary_.blobs == 0) {
    throw Error(ErrorKind::kUsage, "manifest-empty",
                "there is not one blob for the manifest of this drive",
                "Correct the sources of this drive, or leave the drive out of the job.");
  }
  raw("  </Drive>\n</DriveManifest>\n");
  drain();
  drain();  // waits for the first one
  state_ = State::kFinished;
  const Bytes raw_digest = digest_.finish();
  std::copy(raw_digest.begin(), raw_digest.end(), summary_.md5.begin());
  summary_.md5_hex = hex_upper(raw_digest);
  return summary_;
}

void ManifestWriter::make_room(std::size_t size) {
  if (buffer_.size() - used_ < size) drain();
}

void ManifestWriter::raw(std::string_view text) {
  while (!text.empty()) {
    make_room(1);
    const std::size_t count = std::min(text.size(), buffer_.size() - used_);
    std::memcpy(buffer_.data() + used_, text.data(), count);
    used_ += count;
    text.remove_prefix(count);
  }
}

void ManifestWriter::escaped(std::string_view text) {
  for (std::size_t plain = 0;;) {
    const std::size_t at = std::min(first_escaped(text, plain), text.size());
    raw(text.substr(plain, at - plain));
    if (at == text.size()) return;
    raw(xml_escape(text[at]));
    plain = at + 1;
  }
}

void ManifestWriter::element(std::string_view indent, std::string_view name,
                             std::string_view text) {
  raw(indent);
  raw("<");
  raw(name);
  raw(">");
  escaped(text);
  raw("</");
  raw(name);
  raw(">\n");
}

void ManifestWriter::attached(std::string_view indent, std::string_view name,
                              const std::optional<AttachedFile>& file) {
  if (!file) return;
  raw(indent);
  raw("<");
  raw(name);
  raw(" Hash=\"");
  raw(hex_upper(file->hash));
  raw("\">");
  escaped(file->path);
  raw("</");
  raw(name);
  raw(">\n");
}

// MD5 and writing take as long as putting the text together, and go on beside it.
void ManifestWriter::drain() {
  if (draining_.valid()) draining_.get();
  if (used_ == 0) return;
  std::swap(buffer_, full_);
  summary_.bytes += used_;
  draining_ = std::async(std::launch::async, [this, length = std::exchange(used_, 0)] {
    const ByteView data = ByteView(full_).first(length);
    digest_.update(data);
    sink_(data);
  });
}

}  // namespace driveprep::manifest
