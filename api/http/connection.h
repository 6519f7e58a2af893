// One client's connection, and the loop that it lives on. For server.cc and connection.cc: includes
// Boost.Asio.
#ifndef REWRAP_API_HTTP_CONNECTION_H_
#define REWRAP_API_HTTP_CONNECTION_H_

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <utility>

#include "api/http/server_state.h"

namespace rewrap {

class HttpConnection;

// HttpLoopGate lets any thread give work to a loop, for as long as the loop is there. Responders keep it,
// for they may outlive the server.
class HttpLoopGate {
 public:
  explicit HttpLoopGate(boost::asio::io_context* io) : io_(io) {}

  template <typename Work>
  void post(Work work) {
    const std::lock_guard lock(mutex_);
    if (io_ != nullptr) boost::asio::post(*io_, std::move(work));
  }

  void close() {
    const std::lock_guard lock(mutex_);
    io_ = nullptr;
  }

 private:
  std::mutex mutex_;
  boost::asio::io_context* io_;
};

// HttpLoop is what one network thread runs. A connection stays on its loop, and is touched by that thread
// only: no locks, no strands.
struct HttpLoop {
  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
  std::shared_ptr<HttpLoopGate> gate = std::make_shared<HttpLoopGate>(&io);
  std::unordered_set<std::shared_ptr<HttpConnection>> connections;
};

struct AcceptedSocket {
  boost::asio::ip::tcp::socket socket;
  ConnectionSlot slot;
  TlsServerContext tls;  // null: plain HTTP
  std::string address;
  std::uint16_t port = 0;
};

// All of these on the loop's thread.
void start_connection(HttpLoop* loop, const std::shared_ptr<ServerState>& state,
                      AcceptedSocket accepted);
void drain_connections(HttpLoop* loop);  // idle ones close, others after their answer
void abort_connections(HttpLoop* loop);

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_CONNECTION_H_
