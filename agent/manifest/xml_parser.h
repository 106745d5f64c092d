// The one place of this module that meets libxml2: a document is pushed in, elements come out as
// calls on a handler while it is read. UTF-8 only; no document type (hence no entities of its own),
// no network, nesting at most 32 deep. Namespaces are not looked at: names are local names.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace driveprep::manifest {

struct XmlAttribute {
  std::string_view name;
  std::string_view value;
};

// May throw; the exception comes out of XmlParser::feed or finish.
class XmlHandler {
 public:
  virtual ~XmlHandler() = default;
  virtual void start(std::string_view name, std::span<const XmlAttribute> attributes) = 0;
  // A run of text; one text may come in several runs.
  virtual void text(std::string_view text) = 0;
  virtual void end() = 0;
};

class XmlParser {
 public:
  // `document` names the input in errors. The handler must outlive this.
  XmlParser(XmlHandler& handler, std::string document);
  XmlParser(const XmlParser&) = delete;
  XmlParser& operator=(const XmlParser&) = delete;
  ~XmlParser();

  void feed(ByteView data);
  // The end of the input: a document that is not complete is an error.
  void finish();

  // Throws kVerification "manifest-invalid" with the present line.
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  friend struct XmlCallbacks;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driveprep::manifest
