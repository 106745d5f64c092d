#include "agent/manifest/manifest_reader.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "agent/xml/parser.h"
#include "base/encoding.h"
#include "base/posix.h"

namespace driveprep::manifest {
namespace {

constexpr std::size_t kChunk = 64 * 1024;
// An NTFS path has at most 32767 units of at most 3 bytes; client data has no published limit.
constexpr std::size_t kMaxText = 128 * 1024;
constexpr std::size_t kMaxLists = 100'000;
// 16 TiB of page ranges of 4 MiB; the largest page blob has 8 TiB.
constexpr std::size_t kMaxPageRanges = 4'194'304;
constexpr std::uint64_t kLengthThatNeedsIds = 64 * kMiB;
constexpr std::size_t kMaxIdLength = 64;

enum class Node : std::uint8_t {
  kDocument,
  kManifest,
  kDrive,
  kDriveId,
  kCreator,
  kList,
  kListMetadata,
  kListProperties,
  kBlob,
  kBlobPath,
  kFilePath,
  kClientData,
  kSnapshot,
  kLength,
  kDisposition,
  kBlockList,
  kBlock,
  kPageRangeList,
  kPageRange,
  kBlobMetadata,
  kBlobProperties,
  kUnknown,
};

struct Rule {
  Node parent;
  std::string_view name;
  Node node;
  bool text;    // holds text, else elements
  bool single;  // at most once in its parent
};

constexpr Rule kRules[] = {
    {Node::kBlockList, "Block", Node::kBlock, false, false},
    {Node::kPageRangeList, "PageRange", Node::kPageRange, false, false},
    {Node::kDocument, "DriveManifest", Node::kManifest, false, true},
    {Node::kManifest, "Drive", Node::kDrive, false, true},
    {Node::kDrive, "DriveId", Node::kDriveId, true, true},
    {Node::kDrive, "ClientCreator", Node::kCreator, true, true},
    {Node::kDrive, "BlobList", Node::kList, false, false},
    {Node::kList, "MetadataPath", Node::kListMetadata, true, true},
    {Node::kList, "PropertiesPath", Node::kListProperties, true, true},
    {Node::kList, "Blob", Node::kBlob, false, false},
    {Node::kBlob, "BlobPath", Node::kBlobPath, true, true},
    {Node::kBlob, "FilePath", Node::kFilePath, true, true},
    {Node::kBlob, "ClientData", Node::kClientData, true, true},
    {Node::kBlob, "Snapshot", Node::kSnapshot, true, true},
    {Node::kBlob, "Length", Node::kLength, true, true},
    {Node::kBlob, "ImportDisposition", Node::kDisposition, true, true},
    {Node::kBlob, "BlockList", Node::kBlockList, false, true},
    {Node::kBlob, "PageRangeList", Node::kPageRangeList, false, true},
    {Node::kBlob, "MetadataPath", Node::kBlobMetadata, true, true},
    {Node::kBlob, "PropertiesPath", Node::kBlobProperties, true, true},
};
constexpr Rule kUnknownRule{Node::kUnknown, "", Node::kUnknown, false, false};

const Rule& rule_for(Node parent, std::string_view name) {
  for (const Rule& rule : kRules) {
    // The first letter settles nearly all of it without a call.
    if (rule.parent == parent && rule.name.size() == name.size() &&
        rule.name.front() == name.front() && rule.name == name) {
      return rule;
    }
  }
  return kUnknownRule;
}

constexpr std::uint32_t bit(Node node) { return 1U << static_cast<unsigned>(node); }

bool is_blank(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; });
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (text.empty() || result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

std::optional<Md5> parse_md5(std::string_view text) {
  Md5 hash{};
  if (!from_hex(text, hash)) return std::nullopt;
  return hash;
}

}  // namespace

class ManifestReader::Impl : private xml::Handler {
 public:
  Impl(Source source, std::string name)
      : source_(std::move(source)), name_(std::move(name)), parser_(*this), chunk_(kChunk) {
    while (lists_.empty() && advance()) {
    }
  }

  const ManifestHeader& header() const { return header_; }
  const std::vector<BlobList>& lists() const { return lists_; }
  std::uint64_t bytes() const { return bytes_; }

  bool next(Blob& blob) {
    while (ready_next_ == ready_count_) {
      ready_next_ = ready_count_ = 0;
      if (!advance()) return false;
    }
    // Swapping keeps the memory of both in use.
    std::swap(blob, ready_[ready_next_++]);
    return true;
  }

