// A connection's life: handshake, then request, answer, request, answer, one at a time and in order,
// each phase with its deadline.
#include "api/http/connection.h"

#include <openssl/ssl.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <ctime>
#include <optional>

#include "api/http/request_parser.h"
#include "api/http/response_text.h"

namespace rewrap {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr milliseconds kLastLinger{100};  // while the server stops

}  // namespace

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(HttpLoop* loop, std::shared_ptr<ServerState> state, AcceptedSocket accepted);

  void start();
  void drain();
  void close();

  // respond takes the handler's answer to request `sequence`, or nothing if it gave none.
  void respond(std::uint64_t sequence, std::optional<HttpResponse> response);

 private:
  enum class Phase { kHandshake, kIdle, kHeader, kBody, kHandler, kWrite, kLinger, kClosed };
  // Why the read or write in progress was cancelled.
  enum class Interruption { kNone, kTimeout, kEnd };

  void enter(Phase phase, milliseconds limit);
  void arm_timer();
  void on_deadline();
  void interrupt(Interruption why);
  bool handle_interruption();

  void on_handshake(const error_code& error);
  void await_bytes();
  void read();
  void on_read(const error_code& error, std::size_t len);
  void advance();
  void begin_body();
  void send_continue();
  void hand_over();
  void complete(HttpRequest* request);
  void refuse(int status);
  void begin_exchange(const std::string& method, const std::string& path);
  void end_exchange(bool delivered);
  void send(HttpResponse response);
  void on_written(const error_code& error);
  void linger();
  void half_close();
  void discard_input();

  template <typename Done>
  void write(std::string_view text, Done done) {
    if (tls_) {
      asio::async_write(*tls_, asio::buffer(text), std::move(done));
    } else {
      asio::async_write(socket_, asio::buffer(text), std::move(done));
    }
  }

  HttpLoop* const loop_;
  const std::shared_ptr<ServerState> state_;
  const HttpLimits& limits_;
  ConnectionSlot slot_;
  const std::string address_;
  const std::uint16_t port_;
  const bool wants_tls_;
  tcp::socket socket_;
  std::optional<asio::ssl::stream<tcp::socket&>> tls_;
  ClientCertificate client_;

  // One timer, moved lazily: most deadlines are replaced long before they are met.
  asio::steady_timer timer_;
  Clock::time_point deadline_;
  Clock::time_point armed_ = Clock::time_point::max();
  Phase phase_ = Phase::kHandshake;
  Interruption interruption_ = Interruption::kNone;

  RequestParser parser_;
  std::uint64_t sequence_ = 0;  // of the request that the handler has
  std::size_t num_requests_ = 0;
  std::size_t reserved_len_ = 0;  // of the budget for all bodies
  bool close_after_ = false;
  bool is_head_ = false;

  std::string outgoing_;
  std::optional<HttpExchange> exchange_;
  Clock::time_point exchange_began_;
  std::array<char, 1024> discarded_;
  std::size_t num_discarded_ = 0;
};

namespace {

// Reply is what a responder stands on: it takes the first answer to the loop, and tells the loop when
// there will be none. It keeps the connection's place, not the connection.
class Reply {
 public:
  Reply(std::shared_ptr<HttpLoopGate> gate, std::weak_ptr<HttpConnection> connection,
        std::uint64_t sequence)
      : gate_(std::move(gate)), connection_(std::move(connection)), sequence_(sequence) {}
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;
  ~Reply() {
    if (!answered_) post(std::nullopt);
  }

  void answer(HttpResponse response) {
    if (!answered_.exchange(true)) post(std::move(response));
  }

 private:
  void post(std::optional<HttpResponse> response) {
    gate_->post(
        [connection = connection_, sequence = sequence_, response = std::move(response)]() mutable {
          if (const auto found = connection.lock()) found->respond(sequence, std::move(response));
        });
  }

  const std::shared_ptr<HttpLoopGate> gate_;
  const std::weak_ptr<HttpConnection> connection_;
  const std::uint64_t sequence_;
  std::atomic<bool> answered_{false};
};

}  // namespace

HttpConnection::HttpConnection(HttpLoop* loop, std::shared_ptr<ServerState> state,
                               AcceptedSocket accepted)
    : loop_(loop),
      state_(std::move(state)),
      limits_(state_->limits()),
      slot_(std::move(accepted.slot)),
      address_(std::move(accepted.address)),
      port_(accepted.port),
      wants_tls_(accepted.tls != nullptr),
      socket_(std::move(accepted.socket)),
      timer_(loop->io),
      parser_(limits_) {
  if (wants_tls_) {
    // The stream owns the SSL object, which keeps its context: a reload leaves this one as it is.
    if (SSL* tls = SSL_new(accepted.tls.get())) tls_.emplace(socket_, tls);
  }
}

void HttpConnection::start() {
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  if (wants_tls_ && !tls_) {
    close();  // no memory for TLS; anything but to go on without
    return;
  }
  if (!tls_) {
    enter(Phase::kIdle, limits_.header);
    read();
    return;
  }
  enter(Phase::kHandshake, limits_.handshake);
  tls_->async_handshake(
      asio::ssl::stream_base::server,
      [self = shared_from_this()](const error_code& error) { self->on_handshake(error); });
}

