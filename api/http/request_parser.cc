// Headers by Boost.Beast, which gets one only when it is whole, checks of our own for what Beast lets
// through, and bodies.
#include "api/http/request_parser.h"

#include <algorithm>
#include <array>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "api/http/chunked.h"
#include "api/http/target.h"

namespace rewrap {
namespace {

namespace http = boost::beast::http;
using BeastParser = http::request_parser<http::empty_body, WipingAllocator<char>>;

constexpr std::size_t kFirstRoom = std::size_t{4} << 10;
constexpr std::size_t kMinRoom = 512;      // room for less is made larger, or the buffer moved up
constexpr std::size_t kMaxEmptyLines = 4;  // before a request
constexpr std::array<std::string_view, 7> kMethods = {"GET",   "HEAD",   "POST",   "PUT",
                                                      "PATCH", "DELETE", "OPTIONS"};
// Fields whose doubles two readers could choose from differently.
constexpr std::array<std::string_view, 6> kSingleFields = {
    "Host", "Content-Length", "Transfer-Encoding", "Content-Type", "Authorization", "Expect"};

int status_of(const boost::beast::error_code& error) {
  if (error == http::error::bad_version) return 505;
  return 400;
}

std::string_view view_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

bool is_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// is_host allows what a host name, an address and a port are written with (RFC 9110 section 7.2). An
// empty one is allowed there too.
bool is_host(std::string_view text) {
  return text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("-._~:[]%!$&'()*+,;=").find(c) != std::string_view::npos;
         });
}

// has_version says whether a request line is whole and names an HTTP version: "GET / x" is a bad
// request, not one in an unknown HTTP.
bool has_version(std::string_view line) {
  if (std::count(line.begin(), line.end(), ' ') != 2) return false;
  const std::string_view word = line.substr(std::min(line.rfind(' ') + 1, line.size()));
  return word.size() == 8 && word.starts_with("HTTP/") && is_digits(word.substr(5, 1)) &&
         word[6] == '.' && is_digits(word.substr(7));
}

}  // namespace

class RequestParser::Impl {
 public:
  explicit Impl(const HttpLimits& limits) : limits_(limits), input_(kFirstRoom) { next(); }

  std::span<char> room();
  void commit(std::size_t len) { end_ += len; }
  Progress parse();
  void next();
  std::shared_ptr<HttpRequest> take() { return request_; }

  [[nodiscard]] bool started() const { return state_ != State::kHeader || end_ > begin_; }
  [[nodiscard]] bool in_body() const { return state_ == State::kBody; }
  [[nodiscard]] std::size_t max_body_len() const { return max_body_len_; }
  [[nodiscard]] bool expects_continue() const { return expects_continue_ && begin_ == end_; }
  [[nodiscard]] bool keep_alive() const { return keep_alive_; }
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const HttpRequest& request() const { return *request_; }

 private:
  enum class State { kHeader, kBody, kDone, kBad };

  Progress bad(int status);
  Progress parse_header();
  Progress parse_body();
  bool skip_empty_lines();
  int scan_header(bool* whole);
  int read_header();
  int check_fields();
  int check_framing();
  int check_expectation();
  void guess_request_line();
  [[nodiscard]] std::string_view pending() const { return {input_.data() + begin_, end_ - begin_}; }

  const HttpLimits& limits_;
  WipedBytes input_;
  std::size_t begin_ = 0;  // of what is not parsed yet
  std::size_t end_ = 0;
  State state_ = State::kHeader;
  std::size_t num_empty_lines_ = 0;
  std::size_t scanned_ = 0;  // bytes of the header looked at, and its lines among them
  std::size_t num_lines_ = 0;
  std::optional<BeastParser> beast_;
  std::optional<ChunkedBody> chunks_;
  std::shared_ptr<HttpRequest> request_;
  std::size_t max_body_len_ = 0;
  bool expects_continue_ = false;
  bool keep_alive_ = false;
  int status_ = 0;
};

void RequestParser::Impl::next() {
  beast_.reset();
  chunks_.reset();
  request_ = std::make_shared<HttpRequest>();
  state_ = State::kHeader;
  num_empty_lines_ = scanned_ = num_lines_ = max_body_len_ = 0;
  expects_continue_ = keep_alive_ = false;
  status_ = 0;
  if (begin_ == end_) {
    // What the last request left is wiped, and a connection at rest holds little memory.
    wipe({reinterpret_cast<std::uint8_t*>(input_.data()), end_});
    begin_ = end_ = 0;
    if (input_.size() > kFirstRoom) WipedBytes(kFirstRoom).swap(input_);
  }
}