  Md5 md5() {
    require(ended_, "the hash of a manifest is asked for before its end");
    return md5_;
  }

 private:
  struct Level {
    const Rule* rule;
    std::uint32_t seen = 0;  // the single children so far
  };

  // Parses one more chunk; false at the end.
  bool advance() {
    if (ended_) return false;
    const std::size_t got = source_(chunk_);
    if (got == 0) {
      parser_.finish();
      ended_ = true;
      const Bytes raw = digest_.finish();
      std::copy(raw.begin(), raw.end(), md5_.begin());
      return true;
    }
    const ByteView data = ByteView(chunk_).first(got);
    digest_.update(data);
    bytes_ += got;
    parser_.feed(data);
    return true;
  }

  Error refusal(xml::Refusal, int line, const std::string& problem) const override {
    return Error(
        ErrorKind::kVerification, "manifest-invalid",
        name_ + ", line " + std::to_string(line) + ": " + problem,
        "Use the manifest as it was written; if it was never changed, prepare the drive anew.");
  }
  [[noreturn]] void fail(const std::string& problem) const {
    throw refusal(xml::Refusal::kMalformed, parser_.line(), problem);
  }

  void start(const xml::Element& element) override {
    const std::string_view name = element.name;
    const Node parent = levels_.empty() ? Node::kDocument : levels_.back().rule->node;
    const Rule& rule = parent == Node::kUnknown ? kUnknownRule : rule_for(parent, name);
    if (parent == Node::kDocument && rule.node != Node::kManifest) {
      fail("the document element is " + std::string(name) + ", not DriveManifest");
    }
    if (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.rule->text) {
        fail("element " + std::string(name) + " stands in the text of " +
             std::string(level.rule->name));
      }
      if (rule.single && (level.seen & bit(rule.node)) != 0) {
        fail("a second " + std::string(name) + " in one " + std::string(level.rule->name));
      }
      if (rule.node != Node::kUnknown) level.seen |= bit(rule.node);
    }
    levels_.push_back({&rule});
    if (rule.text) text_.clear();
    begin(rule, element.attributes);
  }

  void text(std::string_view text) override {
    if (levels_.empty()) return;
    const Rule& rule = *levels_.back().rule;
    if (rule.text) {
      if (text.size() > kMaxText - text_.size()) {
        fail("the text of " + std::string(rule.name) + " is longer than 128 KiB");
      }
      text_ += text;
    } else if (rule.node != Node::kUnknown && !is_blank(text)) {
      fail("text in " + std::string(rule.name) + ", which has only elements");
    }
  }

  void end() override {
    const Level level = levels_.back();
    levels_.pop_back();
    switch (level.rule->node) {
      case Node::kManifest: need(level, Node::kDrive); break;
      case Node::kDrive:
        need(level, Node::kDriveId);
        need(level, Node::kList);
        break;
      case Node::kDriveId:
        if (const char* problem = drive_id_problem(text_)) bad_text(level, problem);
        header_.drive_id = text_;
        break;
      case Node::kCreator: header_.client_creator = text_; break;
      case Node::kList: need(level, Node::kBlob); break;
      case Node::kListMetadata: attach(level, lists_.back().metadata); break;
      case Node::kListProperties: attach(level, lists_.back().properties); break;
      case Node::kBlob: end_blob(level); break;
      case Node::kBlobPath:
        if (const char* problem = blob_path_problem(text_)) bad_text(level, problem);
        blob_.header.blob_path = text_;
        break;
      case Node::kFilePath:
        if (const char* problem = drive_path_problem(text_)) bad_text(level, problem);
        blob_.header.file_path = text_;
        break;
      case Node::kClientData: blob_.header.client_data = text_; break;
      case Node::kSnapshot: blob_.header.snapshot = text_; break;
      case Node::kLength: {
        const std::optional<std::uint64_t> length = parse_number(text_);
        if (!length) bad_text(level, "is not a number of bytes");
        blob_.header.length = *length;
        break;
      }
      case Node::kDisposition:
        blob_.header.disposition = disposition_from(text_);
        if (!blob_.header.disposition) bad_text(level, "is not rename, no-overwrite or overwrite");
        break;
      case Node::kBlobMetadata: attach(level, blob_.header.metadata); break;
      case Node::kBlobProperties: attach(level, blob_.header.properties); break;
      default: break;
    }
  }

