// The one place that meets libxml2: a document is pushed in, elements come out as calls on a
// handler while it is read. No document type (hence no entities of its own), no network, elements
// at most 32 deep with at most 32 attributes. Comments and processing instructions are passed over.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace driveprep::xml {

// All views end with the call they are given to.
struct Attribute {
  std::string_view name;
  std::string_view value;
};

struct Element {
  std::string_view prefix;                // "" for nearly all
  std::string_view name;                  // local
  std::span<const Attribute> attributes;  // those without a prefix
  bool more_attributes = false;           // namespace declarations, attributes with a prefix
};

enum class Refusal {
  kMalformed,  // also: an encoding, a depth or a number of attributes that is not accepted
  kDocumentType,
};

// What a handler throws comes out of Parser::feed or finish; nothing is called after that.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void start(const Element& element) = 0;
  // A run of text in UTF-8; one text may come in several runs.
  virtual void text(std::string_view text) = 0;
  virtual void end() = 0;
  // What the parser throws when it will not go on. `problem` is half a sentence.
  virtual Error refusal(Refusal reason, int line, const std::string& problem) const = 0;
};

enum class Encodings {
  kUtf8,
  kAny,  // by byte order mark or declaration
};

class Parser {
 public:
  // The handler must outlive this.
  explicit Parser(Handler& handler, Encodings encodings = Encodings::kUtf8);
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser();

  void feed(ByteView data);
  // The end of the input: a document that is not complete is refused.
  void finish();

  // Where the parser stands, from 1; 0 before the first byte.
  int line() const;

 private:
  friend struct Callbacks;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driveprep::xml