void HttpConnection::on_handshake(const error_code& error) {
  if (phase_ == Phase::kClosed) return;
  if (error) {
    ++state_->failed_handshakes;
    close();
    return;
  }
  client_ = read_client_certificate(tls_->native_handle());
  enter(Phase::kIdle, limits_.header);
  read();
}

// ---- deadlines ----

void HttpConnection::enter(Phase phase, milliseconds limit) {
  phase_ = phase;
  deadline_ = Clock::now() + limit;
  if (deadline_ < armed_) arm_timer();
}

void HttpConnection::arm_timer() {
  armed_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([self = shared_from_this()](const error_code& error) {
    if (error || self->phase_ == Phase::kClosed) return;
    self->armed_ = Clock::time_point::max();
    if (Clock::now() < self->deadline_) {
      self->arm_timer();
    } else {
      self->on_deadline();
      if (self->phase_ != Phase::kClosed && self->armed_ == Clock::time_point::max())
        self->arm_timer();
    }
  });
}

void HttpConnection::on_deadline() {
  if (phase_ != Phase::kIdle && phase_ != Phase::kLinger) ++state_->timeouts;
  switch (phase_) {
    case Phase::kIdle:
      interrupt(Interruption::kEnd);
      return;
    case Phase::kHeader:
    case Phase::kBody:
      interrupt(Interruption::kTimeout);
      return;
    case Phase::kHandler:
      close_after_ = true;
      send(state_->error_response(503, exchange_->path));
      return;
    case Phase::kHandshake:
      ++state_->failed_handshakes;
      close();
      return;
    case Phase::kWrite:
    case Phase::kLinger:
    case Phase::kClosed:
      close();
  }
}

// interrupt ends the read or write in progress, whose callback then calls handle_interruption: a
// stream does one thing at a time.
void HttpConnection::interrupt(Interruption why) {
  interruption_ = why;
  deadline_ = Clock::now() + limits_.linger;  // in case the callback never comes
  error_code ignored;
  socket_.cancel(ignored);
}

bool HttpConnection::handle_interruption() {
  const Interruption why = interruption_;
  interruption_ = Interruption::kNone;
  if (why == Interruption::kTimeout) refuse(408);
  if (why == Interruption::kEnd) linger();
  return why != Interruption::kNone;
}

// ---- requests ----

void HttpConnection::read() {
  const std::span<char> room = parser_.room();
  const auto buffer = asio::buffer(room.data(), room.size());
  auto done = [self = shared_from_this()](const error_code& error, std::size_t len) {
    self->on_read(error, len);
  };
  if (tls_) {
    tls_->async_read_some(buffer, std::move(done));
  } else {
    socket_.async_read_some(buffer, std::move(done));
  }
}

void HttpConnection::on_read(const error_code& error, std::size_t len) {
  if (phase_ == Phase::kClosed || handle_interruption()) return;
  if (error) {
    // The client is gone, perhaps in the middle of a request: nobody is left to answer.
    close();
    return;
  }
  parser_.commit(len);
  advance();
}

void HttpConnection::advance() {
  switch (parser_.parse()) {
    case RequestParser::Progress::kNeedMore:
      await_bytes();
      return;
    case RequestParser::Progress::kHeader:
      begin_body();
      return;
    case RequestParser::Progress::kDone:
      hand_over();
      return;
    case RequestParser::Progress::kBad:
      refuse(parser_.status());
  }
}

// await_bytes reads on. A deadline is set when its phase begins, and never again within it: a client
// that sends byte by byte gains nothing.
void HttpConnection::await_bytes() {
  if (!parser_.started()) {
    if (state_->draining) {
      linger();
      return;
    }
    if (phase_ != Phase::kIdle) enter(Phase::kIdle, limits_.idle);
  } else if (!parser_.in_body() && phase_ != Phase::kHeader) {
    enter(Phase::kHeader, limits_.header);
  }
  read();
}

void HttpConnection::begin_body() {
  const std::size_t len = parser_.max_body_len();
  if (!state_->reserve_body(len)) {
    refuse(503);
    return;
  }
  reserved_len_ = len;
  enter(Phase::kBody, limits_.body);
  if (parser_.expects_continue()) {
    send_continue();
  } else {
    advance();
  }
}

void HttpConnection::send_continue() {
  write(kContinue, [self = shared_from_this()](const error_code& error, std::size_t) {
    if (self->phase_ == Phase::kClosed || self->handle_interruption()) return;
    if (error) {
      self->close();
    } else {
      self->advance();
    }
  });
}

// complete adds what the parser does not know.
void HttpConnection::complete(HttpRequest* request) {
  const auto id = request->header("X-Request-Id");
  request->id = id && is_fit_request_id(*id) ? std::string(*id) : state_->new_request_id();
  request->peer_address = address_;
  request->peer_port = port_;
  request->is_tls = tls_.has_value();
  request->client_certificate = client_;
  request->received = Clock::now();
}