std::span<char> RequestParser::Impl::room() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (input_.size() - end_ < kMinRoom && begin_ > 0) {
    std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  const std::size_t max_len = limits_.header_len + kMinRoom;
  const bool wanted = state_ == State::kBody || input_.size() - end_ < kMinRoom;
  if (wanted && input_.size() < max_len) input_.resize(std::min(max_len, input_.size() * 4));
  return {input_.data() + end_, input_.size() - end_};
}

RequestParser::Progress RequestParser::Impl::bad(int status) {
  state_ = State::kBad;
  status_ = status;
  if (request_->path.empty()) guess_request_line();
  return Progress::kBad;
}

// guess_request_line reads the first line of a request that cannot be parsed, so that its answer can
// have the shape of the API that was meant.
void RequestParser::Impl::guess_request_line() {
  if (beast_) {  // it was parsed; its target is none
    request_->path = plain_beginning(request_->target);
    return;
  }
  std::string_view line = pending().substr(0, scanned_);
  line = line.substr(0, line.find('\r'));
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos) return;
  const std::string_view rest = line.substr(first + 1);
  HttpRequest guess;
  guess.method = line.substr(0, first);
  guess.target = rest.substr(0, rest.find_first_of(" ?"));
  std::string authority;
  if (std::find(kMethods.begin(), kMethods.end(), guess.method) == kMethods.end()) return;
  request_->method = guess.method;
  if (read_target(limits_, &guess, &authority) != 0) guess.path = plain_beginning(guess.target);
  request_->path.swap(guess.path);
}

RequestParser::Progress RequestParser::Impl::parse() {
  switch (state_) {
    case State::kHeader:
      return parse_header();
    case State::kBody:
      return parse_body();
    case State::kDone:
      return Progress::kDone;
    case State::kBad:
      break;
  }
  return Progress::kBad;
}

// skip_empty_lines steps over line ends before a request; some clients send one after a body. False
// if there are too many.
bool RequestParser::Impl::skip_empty_lines() {
  while (scanned_ == 0 && pending().starts_with("\r\n")) {
    begin_ += 2;
    if (++num_empty_lines_ > kMaxEmptyLines) return false;
  }
  return true;
}

// scan_header goes over the new bytes up to the empty line that ends the header. Beast gets the
// header only then: it would take it line by line otherwise, and count each part alone.
int RequestParser::Impl::scan_header(bool* whole) {
  const std::string_view text = pending();
  for (; scanned_ < text.size(); ++scanned_) {
    if (scanned_ >= limits_.header_len) return num_lines_ == 0 ? 414 : 431;
    const char c = text[scanned_];
    if (c == '\0') return 400;
    // A lone CR or LF ends a line for some readers and not for others.
    if (scanned_ > 0 && (c == '\n') != (text[scanned_ - 1] == '\r')) return 400;
    if (c != '\n') continue;
    if (scanned_ == 0) return 400;
    ++num_lines_;
    if (scanned_ >= 3 && text[scanned_ - 2] == '\n') {
      *whole = true;
      ++scanned_;
      return 0;
    }
    if (num_lines_ > limits_.num_headers + 1) return 431;
  }
  return 0;
}

RequestParser::Progress RequestParser::Impl::parse_header() {
  if (!skip_empty_lines()) return bad(400);
  if (pending() == "\r") return Progress::kNeedMore;  // it may be an empty line yet
  bool whole = false;
  if (const int status = scan_header(&whole); status != 0) return bad(status);
  if (!whole) return Progress::kNeedMore;
  beast_.emplace();
  beast_->header_limit(static_cast<std::uint32_t>(limits_.header_len + 1));
  beast_->body_limit(boost::none);  // read here
  boost::beast::error_code error;
  beast_->put({input_.data() + begin_, scanned_}, error);
  // With a header that is whole, "need more" is Beast's word for a broken one.
  if (error) {
    const std::string_view line = pending().substr(0, pending().find('\r'));
    const int status = status_of(error);
    beast_.reset();
    return bad(status == 505 && !has_version(line) ? 400 : status);
  }
  const int refusal = read_header();
  begin_ += scanned_;
  if (refusal != 0) return bad(refusal);
  // HTTP/1.0 does not know it (RFC 9110 section 10.1.1).
  expects_continue_ = request_->header("Expect").has_value() && beast_->get().version() >= 11;
  keep_alive_ = beast_->keep_alive();
  state_ = chunks_ || max_body_len_ > 0 ? State::kBody : State::kDone;
  return state_ == State::kDone ? Progress::kDone : Progress::kHeader;
}

