#include "keywrap/http/curl_transport.h"

#include <curl/curl.h>
#include <malloc.h>
#include <netdb.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "base/ascii.h"
#include "base/error.h"

namespace driveprep::keywrap::http {
namespace {

constexpr long kConnectTimeoutMilliseconds = 10'000;
constexpr long kLocalConnectTimeoutMilliseconds = 1'000;
constexpr std::size_t kFirstBodyBytes = 4096;
constexpr int kFirstErrorStatus = 400;

// --- memory of libcurl: tokens and keys pass through it, so nothing is freed unwiped

void wiping_free(void* memory) {
  if (memory == nullptr) return;
  OPENSSL_cleanse(memory, malloc_usable_size(memory));
  std::free(memory);
}

void* wiping_realloc(void* memory, std::size_t size) {
  if (memory == nullptr) return std::malloc(size);
  void* fresh = std::malloc(size);
  if (fresh == nullptr) return nullptr;
  std::memcpy(fresh, memory, std::min(size, malloc_usable_size(memory)));
  wiping_free(memory);
  return fresh;
}

char* plain_strdup(const char* text) { return ::strdup(text); }
void* plain_calloc(std::size_t count, std::size_t size) { return std::calloc(count, size); }
void* plain_malloc(std::size_t size) { return std::malloc(size); }

void initialise_once() {
  static const CURLcode result = curl_global_init_mem(
      CURL_GLOBAL_DEFAULT, plain_malloc, wiping_free, wiping_realloc, plain_strdup, plain_calloc);
  require(result == CURLE_OK, "libcurl does not start");
}

// --- one exchange

struct Received {
  SecretBytes body{kFirstBodyBytes};
  std::size_t size = 0;
  int status = 0;
  bool too_large = false;
  std::vector<Header> headers;

  // Of an error the status counts: what is too much of its body may be missing.
  bool is_cut_error() const { return too_large && status >= kFirstErrorStatus; }
};

std::size_t on_body(char* data, std::size_t, std::size_t size, void* context) {
  auto& received = *static_cast<Received*>(context);
  if (received.size + size > kMaxResponseBytes) {
    received.too_large = true;
    return 0;  // ends the exchange
  }
  if (received.size + size > received.body.size()) {
    SecretBytes larger(std::max(received.size + size, 2 * received.body.size()));
    std::ranges::copy(received.body.span().first(received.size), larger.span().begin());
    received.body = std::move(larger);
  }
  std::ranges::copy(as_bytes({data, size}),
                    received.body.span().begin() + static_cast<std::ptrdiff_t>(received.size));
  received.size += size;
  return size;
}

std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// 403 of "HTTP/1.1 403 Forbidden"; 0 when there is none.
int status_of(std::string_view line) {
  int status = 0;
  const std::size_t start = std::min(line.find(' '), line.size() - 1) + 1;
  (void)std::from_chars(line.data() + start, line.data() + line.size(), status);
  return status;
}

std::size_t on_header(char* data, std::size_t, std::size_t size, void* context) {
  auto& received = *static_cast<Received*>(context);
  const std::string_view line(data, size);
  // Of several answers (100, then 200) the last one counts.
  if (line.starts_with("HTTP/")) {
    received.headers.clear();
    received.status = status_of(line);
  }
  if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    received.headers.push_back({ascii::lower(trimmed(line.substr(0, colon))),
                                std::string(trimmed(line.substr(colon + 1)))});
  }
  return size;
}

// A list of header lines; the one with a secret is wiped with all other memory of libcurl.
class HeaderLines {
 public:
  explicit HeaderLines(const Request& request) {
    for (const Header& header : request.headers) add(header.name + ": " + header.value);
    if (request.body != nullptr) add("Expect:");  // no waiting for "100 Continue"
    if (!request.secret_header) return;
    const SecretHeader& secret = *request.secret_header;
    const std::string start =
        secret.name + ": " + secret.scheme + (secret.scheme.empty() ? "" : " ");
    SecretBytes line(start.size() + secret.value->size() + 1);
    std::ranges::copy(as_bytes(start), line.span().begin());
    std::ranges::copy(secret.value->span(),
                      line.span().begin() + static_cast<std::ptrdiff_t>(start.size()));
    append(line.text().data());  // the last byte is zero
  }
  HeaderLines(const HeaderLines&) = delete;
  HeaderLines& operator=(const HeaderLines&) = delete;
  ~HeaderLines() { curl_slist_free_all(list_); }

