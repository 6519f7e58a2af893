// Listening, accepting, starting and stopping.
#include "api/http/server.h"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <thread>
#include <utility>

#include "api/http/connection.h"

namespace rewrap {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr int kMaxThreads = 16;
constexpr milliseconds kAcceptPause{100};  // when descriptors have run out

Status socket_failure(const error_code& error, Literal call, Literal message) {
  const Status status = Status::from_errno(error.value(), call, message);
  const auto recoded = [&](Errc code, Literal hint) {
    return Status::from_native(code, Native::kPosix, status.native_number(),
                               strerrordesc_np(error.value()), call, message, hint);
  };
  if (error.value() == EADDRINUSE)
    return recoded(Errc::kConflict, "another program listens there: choose another port");
  if (error.value() == EADDRNOTAVAIL)
    return recoded(Errc::kInvalidArgument, "this host does not have that address");
  return status;
}

Status check_limits(const HttpLimits& limits) {
  const std::size_t sizes[] = {limits.header_len,      limits.target_len,
                               limits.num_headers,     limits.num_query_items,
                               limits.body_len,        limits.all_bodies_len,
                               limits.num_connections, limits.num_connections_per_address,
                               limits.linger_len,      limits.num_requests_per_connection};
  const milliseconds times[] = {limits.handshake, limits.header, limits.body,  limits.handler,
                                limits.write,     limits.idle,   limits.linger};
  constexpr std::size_t kMaxHeaderLen = std::size_t{1} << 20;
  constexpr std::size_t kMaxBodyLen = std::size_t{1} << 30;
  if (std::count(std::begin(sizes), std::end(sizes), 0U) > 0 ||
      std::any_of(std::begin(times), std::end(times),
                  [](milliseconds time) { return time <= milliseconds::zero(); })) {
    return {Errc::kInvalidArgument, "a limit of the HTTP server is zero"};
  }
  if (limits.header_len > kMaxHeaderLen || limits.body_len > kMaxBodyLen)
    return {Errc::kInvalidArgument, "the header limit is above 1 MiB, or the body's above 1 GiB"};
  return {};
}

Status check_config(const HttpServerConfig& config, const HttpHandler& handler) {
  if (!handler) return {Errc::kInvalidArgument, "the HTTP server has no handler"};
  if (config.listen.empty() || config.listen.size() > HttpServerConfig::kMaxListen)
    return {Errc::kInvalidArgument, "the HTTP server needs 1 to 16 addresses to listen on"};
  if (config.num_threads < 1 || config.num_threads > kMaxThreads)
    return {Errc::kInvalidArgument, "the HTTP server needs 1 to 16 network threads"};
  return check_limits(config.limits);
}

// allowed_connections leaves a quarter of the process's descriptors to stores, tokens and logs.
std::size_t allowed_connections(std::size_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
  return std::max<std::size_t>(1, std::min<std::size_t>(wanted, limit.rlim_cur / 4 * 3));
}

bool out_of_descriptors(const error_code& error) {
  return error.value() == EMFILE || error.value() == ENFILE || error.value() == ENOBUFS ||
         error.value() == ENOMEM;
}

struct Listener {
  Listener(asio::io_context* io, bool uses_tls) : acceptor(*io), pause(*io), tls(uses_tls) {}

  tcp::acceptor acceptor;
  asio::steady_timer pause;
  const bool tls;
};

Status open_listener(const HttpListen& where, Listener* listener) {
  error_code error;
  const asio::ip::address address = asio::ip::make_address(where.address, error);
  if (error) {
    return {Errc::kInvalidArgument, "an address to listen on is no IP address",
            "write it as 127.0.0.1, 0.0.0.0, ::1 or ::"};
  }
  if (!where.tls && !address.is_loopback()) {
    return {Errc::kInvalidArgument, "plain HTTP is for loopback addresses only",
            "use TLS, or listen on 127.0.0.1 or ::1"};
  }
  tcp::acceptor& acceptor = listener->acceptor;
  const tcp::endpoint endpoint(address, where.port);
  acceptor.open(endpoint.protocol(), error);
  if (error) return socket_failure(error, "socket", "cannot make a socket to listen on");
  acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && address.is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
  if (error) return socket_failure(error, "setsockopt", "cannot set a listening socket up");
  acceptor.bind(endpoint, error);
  if (error) return socket_failure(error, "bind", "cannot listen on the address and port");
  acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return socket_failure(error, "listen", "cannot listen on the address and port");
  return {};
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpServerConfig config, HttpHandler handler);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { stop(milliseconds::zero()); }

  Status start();
  void stop(milliseconds grace);
  Status reload_certificate();
  [[nodiscard]] std::vector<HttpListen> addresses() const;
  [[nodiscard]] HttpCounters counters() const { return state_->counters(); }

 private:
  Status listen();
  void accept(Listener* listener);
  void on_accept(Listener* listener, HttpLoop* loop, const error_code& error, tcp::socket socket);
  void hand_on(Listener* listener, HttpLoop* loop, tcp::socket socket);
  void on_every_loop(void (*work)(HttpLoop*));
  [[nodiscard]] bool uses_tls() const;