void HttpConnection::hand_over() {
  const std::shared_ptr<HttpRequest> request = parser_.take();
  complete(request.get());
  begin_exchange(request->method, request->path);
  exchange_->id = request->id;
  ++num_requests_;
  ++state_->requests;
  close_after_ = !parser_.keep_alive() || num_requests_ >= limits_.num_requests_per_connection;
  enter(Phase::kHandler, limits_.handler);
  const auto reply = std::make_shared<Reply>(loop_->gate, weak_from_this(), ++sequence_);
  try {
    state_->handler()(request,
                      [reply](HttpResponse response) { reply->answer(std::move(response)); });
  } catch (...) {
    // If it gave the responder away, the answer may still come; else the reply goes unanswered now.
  }
}

// refuse answers what never reaches the handler, and closes: where the next request would begin is
// unknown.
void HttpConnection::refuse(int status) {
  ++state_->bad_requests;
  begin_exchange(parser_.method(), parser_.path());
  exchange_->id = state_->new_request_id();
  close_after_ = true;
  send(state_->error_response(status, exchange_->path));
}

void HttpConnection::respond(std::uint64_t sequence, std::optional<HttpResponse> response) {
  if (!response) ++state_->unanswered;
  if (phase_ != Phase::kHandler || sequence != sequence_) return;
  send(response ? std::move(*response) : state_->error_response(500, exchange_->path));
}

// ---- answers ----

void HttpConnection::begin_exchange(const std::string& method, const std::string& path) {
  exchange_.emplace();
  exchange_->peer_address = address_;
  exchange_->method = method;
  exchange_->path = path;
  exchange_began_ = Clock::now();
  is_head_ = method == "HEAD";
}

void HttpConnection::end_exchange(bool delivered) {
  if (!exchange_) return;
  exchange_->delivered = delivered;
  exchange_->duration =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - exchange_began_);
  state_->report(*exchange_);
  exchange_.reset();
  state_->release_body(std::exchange(reserved_len_, 0));
}

void HttpConnection::send(HttpResponse response) {
  if (!is_sendable_response(response)) response = state_->error_response(500, exchange_->path);
  close_after_ = close_after_ || response.close || state_->draining;
  exchange_->status = response.status;
  exchange_->response_len = response.body.size();
  ResponseFrame frame;
  frame.id = exchange_->id;
  frame.is_head = is_head_;
  frame.close = close_after_;
  frame.now = std::time(nullptr);
  outgoing_ = write_response(response, frame);
  enter(Phase::kWrite, limits_.write);
  write(outgoing_, [self = shared_from_this()](const error_code& error, std::size_t) {
    self->on_written(error);
  });
}

void HttpConnection::on_written(const error_code& error) {
  if (phase_ == Phase::kClosed) return;
  std::string().swap(outgoing_);
  end_exchange(!error);
  if (error) {
    close();
  } else if (close_after_) {
    linger();
  } else {
    parser_.next();
    advance();
  }
}

// ---- the end ----

// linger ends a connection so that the client can read what was sent: a socket closed with bytes
// unread sends a reset, which may overtake the answer (RFC 9112 section 9.6).
void HttpConnection::linger() {
  enter(Phase::kLinger, state_->draining ? std::min(limits_.linger, kLastLinger) : limits_.linger);
  if (!tls_) {
    half_close();
    return;
  }
  tls_->async_shutdown([self = shared_from_this()](const error_code& /*what the client did*/) {
    if (self->phase_ != Phase::kClosed) self->half_close();
  });
}

void HttpConnection::half_close() {
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  discard_input();
}

void HttpConnection::discard_input() {
  socket_.async_read_some(asio::buffer(discarded_),
                          [self = shared_from_this()](const error_code& error, std::size_t len) {
                            if (self->phase_ == Phase::kClosed) return;
                            self->num_discarded_ += len;
                            if (error || self->num_discarded_ > self->limits_.linger_len) {
                              self->close();
                            } else {
                              self->discard_input();
                            }
                          });
}

void HttpConnection::drain() {
  if (phase_ == Phase::kHandshake) close();
  if (phase_ == Phase::kIdle) interrupt(Interruption::kEnd);
  if (phase_ == Phase::kLinger) enter(phase_, std::min(limits_.linger, kLastLinger));
}

void HttpConnection::close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  end_exchange(false);
  state_->release_body(std::exchange(reserved_len_, 0));
  timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
  slot_.release();
  loop_->connections.erase(shared_from_this());
}

void start_connection(HttpLoop* loop, const std::shared_ptr<ServerState>& state,
                      AcceptedSocket accepted) {
  if (state->draining) return;
  const auto connection = std::make_shared<HttpConnection>(loop, state, std::move(accepted));
  loop->connections.insert(connection);
  connection->start();
}

void drain_connections(HttpLoop* loop) {
  // A copy: closing takes connections out of the set.
  const auto connections = loop->connections;
  for (const auto& connection : connections) connection->drain();
}

void abort_connections(HttpLoop* loop) {
  const auto connections = loop->connections;
  for (const auto& connection : connections) connection->close();
}

}  // namespace rewrap