  curl_slist* list() const { return list_; }

 private:
  void add(const std::string& line) { append(line.c_str()); }
  void append(const char* line) {
    curl_slist* longer = curl_slist_append(list_, line);
    require(longer != nullptr, "no memory for the headers of a request");
    list_ = longer;
  }

  curl_slist* list_ = nullptr;
};

// Why a name could not be resolved: libcurl does not tell.
TransportError::Kind resolution_failure(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* addresses = nullptr;
  const int result = ::getaddrinfo(host.c_str(), "443", &hints, &addresses);
  if (result == 0) {
    ::freeaddrinfo(addresses);
    return TransportError::Kind::kNameUnresolved;  // it is there by now
  }
  return result == EAI_NONAME || result == EAI_NODATA ? TransportError::Kind::kNameUnknown
                                                      : TransportError::Kind::kNameUnresolved;
}

// A handshake that the network ended, not TLS. libcurl has one code for both and tells them apart
// in its text only: these are its own words for an error of the socket or the end of the stream,
// and OpenSSL's reason for the latter; any other reason of OpenSSL ("error:...:SSL routines::...")
// is TLS.
bool is_lost_connection(std::string_view reason) {
  constexpr std::array<std::string_view, 4> kLost = {
      "SSL_connect:", "Recv failure:", "Send failure:", "unexpected eof"};
  return std::ranges::any_of(
      kLost, [&](std::string_view words) { return reason.find(words) != std::string_view::npos; });
}

TransportError::Kind kind_of(CURLcode code, const std::string& host, std::string_view reason) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST: return resolution_failure(host);
    case CURLE_COULDNT_RESOLVE_PROXY: return TransportError::Kind::kNameUnresolved;
    case CURLE_OPERATION_TIMEDOUT: return TransportError::Kind::kTimeout;
    case CURLE_SSL_CONNECT_ERROR:
      return is_lost_connection(reason) ? TransportError::Kind::kNotConnected
                                        : TransportError::Kind::kTls;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED: return TransportError::Kind::kTls;
    default: return TransportError::Kind::kNotConnected;
  }
}

template <typename Value>
void set(CURL* curl, CURLoption option, Value value) {
  require(curl_easy_setopt(curl, option, value) == CURLE_OK, "libcurl does not take an option");
}

}  // namespace