  std::shared_ptr<ServerState> state_;
  std::vector<std::unique_ptr<HttpLoop>> loops_;  // the first one accepts for all
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<HttpListen> addresses_;
  std::vector<std::thread> threads_;
  std::size_t next_loop_ = 0;
  std::mutex stop_mutex_;
};

HttpServer::Impl::Impl(HttpServerConfig config, HttpHandler handler) {
  const std::size_t num_connections = allowed_connections(config.limits.num_connections);
  for (int i = 0; i < config.num_threads; ++i) loops_.push_back(std::make_unique<HttpLoop>());
  state_ = std::make_shared<ServerState>(std::move(config), std::move(handler), num_connections);
}

bool HttpServer::Impl::uses_tls() const {
  const auto& listen = state_->config().listen;
  return std::any_of(listen.begin(), listen.end(), [](const HttpListen& each) { return each.tls; });
}

Status HttpServer::Impl::reload_certificate() {
  if (!uses_tls()) return {};
  const TlsFiles& files = state_->config().tls;
  REWRAP_ASSIGN(TlsServerContext context,
                load_tls_context(files.certificate, files.key, files.client_ca));
  state_->set_tls(std::move(context));
  return {};
}

Status HttpServer::Impl::listen() {
  for (const HttpListen& where : state_->config().listen) {
    listeners_.push_back(std::make_unique<Listener>(&loops_.front()->io, where.tls));
    REWRAP_TRY(open_listener(where, listeners_.back().get()));
    error_code error;
    const tcp::endpoint local = listeners_.back()->acceptor.local_endpoint(error);
    if (error) return socket_failure(error, "getsockname", "cannot tell the port listened on");
    addresses_.push_back({local.address().to_string(), local.port(), where.tls});
  }
  return {};
}

Status HttpServer::Impl::start() {
  REWRAP_TRY(reload_certificate());
  REWRAP_TRY(listen());
  for (const auto& listener : listeners_) accept(listener.get());
  for (const auto& loop : loops_) {
    threads_.emplace_back([io = &loop->io] { io->run(); });
    pthread_setname_np(threads_.back().native_handle(), "http");
  }
  return {};
}

std::vector<HttpListen> HttpServer::Impl::addresses() const { return addresses_; }

// accept waits for a client and gives its socket to the loops in turn.
void HttpServer::Impl::accept(Listener* listener) {
  HttpLoop* loop = loops_[next_loop_++ % loops_.size()].get();
  listener->acceptor.async_accept(
      loop->io, [this, listener, loop](const error_code& error, tcp::socket socket) {
        on_accept(listener, loop, error, std::move(socket));
      });
}

void HttpServer::Impl::on_accept(Listener* listener, HttpLoop* loop, const error_code& error,
                                 tcp::socket socket) {
  if (!listener->acceptor.is_open()) return;
  if (!error) hand_on(listener, loop, std::move(socket));
  if (!out_of_descriptors(error)) {
    accept(listener);
    return;
  }
  // The client waits in the kernel's queue; trying at once again would only burn the processor.
  listener->pause.expires_after(kAcceptPause);
  listener->pause.async_wait([this, listener](const error_code& cancelled) {
    if (!cancelled && listener->acceptor.is_open()) accept(listener);
  });
}

void HttpServer::Impl::hand_on(Listener* listener, HttpLoop* loop, tcp::socket socket) {
  error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return;  // gone already
  ++state_->accepted;
  std::string address = peer.address().to_string();
  ConnectionSlot slot = state_->admit(address);
  if (!slot.taken()) {
    ++state_->refused;
    return;
  }
  AcceptedSocket accepted{std::move(socket), std::move(slot),
                          listener->tls ? state_->tls() : nullptr, std::move(address), peer.port()};
  loop->gate->post([loop, state = state_, accepted = std::move(accepted)]() mutable {
    start_connection(loop, state, std::move(accepted));
  });
}

void HttpServer::Impl::on_every_loop(void (*work)(HttpLoop*)) {
  for (const auto& loop : loops_) loop->gate->post([work, each = loop.get()] { work(each); });
}

void HttpServer::Impl::stop(milliseconds grace) {
  const std::lock_guard lock(stop_mutex_);
  if (threads_.empty()) return;
  state_->draining = true;
  loops_.front()->gate->post([this] {
    for (const auto& listener : listeners_) {
      error_code ignored;
      listener->acceptor.close(ignored);
      listener->pause.cancel();
    }
  });
  on_every_loop(drain_connections);
  static_cast<void>(state_->wait_until_empty(grace));
  on_every_loop(abort_connections);
  for (const auto& loop : loops_) {
    // From here on responders find the gate closed. What is queued still runs: without work the
    // loop ends by itself.
    loop->gate->close();
    loop->work.reset();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  for (const auto& loop : loops_) loop->connections.clear();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerConfig config,
                                                      HttpHandler handler) {
  REWRAP_TRY(check_config(config, handler));
  auto impl = std::make_unique<Impl>(std::move(config), std::move(handler));
  REWRAP_TRY(impl->start());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::vector<HttpListen> HttpServer::addresses() const { return impl_->addresses(); }
Status HttpServer::reload_certificate() { return impl_->reload_certificate(); }
HttpCounters HttpServer::counters() const { return impl_->counters(); }
void HttpServer::stop(milliseconds grace) { impl_->stop(grace); }

}  // namespace rewrap
