// libcurl with an allocator that wipes.
#include "hsm/awskms/http.h"

#include <curl/curl.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace rewrap {
namespace {

constexpr std::size_t kMaxErrorTypeLen = 256;

// ---- an allocator for libcurl ----

void free_wiped(void* memory) {
  if (memory == nullptr) return;
  wipe({static_cast<std::uint8_t*>(memory), malloc_usable_size(memory)});
  std::free(memory);
}

// realloc would leave what it moves.
void* realloc_wiped(void* memory, std::size_t len) {
  void* moved = std::malloc(len);
  if (moved == nullptr || memory == nullptr) return moved;
  std::memcpy(moved, memory, std::min(len, malloc_usable_size(memory)));
  free_wiped(memory);
  return moved;
}

// start_curl makes libcurl use that allocator, unless the program has started libcurl before.
bool start_curl() {
  static const bool started = curl_global_init_mem(CURL_GLOBAL_DEFAULT, std::malloc, free_wiped,
                                                   realloc_wiped, strdup, std::calloc) == CURLE_OK;
  return started;
}

// ---- callbacks ----

struct Exchange {
  HttpAnswer answer;
  std::size_t body_len = 0;
  const std::atomic<bool>* stop = nullptr;
};

std::size_t take_body(const char* data, std::size_t /*one*/, std::size_t len, void* to) {
  auto* exchange = static_cast<Exchange*>(to);
  const ByteSpan room = exchange->answer.body.expose_secret().subspan(exchange->body_len);
  if (len > room.size()) {
    exchange->answer.is_too_long = true;
    return 0;  // libcurl gives up
  }
  copy_bytes(room, {reinterpret_cast<const std::uint8_t*>(data), len});
  exchange->body_len += len;
  return len;
}

// value_of gives what follows "NAME:" in a header line, the name in any case.
std::string value_of(std::string_view line, std::string_view name) {
  if (line.size() <= name.size() || line[name.size()] != ':' ||
      strncasecmp(line.data(), name.data(), name.size()) != 0) {
    return {};
  }
  line.remove_prefix(name.size() + 1);
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t begin = std::min(line.find_first_not_of(kBlanks), line.size());
  line.remove_prefix(begin);
  return std::string(line.substr(0, line.find_last_not_of(kBlanks) + 1));
}

std::size_t take_header(const char* data, std::size_t /*one*/, std::size_t len, void* to) {
  HttpAnswer& answer = static_cast<Exchange*>(to)->answer;
  const std::string_view line(data, len);
  const std::string type = value_of(line, "x-amzn-errortype");
  if (!type.empty() && type.size() <= kMaxErrorTypeLen) answer.error_type = type;
  const std::string date = value_of(line, "date");
  if (!date.empty()) answer.date = curl_getdate(date.c_str(), nullptr);
  return len;
}

int is_stopped(void* from, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto* stop = static_cast<const Exchange*>(from)->stop;
  return stop != nullptr && stop->load() ? 1 : 0;
}

CURLcode set_up_tls(CURL* /*handle*/, void* context, void* /*unused*/) {
  SSL_CTX_set_options(static_cast<SSL_CTX*>(context), SSL_OP_CLEANSE_PLAINTEXT);
  return CURLE_OK;
}

// ---- one request ----

struct Deleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Handle = std::unique_ptr<CURL, Deleter>;
using Headers = std::unique_ptr<curl_slist, Deleter>;

// Options sets options one after the other, and remembers if one was refused.
class Options {
 public:
  explicit Options(CURL* handle) : handle_(handle) {}

  template <typename Value>
  void set(CURLoption option, Value value) {
    ok_ = ok_ && curl_easy_setopt(handle_, option, value) == CURLE_OK;
  }
  void set(CURLoption option, const std::string& value) { set(option, value.c_str()); }

  // set_secret gives libcurl a copy of the secret, which it wipes.
  void set_secret(CURLoption option, const SecretBuffer& secret) {
    auto text = SecretBuffer::create(secret.size() + 1);
    ok_ = ok_ && text.ok();
    if (!ok_) return;
    copy_bytes(text->expose_secret(), secret.expose_secret());
    set(option, reinterpret_cast<const char*>(text->expose_secret().data()));
  }

  [[nodiscard]] bool ok() const { return ok_; }