  void begin(const Rule& rule, std::span<const xml::Attribute> attributes) {
    switch (rule.node) {
      case Node::kManifest: {
        const std::string_view version = needed(rule, attributes, "Version");
        if (!is_known_version(version)) {
          bad_attribute(rule, "Version", version, "is not a known version");
        }
        header_.version = version;
        break;
      }
      case Node::kList:
        if ((levels_[levels_.size() - 2].seen & bit(Node::kDriveId)) == 0) {
          fail("DriveId does not precede the first BlobList");
        }
        if (lists_.size() == kMaxLists) fail("more than 100000 elements BlobList");
        lists_.emplace_back().id = find(attributes, "Id").value_or("");
        break;
      case Node::kListMetadata:
      case Node::kListProperties:
      case Node::kBlobMetadata:
      case Node::kBlobProperties: {
        const std::string_view hash = needed(rule, attributes, "Hash");
        const std::optional<Md5> value = parse_md5(hash);
        if (!value) bad_attribute(rule, "Hash", hash, "is not an MD5 of 32 hexadecimal digits");
        attached_hash_ = *value;
        break;
      }
      case Node::kBlob:
        blob_.list = lists_.size() - 1;
        blob_.header = {};
        blob_.with_ids = false;
        blob_.pieces.clear();
        checking_ = false;
        break;
      case Node::kBlockList: begin_pieces(BlobType::kBlock); break;
      case Node::kPageRangeList: begin_pieces(BlobType::kPage); break;
      case Node::kBlock:
      case Node::kPageRange: add_piece(rule, attributes); break;
      default: break;
    }
  }

  void begin_pieces(BlobType type) {
    const std::uint32_t seen = levels_[levels_.size() - 2].seen;
    if ((seen & bit(Node::kBlockList)) != 0 && (seen & bit(Node::kPageRangeList)) != 0) {
      fail("a Blob has both a BlockList and a PageRangeList");
    }
    blob_.header.type = type;
    // A length that comes behind the pieces is checked against them at the end of the blob.
    checking_ = (seen & bit(Node::kLength)) != 0;
    if (checking_) hold(rules_.begin(type, blob_.header.length));
  }

  void add_piece(const Rule& rule, std::span<const xml::Attribute> attributes) {
    Piece piece;
    piece.offset = number(rule, attributes, "Offset");
    const std::uint64_t length = number(rule, attributes, "Length");
    if (length > kMaxPieceLength) {
      bad_attribute(rule, "Length", std::to_string(length), "is longer than any piece may be");
    }
    piece.length = static_cast<std::uint32_t>(length);
    const std::string_view hash = needed(rule, attributes, "Hash");
    const std::optional<Md5> md5 = parse_md5(hash);
    if (!md5) bad_attribute(rule, "Hash", hash, "is not an MD5 of 32 hexadecimal digits");
    piece.hash = *md5;
    if (checking_) hold(rules_.piece(piece.offset, piece.length));
    if (rule.node == Node::kBlock) {
      check_id(rule, find(attributes, "Id"));
      if (blob_.pieces.size() == kMaxBlocks) fail("a Blob has more than 50000 blocks");
    } else if (blob_.pieces.size() == kMaxPageRanges) {
      fail("a Blob has more than 4194304 page ranges");
    }
    blob_.pieces.push_back(piece);
  }

  void check_id(const Rule& rule, std::optional<std::string_view> id) {
    const bool first = blob_.pieces.empty();
    if (first) {
      blob_.with_ids = id.has_value();
    } else if (blob_.with_ids != id.has_value()) {
      fail("only some blocks of a Blob have an Id");
    }
    if (!id) return;
    const std::optional<Bytes> raw = from_base64(*id);
    if (!raw || raw->empty() || raw->size() > kMaxIdLength) {
      bad_attribute(rule, "Id", *id, "is not base64 of 1 to 64 bytes");
    }
    if (first) id_length_ = raw->size();
    if (raw->size() != id_length_) {
      bad_attribute(rule, "Id", *id, "has another length than the blob's first Id");
    }
  }