int RequestParser::Impl::read_header() {
  const auto& message = beast_->get();
  request_->method = view_of(message.method_string());
  request_->target = view_of(message.target());
  request_->headers.reserve(num_lines_);
  for (const auto& field : message) {
    HttpHeader& header = request_->headers.emplace_back();
    header.name = view_of(field.name_string());
    header.value = view_of(field.value());
  }
  std::string authority;
  if (const int status = read_target(limits_, request_.get(), &authority); status != 0) {
    const bool not_ours = request_->method == "CONNECT";  // whose target is a host and a port
    return not_ours ? 405 : status;
  }
  if (request_->method == "CONNECT" || request_->method == "TRACE") return 405;
  if (std::find(kMethods.begin(), kMethods.end(), request_->method) == kMethods.end()) return 501;
  if (!is_host(authority)) return 400;
  for (const auto check : {&Impl::check_fields, &Impl::check_framing, &Impl::check_expectation}) {
    if (const int status = (this->*check)(); status != 0) return status;
  }
  return 0;
}

int RequestParser::Impl::check_fields() {
  for (const std::string_view name : kSingleFields) {
    const auto count = std::count_if(
        request_->headers.begin(), request_->headers.end(),
        [&](const HttpHeader& header) { return same_header_name(header.name, name); });
    if (count > 1) return 400;
  }
  const auto host = request_->header("Host");
  if (!host && beast_->get().version() >= 11) return 400;
  return host && !is_host(*host) ? 400 : 0;
}

// check_framing refuses whatever two servers in a row could cut into requests differently (RFC 9112
// section 11.2).
int RequestParser::Impl::check_framing() {
  const auto length = request_->header("Content-Length");
  const auto coding = request_->header("Transfer-Encoding");
  if (length && (coding || !is_digits(*length))) return 400;
  if (length) {
    const char* end = length->data() + length->size();
    const bool fits = std::from_chars(length->data(), end, max_body_len_).ec == std::errc();
    return !fits || max_body_len_ > limits_.body_len ? 413 : 0;
  }
  if (!coding) return 0;
  if (beast_->get().version() < 11) return 400;
  if (!same_header_name(*coding, "chunked")) return 501;
  max_body_len_ = limits_.body_len;
  chunks_.emplace(limits_.body_len, limits_.header_len);
  return 0;
}

int RequestParser::Impl::check_expectation() {
  const auto expect = request_->header("Expect");
  if (!expect) return 0;
  return same_header_name(*expect, "100-continue") ? 0 : 417;
}

RequestParser::Progress RequestParser::Impl::parse_body() {
  WipedString& body = request_->body;
  std::string_view bytes = pending();
  int status = 0;
  if (chunks_) {
    status = chunks_->feed(&bytes, &body);
  } else {
    const std::size_t len = std::min(max_body_len_ - body.size(), bytes.size());
    // Room for what has come and not for what was announced, which costs a client nothing.
    body.append(bytes.data(), len);
    bytes.remove_prefix(len);
  }
  begin_ = end_ - bytes.size();
  if (status != 0) return bad(status);
  if (chunks_ ? !chunks_->done() : body.size() < max_body_len_) return Progress::kNeedMore;
  state_ = State::kDone;
  return Progress::kDone;
}

RequestParser::RequestParser(const HttpLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;

std::span<char> RequestParser::room() { return impl_->room(); }
void RequestParser::commit(std::size_t len) { impl_->commit(len); }
RequestParser::Progress RequestParser::parse() { return impl_->parse(); }
bool RequestParser::started() const { return impl_->started(); }
bool RequestParser::in_body() const { return impl_->in_body(); }
std::size_t RequestParser::max_body_len() const { return impl_->max_body_len(); }
bool RequestParser::expects_continue() const { return impl_->expects_continue(); }
bool RequestParser::keep_alive() const { return impl_->keep_alive(); }
int RequestParser::status() const { return impl_->status(); }
std::string RequestParser::method() const { return impl_->request().method; }
std::string RequestParser::path() const { return impl_->request().path; }
std::shared_ptr<HttpRequest> RequestParser::take() { return impl_->take(); }
void RequestParser::next() { impl_->next(); }

}  // namespace rewrap
