#include "agent/xml/parser.h"

#include <libxml/parser.h>
#include <libxml/xmlerror.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

namespace driveprep::xml {
namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxAttributes = 32;
// Below libxml2's own limit for one push, so that an int holds it.
constexpr std::size_t kPush = 64 * 1024;

std::string_view view(const xmlChar* text, std::size_t length) {
  return as_text(std::as_bytes(std::span(text, length)));
}
std::string_view view(const xmlChar* text) {
  if (text == nullptr) return {};
  return view(text, static_cast<std::size_t>(xmlStrlen(text)));
}

}  // namespace

struct Parser::Impl {
  Handler& handler;
  Encodings encodings;
  xmlParserCtxtPtr context = nullptr;
  std::exception_ptr thrown;  // by the handler: exceptions must not cross libxml2
  std::string problem;        // the first complaint of libxml2
  int problem_line = 0;
  bool begun = false;
  std::size_t depth = 0;
  std::vector<Attribute> attributes;

  Impl(Handler& the_handler, Encodings the_encodings)
      : handler(the_handler), encodings(the_encodings) {}
  ~Impl() { xmlFreeParserCtxt(context); }

  int line() const {
    return context != nullptr && context->input != nullptr ? context->input->line : 0;
  }

  [[noreturn]] void malformed(int at, const std::string& what) const {
    throw handler.refusal(Refusal::kMalformed, at, what);
  }

  // Runs a piece of a callback; after the first exception nothing runs any more.
  template <typename Action>
  void guarded(Action action) {
    if (thrown) return;
    try {
      action();
    } catch (...) {
      thrown = std::current_exception();
      xmlStopParser(context);
    }
  }

  void on_start(Element element, int namespaces, int count, const xmlChar** raw) {
    if (++depth > kMaxDepth) malformed(line(), "elements are nested more than 32 deep");
    if (count < 0 || static_cast<std::size_t>(count) > kMaxAttributes) {
      malformed(line(), "element " + std::string(element.name) + " has too many attributes");
    }
    attributes.clear();
    element.more_attributes = namespaces > 0;
    for (int i = 0; i < count; ++i, raw += 5) {
      // raw: local name, prefix, namespace, first and end of the value.
      if (raw[1] != nullptr) {
        element.more_attributes = true;
      } else {
        attributes.push_back(
            {view(raw[0]), view(raw[3], static_cast<std::size_t>(raw[4] - raw[3]))});
      }
    }
    element.attributes = attributes;
    handler.start(element);
  }

  void on_error(const xmlError& error) {
    if (error.level < XML_ERR_ERROR || !problem.empty()) return;
    problem = error.message == nullptr ? "not well-formed" : error.message;
    while (!problem.empty() && (problem.back() == '\n' || problem.back() == ' ')) {
      problem.pop_back();
    }
    problem_line = error.line > 0 ? error.line : line();
  }

  void check_result() {
    if (thrown) std::rethrow_exception(thrown);
    if (!problem.empty()) malformed(problem_line, "not well-formed XML: " + problem);
    if (context->wellFormed == 0) malformed(line(), "not well-formed XML");
  }
};

// libxml2 calls these with the Impl as their context.
struct Callbacks {
  using Impl = Parser::Impl;

  static Impl& self(void* context) { return *static_cast<Impl*>(context); }

  static void start_document(void* context) {
    Impl& impl = self(context);
    if (impl.encodings == Encodings::kAny) return;
    impl.guarded([&] {
      const xmlChar* encoding = impl.context->encoding;
      if (encoding != nullptr && xmlStrcasecmp(encoding, BAD_CAST "utf-8") != 0) {
        impl.malformed(1, "the encoding is " + std::string(view(encoding)) + ", not UTF-8");
      }
    });
  }
  static void document_type(void* context, const xmlChar*, const xmlChar*, const xmlChar*) {
    Impl& impl = self(context);
    impl.guarded([&] {
      throw impl.handler.refusal(Refusal::kDocumentType, impl.line(),
                                 "a document type is not allowed");
    });
  }
  static void start(void* context, const xmlChar* name, const xmlChar* prefix, const xmlChar*,
                    int namespaces, const xmlChar**, int count, int, const xmlChar** attributes) {
    self(context).guarded([&] {
      self(context).on_start({view(prefix), view(name), {}}, namespaces, count, attributes);
    });
  }
  static void end(void* context, const xmlChar*, const xmlChar*, const xmlChar*) {
    self(context).guarded([&] {
      --self(context).depth;
      self(context).handler.end();
    });
  }
  static void text(void* context, const xmlChar* data, int length) {
    self(context).guarded(
        [&] { self(context).handler.text(view(data, static_cast<std::size_t>(length))); });
  }
  static void error(void* context, xmlErrorPtr what) {
    self(context).guarded([&] { self(context).on_error(*what); });
  }
};

Parser::Parser(Handler& handler, Encodings encodings)
    : impl_(std::make_unique<Impl>(handler, encodings)) {
  xmlInitParser();
  xmlSAXHandler callbacks{};
  callbacks.initialized = XML_SAX2_MAGIC;
  callbacks.startDocument = Callbacks::start_document;
  callbacks.internalSubset = Callbacks::document_type;
  callbacks.startElementNs = Callbacks::start;
  callbacks.endElementNs = Callbacks::end;
  callbacks.characters = Callbacks::text;
  callbacks.ignorableWhitespace = Callbacks::text;
  callbacks.cdataBlock = Callbacks::text;
  callbacks.serror = Callbacks::error;
  impl_->context = xmlCreatePushParserCtxt(&callbacks, impl_.get(), nullptr, 0, nullptr);
  require(impl_->context != nullptr, "libxml2 made no parser");
  // NOENT: the five predefined entities arrive replaced in attributes too; there can be no others
  // without a document type.
  xmlCtxtUseOptions(impl_->context, XML_PARSE_NONET | XML_PARSE_NOENT);
}

Parser::~Parser() = default;

void Parser::feed(ByteView data) {
  if (data.empty()) return;
  if (!std::exchange(impl_->begun, true) && impl_->encodings == Encodings::kUtf8) {
    // Encodings other than UTF-8 are known by their first bytes.
    const std::string_view head = as_text(data.first(std::min<std::size_t>(data.size(), 4)));
    const std::string_view body = head.starts_with("\xEF\xBB\xBF") ? head.substr(3) : head;
    if (!(body.empty() || body.front() == '<') || head.find('\0') != std::string_view::npos) {
      impl_->malformed(1, "this is not an XML document in UTF-8");
    }
  }
  while (!data.empty()) {
    const ByteView push = data.first(std::min(data.size(), kPush));
    data = data.subspan(push.size());
    xmlParseChunk(impl_->context, as_text(push).data(), static_cast<int>(push.size()), 0);
    impl_->check_result();
  }
}

void Parser::finish() {
  xmlParseChunk(impl_->context, nullptr, 0, 1);
  impl_->check_result();
}

int Parser::line() const { return impl_->line(); }

}  // namespace driveprep::xml