  void end_blob(const Level& level) {
    need(level, Node::kBlobPath);
    need(level, Node::kFilePath);
    need(level, Node::kLength);
    if ((level.seen & (bit(Node::kBlockList) | bit(Node::kPageRangeList))) == 0) {
      fail("a Blob has neither a BlockList nor a PageRangeList");
    }
    if (!checking_) {
      hold(rules_.begin(blob_.header.type, blob_.header.length));
      for (const Piece& piece : blob_.pieces) hold(rules_.piece(piece.offset, piece.length));
    }
    hold(rules_.end());
    if (blob_.header.type == BlobType::kBlock && !blob_.with_ids &&
        blob_.header.length > kLengthThatNeedsIds) {
      fail("Blob " + blob_.header.blob_path + ": blocks of a blob above 64 MiB need an Id");
    }
    if (ready_count_ == ready_.size()) ready_.emplace_back();
    std::swap(ready_[ready_count_++], blob_);
  }

  void attach(const Level& level, std::optional<AttachedFile>& file) {
    if (const char* problem = drive_path_problem(text_)) bad_text(level, problem);
    file = AttachedFile{text_, attached_hash_};
  }

  static std::optional<std::string_view> find(std::span<const xml::Attribute> attributes,
                                              std::string_view name) {
    for (const xml::Attribute& attribute : attributes) {
      if (attribute.name == name) return attribute.value;
    }
    return std::nullopt;
  }

  std::string_view needed(const Rule& rule, std::span<const xml::Attribute> attributes,
                          std::string_view name) {
    const std::optional<std::string_view> value = find(attributes, name);
    if (!value) {
      fail("element " + std::string(rule.name) + " has no attribute " + std::string(name));
    }
    return *value;
  }

  std::uint64_t number(const Rule& rule, std::span<const xml::Attribute> attributes,
                       std::string_view name) {
    const std::string_view text = needed(rule, attributes, name);
    const std::optional<std::uint64_t> value = parse_number(text);
    if (!value) bad_attribute(rule, name, text, "is not a number of bytes");
    return *value;
  }

  void need(const Level& level, Node child) {
    if ((level.seen & bit(child)) != 0) return;
    const auto* rule = std::find_if(std::begin(kRules), std::end(kRules),
                                    [&](const Rule& candidate) { return candidate.node == child; });
    fail("element " + std::string(level.rule->name) + " has no " + std::string(rule->name));
  }

  void hold(const char* problem) {
    if (problem == nullptr) return;
    fail("Blob " + blob_.header.blob_path + ", piece " + std::to_string(rules_.count()) + ": " +
         problem);
  }

  [[noreturn]] void bad_text(const Level& level, const char* problem) {
    fail("the text of " + std::string(level.rule->name) + ", '" + text_.substr(0, 200) + "', " +
         problem);
  }

  [[noreturn]] void bad_attribute(const Rule& rule, std::string_view name, std::string_view value,
                                  const char* problem) {
    fail("attribute " + std::string(name) + " of " + std::string(rule.name) + ", '" +
         std::string(value.substr(0, 200)) + "', " + problem);
  }

  Source source_;
  std::string name_;
  xml::Parser parser_;
  Bytes chunk_;
  Digest digest_{Digest::Algorithm::kMd5};
  Md5 md5_{};
  std::uint64_t bytes_ = 0;
  bool ended_ = false;

  ManifestHeader header_;
  std::vector<BlobList> lists_;
  // Blobs that one chunk completed, [ready_next_, ready_count_); the rest of the vector is spare.
  std::vector<Blob> ready_;
  std::size_t ready_next_ = 0;
  std::size_t ready_count_ = 0;

  std::vector<Level> levels_;  // the open elements
  std::string text_;
  Md5 attached_hash_{};
  Blob blob_;  // the open one
  PieceRules rules_;
  bool checking_ = false;  // rules_ runs along
  std::size_t id_length_ = 0;
};

ManifestReader::ManifestReader(Source source, std::string name)
    : impl_(std::make_unique<Impl>(std::move(source), std::move(name))) {}
ManifestReader::~ManifestReader() = default;

const ManifestHeader& ManifestReader::header() const { return impl_->header(); }
bool ManifestReader::next(Blob& blob) { return impl_->next(blob); }
const std::vector<BlobList>& ManifestReader::lists() const { return impl_->lists(); }
Md5 ManifestReader::md5() { return impl_->md5(); }
std::uint64_t ManifestReader::bytes() const { return impl_->bytes(); }

ManifestReader::Source file_source(int fd, std::string name) {
  return [fd, name = std::move(name), offset = std::uint64_t{0}](MutableByteView out) mutable {
    const std::size_t got = posix::pread_up_to(fd, offset, out, name, ErrorKind::kVerification);
    offset += got;
    return got;
  };
}

}  // namespace driveprep::manifest