// Handles that are not in use; each keeps its connections open for the next exchange.
class CurlTransport::Handles {
 public:
  explicit Handles(const TestEndpoints& endpoints) {
    for (const std::string& entry : endpoints.connect_to) {
      curl_slist* longer = curl_slist_append(connect_to_, entry.c_str());
      require(longer != nullptr, "no memory for test endpoints");
      connect_to_ = longer;
    }
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
  ~Handles() {
    for (CURL* curl : idle_) curl_easy_cleanup(curl);
    curl_slist_free_all(connect_to_);
  }

  curl_slist* connect_to() const { return connect_to_; }

  CURL* take() {
    const std::lock_guard guard(mutex_);
    if (idle_.empty()) {
      CURL* curl = curl_easy_init();
      require(curl != nullptr, "libcurl gives no handle");
      return curl;
    }
    CURL* curl = idle_.back();
    idle_.pop_back();
    return curl;
  }
  void give_back(CURL* curl) {
    curl_easy_reset(curl);  // forgets the request, keeps the connections
    const std::lock_guard guard(mutex_);
    idle_.push_back(curl);
  }

 private:
  std::mutex mutex_;
  std::vector<CURL*> idle_;
  curl_slist* connect_to_ = nullptr;
};

CurlTransport::CurlTransport(TestEndpoints endpoints) : endpoints_(std::move(endpoints)) {
  initialise_once();
  handles_ = std::make_unique<Handles>(endpoints_);
}

CurlTransport::~CurlTransport() = default;

Response CurlTransport::send(const Request& request) {
  struct Borrowed {
    Handles& handles;
    CURL* curl = handles.take();
    ~Borrowed() { handles.give_back(curl); }
  } borrowed{*handles_};
  CURL* curl = borrowed.curl;

  const HeaderLines lines(request);
  Received received;
  std::array<char, CURL_ERROR_SIZE> why{};
  set(curl, CURLOPT_URL, request.url.c_str());
  set(curl, CURLOPT_PROTOCOLS_STR, request.local_endpoint ? "http" : "https");
  set(curl, CURLOPT_FOLLOWLOCATION, 0L);
  set(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(curl, CURLOPT_SSL_VERIFYPEER, 1L);
  set(curl, CURLOPT_SSL_VERIFYHOST, 2L);
  set(curl, CURLOPT_NOSIGNAL, 1L);
  set(curl, CURLOPT_TCP_NODELAY, 1L);
  set(curl, CURLOPT_USERAGENT, "driveprep/" DRIVEPREP_VERSION);
  set(curl, CURLOPT_CONNECTTIMEOUT_MS,
      request.local_endpoint ? kLocalConnectTimeoutMilliseconds : kConnectTimeoutMilliseconds);
  set(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  set(curl, CURLOPT_ERRORBUFFER, why.data());
  set(curl, CURLOPT_HTTPHEADER, lines.list());
  set(curl, CURLOPT_WRITEFUNCTION, on_body);
  set(curl, CURLOPT_WRITEDATA, &received);
  set(curl, CURLOPT_HEADERFUNCTION, on_header);
  set(curl, CURLOPT_HEADERDATA, &received);
  if (request.local_endpoint) set(curl, CURLOPT_NOPROXY, "*");
  if (handles_->connect_to() != nullptr) set(curl, CURLOPT_CONNECT_TO, handles_->connect_to());
  if (!endpoints_.ca_file.empty()) set(curl, CURLOPT_CAINFO, endpoints_.ca_file.c_str());
  if (request.method == Method::kPost) {
    const std::string_view body = request.body == nullptr ? "" : request.body->text();
    set(curl, CURLOPT_POST, 1L);
    set(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    set(curl, CURLOPT_POSTFIELDS, body.data());  // not copied
  }

  const CURLcode code = curl_easy_perform(curl);
  const std::string host = host_of(request.url);
  if (received.too_large && !received.is_cut_error()) {
    throw TransportError(TransportError::Kind::kTooLarge,
                         host + " sent more than " + std::to_string(kMaxResponseBytes) + " bytes");
  }
  if (code != CURLE_OK && !received.is_cut_error()) {
    const std::string reason = why[0] != 0 ? why.data() : curl_easy_strerror(code);
    throw TransportError(kind_of(code, host, reason), host + ": " + reason);
  }
  Response response;
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  response.status = static_cast<int>(status);
  response.headers = std::move(received.headers);
  received.body.truncate(received.size);
  response.body = std::move(received.body);
  return response;
}

bool CurlTransport::resolves(const std::string& host) {
  const bool redirected = std::ranges::any_of(endpoints_.connect_to, [&](const std::string& entry) {
    return entry.starts_with(host + ":");
  });
  if (redirected) return true;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* addresses = nullptr;
  if (::getaddrinfo(host.c_str(), "443", &hints, &addresses) != 0) return false;
  ::freeaddrinfo(addresses);
  return true;
}

}  // namespace driveprep::keywrap::http
