#include "agent/job/blob_files.h"

#include <algorithm>
#include <array>

#include "agent/xml/parser.h"
#include "base/ascii.h"
#include "base/encoding.h"
#include "base/error.h"
#include "base/posix.h"

namespace driveprep::job {
namespace {

constexpr std::array<std::string_view, 5> kImportProperties = {
    "Content-Type", "Content-MD5", "Content-Encoding", "Content-Language", "Cache-Control"};
constexpr std::array<std::string_view, 3> kExportProperties = {"Last-Modified", "Etag",
                                                               "Content-Length"};

class BlobFileParser : private xml::Handler {
 public:
  explicit BlobFileParser(BlobFile& file) : file_(file) {}

  void parse() {
    parser_.feed(as_bytes(file_.content));
    parser_.finish();
  }

 private:
  void start(const xml::Element& element) override {
    line_ = parser_.line();
    std::string tag(element.name);
    if (!element.prefix.empty()) tag = std::string(element.prefix) + ":" + tag;
    if (!element.attributes.empty() || element.more_attributes) {
      fail("xml-attribute", "element <" + tag + "> has attributes", "Remove them.");
    }
    switch (depth_++) {
      case 0: check_root(tag); break;
      case 1:
        name_ = std::move(tag);
        value_.clear();
        break;
      default:
        fail("xml-nesting", "element <" + tag + "> lies inside <" + name_ + ">",
             "Give every element text only.");
    }
  }

  void text(std::string_view text) override {
    if (depth_ == 2) {
      value_ += text;
    } else if (text.find_first_not_of(" \t\r\n") != std::string_view::npos) {
      line_ = parser_.line();
      fail("xml-text", "text stands between the elements", "Put it inside an element.");
    }
  }

  void end() override {
    if (--depth_ == 1) add(name_, value_);
  }

  Error refusal(xml::Refusal reason, int line, const std::string& problem) const override {
    if (reason == xml::Refusal::kDocumentType) {
      return error("xml-doctype", line, "a document type declaration is not accepted",
                   "Remove it.");
    }
    return error("xml-malformed", line, problem, "Correct the file; \"xmllint\" shows the place.");
  }

  Error error(const char* code, int line, const std::string& what,
              const std::string& remedy) const {
    return Error(ErrorKind::kUsage, code,
                 file_.path.string() + ":" + std::to_string(line) + ": " + what, remedy);
  }

  [[noreturn]] void fail(const char* code, const std::string& what,
                         const std::string& remedy) const {
    throw error(code, line_, what, remedy);
  }

  void check_root(const std::string& tag) {
    const std::string wanted = file_.kind == BlobFileKind::kMetadata ? "Metadata" : "Properties";
    if (tag == wanted) return;
    fail("xml-root", "the root element is <" + tag + ">, <" + wanted + "> is expected",
         "Check that dataset.csv names this file in the right column.");
  }

  void add(const std::string& name, const std::string& value) {
    if (file_.kind == BlobFileKind::kMetadata) {
      check_metadata(name);
    } else {
      check_property(name, value);
    }
    for (const auto& [other, unused] : file_.entries) {
      if (ascii::lower(other) == ascii::lower(name)) {
        fail("xml-repeated-name", "<" + name + "> comes twice (upper and lower case do not count)",
             "Keep one of them.");
      }
    }
    const bool carried =
        std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
    if (!carried || value.starts_with(' ') || value.ends_with(' ')) {
      fail("xml-value",
           "the value of <" + name +
               "> has line breaks, spaces at an end, or characters outside "
               "printable ASCII, which an HTTP header cannot carry",
           "Write the value in one line of ASCII, or encode it.");
    }
    bytes_ += name.size() + value.size();
    if (file_.kind == BlobFileKind::kMetadata && bytes_ > kMaxMetadataBytes) {
      fail("metadata-too-large", "names and values have more than 8192 bytes", "Shorten them.");
    }
    file_.entries.emplace_back(name, value);
  }

  void check_metadata(const std::string& name) {
    const bool identifier =
        !ascii::is_digit(name.front()) && std::all_of(name.begin(), name.end(), [](char c) {
          return ascii::is_alphanumeric(c) || c == '_';
        });
    if (!identifier) {
      fail("metadata-name", "<" + name + "> is not a metadata name",
           "Use letters, digits and '_', beginning with a letter or '_' (a C# identifier).");
    }
  }

  void check_property(const std::string& name, const std::string& value) {
    const auto is_in = [&](const auto& names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (is_in(kExportProperties)) {
      fail("property-export-only", "<" + name + "> is set by the service, not by an import",
           "Remove it.");
    }
    if (!is_in(kImportProperties)) {
      fail("property-name", "<" + name + "> is not a property of blobs",
           "Use Content-Type, Content-MD5, Content-Encoding, Content-Language, Cache-Control.");
    }
    if (name != "Content-MD5") return;
    const auto hash = from_base64(value);
    if (!hash || hash->size() != 16) {
      fail("property-value", "<Content-MD5> is not the base64 form of 16 bytes", "Correct it.");
    }
  }

  BlobFile& file_;
  xml::Parser parser_{*this, xml::Encodings::kAny};
  std::size_t depth_ = 0;
  int line_ = 0;  // where the open element begins
  std::string name_;
  std::string value_;
  std::size_t bytes_ = 0;
};

}  // namespace

const std::string* BlobFile::find(std::string_view name) const {
  for (const auto& [entry, value] : entries) {
    if (entry == name) return &value;
  }
  return nullptr;
}

BlobFile parse_blob_file(BlobFileKind kind, std::string content,
                         const std::filesystem::path& path) {
  if (content.size() > kMaxBlobFileBytes) {
    throw Error(ErrorKind::kUsage, "file-too-large",
                path.string() + " has more than " + std::to_string(kMaxBlobFileBytes) + " bytes",
                "Check that this is the file you meant.");
  }
  if (content.empty()) {
    throw Error(ErrorKind::kUsage, "xml-malformed", path.string() + " is empty",
                "Write the document, or put None in dataset.csv.");
  }
  BlobFile file{kind, path, std::move(content), {}};
  BlobFileParser(file).parse();
  return file;
}

BlobFile load_blob_file(BlobFileKind kind, const std::filesystem::path& path) {
  // Opening a FIFO would wait for its writer.
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw Error(ErrorKind::kUsage, "blob-file-kind", path.string() + " is not a regular file",
                "Name an XML file, or None.");
  }
  return parse_blob_file(kind, posix::read_file(path, kMaxBlobFileBytes, ErrorKind::kUsage), path);
}

}  // namespace driveprep::job