 private:
  CURL* handle_;
  bool ok_ = true;
};

// add_header takes lines that end in a zero byte.
bool add_header(Headers* headers, const char* line) {
  curl_slist* longer = curl_slist_append(headers->get(), line);
  if (longer == nullptr) return false;
  static_cast<void>(headers->release());
  headers->reset(longer);
  return true;
}

bool add_token(Headers* headers, const SecretBuffer& token) {
  if (token.empty()) return true;
  constexpr std::string_view kName = "X-Amz-Security-Token: ";
  auto line = SecretBuffer::create(kName.size() + token.size() + 1);
  if (!line.ok()) return false;
  copy_bytes(line->expose_secret(), as_bytes(kName));
  copy_bytes(line->expose_secret().subspan(kName.size()), token.expose_secret());
  return add_header(headers, reinterpret_cast<const char*>(line->expose_secret().data()));
}

// Every header in this list is signed, so it must be one that libcurl sends: "Expect:" is not.
bool make_headers(Headers* headers, const AwsCredentials& credentials, std::string_view target) {
  return add_header(headers, "Content-Type: application/x-amz-json-1.1") &&
         add_header(headers, ("X-Amz-Target: " + std::string(target)).c_str()) &&
         add_token(headers, credentials.session_token);
}

void set_connection(Options* options, const AwsKmsConfig& config,
                    const AwsCredentials& credentials) {
  options->set(CURLOPT_URL, endpoint_of(config) + "/");
  options->set(CURLOPT_PROTOCOLS_STR, "https");
  options->set(CURLOPT_FOLLOWLOCATION, 0L);
  options->set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  options->set(CURLOPT_NOSIGNAL, 1L);  // libcurl sends with MSG_NOSIGNAL
  options->set(CURLOPT_USERAGENT, "rewrap");
  options->set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  options->set(CURLOPT_SSL_VERIFYPEER, 1L);
  options->set(CURLOPT_SSL_VERIFYHOST, 2L);
  options->set(CURLOPT_SSL_SESSIONID_CACHE, 0L);
  options->set(CURLOPT_SSL_CTX_FUNCTION, set_up_tls);
  if (!config.ca_file.empty()) {
    options->set(CURLOPT_CAINFO, config.ca_file);
    options->set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
  options->set(CURLOPT_PROXY, config.proxy);  // "" keeps the environment's out, too
  if (!credentials.proxy_user.empty()) {
    options->set(CURLOPT_PROXYUSERNAME, credentials.proxy_user);
    options->set_secret(CURLOPT_PROXYPASSWORD, credentials.proxy_password);
  }
}

void set_request(Options* options, const AwsKmsConfig& config, const AwsCredentials& credentials,
                 const KmsRequest& request, const Headers& headers) {
  options->set(CURLOPT_AWS_SIGV4, "aws:amz:" + config.region + ":kms");
  options->set(CURLOPT_USERNAME, credentials.access_key_id);
  options->set_secret(CURLOPT_PASSWORD, credentials.secret_access_key);
  options->set(CURLOPT_HTTPHEADER, headers.get());
  options->set(CURLOPT_POST, 1L);
  options->set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
  options->set(CURLOPT_POSTFIELDS, reinterpret_cast<const char*>(request.body.data()));
  options->set(CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  options->set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.timeout.count()));
}

void set_callbacks(Options* options, Exchange* exchange) {
  options->set(CURLOPT_WRITEFUNCTION, take_body);
  options->set(CURLOPT_WRITEDATA, exchange);
  options->set(CURLOPT_HEADERFUNCTION, take_header);
  options->set(CURLOPT_HEADERDATA, exchange);
  options->set(CURLOPT_XFERINFOFUNCTION, is_stopped);
  options->set(CURLOPT_XFERINFODATA, exchange);
  options->set(CURLOPT_NOPROGRESS, 0L);
}

}  // namespace

Status check_environment() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody here changes the environment
  const char* file = std::getenv("SSLKEYLOGFILE");
  if (file == nullptr || *file == '\0') return {};
  return {Errc::kRefused,
          "SSLKEYLOGFILE is set: libcurl would write the keys of its TLS sessions into a file",
          "take it out of this program's environment"};
}

Result<HttpAnswer> post(const AwsKmsConfig& config, const AwsCredentials& credentials,
                        const KmsRequest& request) {
  const Status cannot(Errc::kInternal, "libcurl does not take a request as this program makes it",
                      "libcurl 7.85 or newer with OpenSSL is needed");
  Exchange exchange;
  exchange.stop = config.stop;
  REWRAP_ASSIGN(exchange.answer.body, SecretBuffer::create(kMaxKmsAnswerLen));
  if (!start_curl()) return cannot;
  const Handle handle(curl_easy_init());
  Headers headers;
  if (!handle || !make_headers(&headers, credentials, request.target)) return cannot;
  Options options(handle.get());
  set_connection(&options, config, credentials);
  set_request(&options, config, credentials, request, headers);
  set_callbacks(&options, &exchange);
  if (!options.ok()) return cannot;
  HttpAnswer& answer = exchange.answer;
  answer.curl_code = curl_easy_perform(handle.get());
  ERR_clear_error();
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  answer.body.shrink_to(exchange.body_len);
  return std::move(exchange.answer);
}

}  // namespace rewrap
