#include "agent/job/blob_files.h"

#include <libxml/xmlreader.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "base/encoding.h"
#include "base/error.h"
#include "base/posix.h"

namespace driveprep::job {
namespace {

constexpr std::array<std::string_view, 5> kImportProperties = {
    "Content-Type", "Content-MD5", "Content-Encoding", "Content-Language", "Cache-Control"};
constexpr std::array<std::string_view, 3> kExportProperties = {"Last-Modified", "Etag",
                                                               "Content-Length"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

// libxml2 gives UTF-8 in unsigned characters.
std::string text_of(const xmlChar* text) {
  if (text == nullptr) return {};
  const auto* bytes = static_cast<const char*>(static_cast<const void*>(text));
  return std::string(bytes, std::strlen(bytes));
}

struct ParserMessage {
  std::string text;
};

void keep_first_message(void* context, const char* message, xmlParserSeverities,
                        xmlTextReaderLocatorPtr) {
  auto* kept = static_cast<ParserMessage*>(context);
  if (!kept->text.empty() || message == nullptr) return;
  kept->text = message;
  while (kept->text.ends_with('\n')) kept->text.pop_back();
}

class BlobFileParser {
 public:
  explicit BlobFileParser(BlobFile& file) : file_(file) {
    require(file.content.size() <= kMaxBlobFileBytes, "a metadata file is larger than its limit");
    // No entity substitution and no network: an entity reference then shows up as a node.
    reader_.reset(xmlReaderForMemory(file.content.data(), static_cast<int>(file.content.size()),
                                     nullptr, nullptr, XML_PARSE_NONET | XML_PARSE_NOCDATA));
    require(reader_ != nullptr, "libxml2 made no reader");
    xmlTextReaderSetErrorHandler(reader_.get(), keep_first_message, &message_);
  }

  void parse() {
    bool root_seen = false;
    bool in_element = false;
    std::string name;
    std::string value;
    while (read()) {
      const int type = xmlTextReaderNodeType(reader_.get());
      const int depth = xmlTextReaderDepth(reader_.get());
      switch (type) {
        case XML_READER_TYPE_DOCUMENT_TYPE:
          fail("xml-doctype", "a document type declaration is not accepted", "Remove it.");
        case XML_READER_TYPE_ELEMENT: {
          const std::string tag = text_of(xmlTextReaderConstName(reader_.get()));
          if (xmlTextReaderHasAttributes(reader_.get()) == 1) {
            fail("xml-attribute", "element <" + tag + "> has attributes", "Remove them.");
          }
          const bool empty = xmlTextReaderIsEmptyElement(reader_.get()) == 1;
          if (depth == 0) {
            check_root(tag);
            root_seen = true;
          } else if (depth == 1) {
            name = tag;
            value.clear();
            in_element = !empty;
            if (empty) add(name, value);
          } else {
            fail("xml-nesting", "element <" + tag + "> lies inside <" + name + ">",
                 "Give every element text only.");
          }
          break;
        }
        case XML_READER_TYPE_END_ELEMENT:
          if (depth == 1) {
            add(name, value);
            in_element = false;
          }
          break;
        case XML_READER_TYPE_TEXT:
        case XML_READER_TYPE_CDATA:
        case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
        case XML_READER_TYPE_WHITESPACE: {
          const std::string text = text_of(xmlTextReaderConstValue(reader_.get()));
          if (in_element) {
            value += text;
          } else if (text.find_first_not_of(" \t\r\n") != std::string::npos) {
            fail("xml-text", "text stands between the elements", "Put it inside an element.");
          }
          break;
        }
        case XML_READER_TYPE_ENTITY_REFERENCE:
          fail("xml-entity", "an entity reference is not accepted", "Write the text itself.");
        default:
          break;  // comments, processing instructions
      }
    }
    require(root_seen, "libxml2 accepted a document without an element");
  }

 private:
  struct FreeReader {
    void operator()(xmlTextReader* reader) const { xmlFreeTextReader(reader); }
  };

  bool read() {
    switch (xmlTextReaderRead(reader_.get())) {
      case 1: return true;
      case 0: return false;
      default:
        fail("xml-malformed", "not well-formed XML: " + message_.text,
             "Correct the file; \"xmllint\" shows the place.");
    }
  }

  [[noreturn]] void fail(const char* code, const std::string& what, const std::string& remedy) {
    // The parser reads ahead: its own line counts only when it is the one that failed.
    xmlNode* node = message_.text.empty() ? xmlTextReaderCurrentNode(reader_.get()) : nullptr;
    const long line = node != nullptr ? xmlGetLineNo(node)
                                      : xmlTextReaderGetParserLineNumber(reader_.get());
    throw Error(ErrorKind::kUsage, code,
                file_.path.string() + ":" + std::to_string(line) + ": " + what, remedy);
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
      if (lower(other) == lower(name)) {
        fail("xml-repeated-name", "<" + name + "> comes twice (upper and lower case do not count)",
             "Keep one of them.");
      }
    }
    const bool carried =
        std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
    if (!carried || value.starts_with(' ') || value.ends_with(' ')) {
      fail("xml-value",
           "the value of <" + name + "> has line breaks, spaces at an end, or characters outside "
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
        is_letter(name.front()) && std::all_of(name.begin(), name.end(), [](char c) {
          return is_letter(c) || is_digit(c);
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
  ParserMessage message_;
  std::unique_ptr<xmlTextReader, FreeReader> reader_;
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
