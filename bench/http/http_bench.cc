// Keep-alive GETs over TLS against the HTTP server in this process, or one that runs elsewhere on this
// machine: rate and latencies, at a given rate or as fast as they go, while other threads compute or
// not.
//
// Usage: http_bench [--seconds=S] [--rate=N] [--connections=C] [--threads=T] [--compute=K]
//                   [--server-cpu=X] [--slow=M] [--port=P [PATH ...]]
//
// With --port no server is started here: requests go to that port of the loopback address, the PATHs
// in turn, with the credentials (base64 of NAME:PASSWORD) that REWRAP_BENCH_LOG_IN holds.
// Each connection has a client thread of its own. With a rate, requests are due at fixed times and
// their latency counts from then: a server that stalls is not excused for the requests that could not
// be sent meanwhile. --compute starts threads that only burn time, --server-cpu puts them and the
// server on that one processor, --slow opens that many connections that send a byte a second.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "api/http/server.h"
#include "api/http/tls_certificate.h"

namespace rewrap {
namespace {

using Clock = std::chrono::steady_clock;

struct Settings {
  int seconds = 5;
  int rate = 0;  // 0: as fast as they go
  int connections = 16;
  int threads = 1;
  int compute = 0;
  int server_cpu = -1;
  int slow = 0;
  int port = 0;  // 0: of the server in this process
  std::vector<std::string> requests;
};

struct Tally {
  std::vector<double> latencies_ms;
  int num_errors = 0;
};

void fail(const char* what) {
  static_cast<void>(std::fprintf(stderr, "http_bench: %s\n", what));
  std::exit(1);
}

void run_on_cpu(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) fail("no such processor");
}

int connect_to(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail("cannot connect");
  return fd;
}

std::string make_request(const std::string& path, const std::string& log_in) {
  return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nAuthorization: Basic " +
         log_in + "\r\nUser-Agent: http_bench\r\n\r\n";
}

// is_whole says whether a reply with a Content-Length is there to its end.
bool is_whole(std::string_view reply) {
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  const std::size_t end = reply.find("\r\n\r\n");
  const std::size_t length = reply.find(kLength);
  if (end == std::string_view::npos || length > end) return false;
  const auto len = std::strtoul(reply.data() + length + kLength.size(), nullptr, 10);
  return reply.size() >= end + 4 + len;
}

bool ask(SSL* tls, const std::string& request) {
  if (SSL_write(tls, request.data(), static_cast<int>(request.size())) <= 0) return false;
  std::string reply;
  char bytes[16'384];
  while (!is_whole(reply)) {
    const int got = SSL_read(tls, bytes, sizeof bytes);
    if (got <= 0) return false;
    reply.append(bytes, static_cast<std::size_t>(got));
  }
  return reply.starts_with("HTTP/1.1 200 ");
}

void run_client(const Settings& settings, std::uint16_t port, int index, Clock::time_point begin,
                SSL_CTX* context, Tally* tally) {
  SSL* tls = SSL_new(context);
  SSL_set_fd(tls, connect_to(port));
  if (SSL_connect(tls) != 1) fail("handshake failed");
  const Clock::time_point end = begin + std::chrono::seconds(settings.seconds);
  const auto interval =
      settings.rate == 0
          ? Clock::duration::zero()
          : Clock::duration(std::chrono::seconds(settings.connections)) / settings.rate;
  Clock::time_point due = begin + interval * index / settings.connections;
  if (!ask(tls, settings.requests.front())) ++tally->num_errors;  // logs in, and does not count
  std::this_thread::sleep_until(due);
  for (auto turn = static_cast<std::size_t>(index); due < end; ++turn) {
    if (!ask(tls, settings.requests[turn % settings.requests.size()])) ++tally->num_errors;
    const Clock::time_point now = Clock::now();
    tally->latencies_ms.push_back(std::chrono::duration<double, std::milli>(now - due).count());
    due = settings.rate == 0 ? now : due + interval;
    if (due > now) std::this_thread::sleep_until(due);
  }
  SSL_free(tls);
}

Settings parse(int argc, char** argv) {
  Settings settings;
  const std::pair<std::string_view, int*> options[] = {{"--seconds=", &settings.seconds},
                                                       {"--rate=", &settings.rate},
                                                       {"--connections=", &settings.connections},
                                                       {"--threads=", &settings.threads},
                                                       {"--compute=", &settings.compute},
                                                       {"--server-cpu=", &settings.server_cpu},
                                                       {"--slow=", &settings.slow},
                                                       {"--port=", &settings.port}};
  const char* log_in = std::getenv("REWRAP_BENCH_LOG_IN");
  if (log_in == nullptr) log_in = "YWRtaW46cGFzc3dvcmQ=";
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word.starts_with('/')) {
      settings.requests.push_back(make_request(argv[i], log_in));
      continue;
    }
    const auto* found = std::find_if(std::begin(options), std::end(options),
                                     [&](const auto& o) { return word.starts_with(o.first); });
    if (found == std::end(options)) fail("unknown option; the usage is at the top of its source");
    *found->second = static_cast<int>(std::strtol(argv[i] + found->first.size(), nullptr, 10));
  }
  if (settings.requests.empty())
    settings.requests.push_back(make_request("/api/cluster/jobs/1", log_in));
  return settings;
}

std::unique_ptr<HttpServer> start_server(const Settings& settings, const std::string& folder) {
  HttpServerConfig config;
  config.listen = {{"127.0.0.1", 0, true}, {"127.0.0.1", 0, false}};
  config.tls = {folder + "/tls.crt", folder + "/tls.key", ""};
  config.num_threads = settings.threads;
  if (!make_self_signed(config.tls.certificate, config.tls.key).ok()) fail("no certificate");
  auto server = HttpServer::start(config, [](const std::shared_ptr<const HttpRequest>& /*request*/,
                                             const HttpRespond& respond) {
    HttpResponse response;
    response.body =
        "{\"uuid\":\"0\",\"state\":\"running\",\"padding\":\"" + std::string(500, 'x') + "\"\n}";
    respond(std::move(response));
  });
  if (!server.ok()) fail(server.status().describe().c_str());
  return std::move(server).value();
}

void report(const Settings& settings, std::vector<Tally>* tallies) {
  std::vector<double> all;
  int num_errors = 0;
  for (const Tally& tally : *tallies) {
    all.insert(all.end(), tally.latencies_ms.begin(), tally.latencies_ms.end());
    num_errors += tally.num_errors;
  }
  if (all.empty()) fail("no request was answered");
  std::sort(all.begin(), all.end());
  const auto at = [&](double share) {
    return all[static_cast<std::size_t>(share * static_cast<double>(all.size() - 1))];
  };
  std::printf(
      "%zu requests, %.0f/s, %d errors; latency ms: p50 %.2f, p99 %.2f, p99.9 %.2f, max %.2f\n",
      all.size(), static_cast<double>(all.size()) / settings.seconds, num_errors, at(0.5), at(0.99),
      at(0.999), all.back());
}

void run(const Settings& settings) {
  std::string folder = std::filesystem::temp_directory_path() / "rewrap-bench-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) fail("no temporary directory");
  cpu_set_t everywhere;
  sched_getaffinity(0, sizeof everywhere, &everywhere);
  run_on_cpu(settings.server_cpu);  // inherited by the threads started now
  std::unique_ptr<HttpServer> server;
  if (settings.port == 0) server = start_server(settings, folder);
  // Plain HTTP where it is ours: a client that drips costs least so.
  const auto port = static_cast<std::uint16_t>(settings.port);
  const std::uint16_t tls_port = server ? server->addresses()[0].port : port;
  const std::uint16_t slow_port = server ? server->addresses()[1].port : port;
  std::atomic<bool> done{false};
  std::vector<std::thread> others;
  others.reserve(static_cast<std::size_t>(settings.compute) + 1);
  for (int i = 0; i < settings.compute; ++i) {
    others.emplace_back([&done] {
      for (volatile std::uint64_t x = 1; !done;) x = x * 3;
    });
  }
  sched_setaffinity(0, sizeof everywhere, &everywhere);
  others.emplace_back([&] {
    std::vector<int> slow;
    slow.reserve(static_cast<std::size_t>(settings.slow));
    for (int i = 0; i < settings.slow; ++i) slow.push_back(connect_to(slow_port));
    while (!done) {
      for (const int fd : slow) static_cast<void>(send(fd, "G", 1, MSG_NOSIGNAL));
      std::this_thread::sleep_for(std::chrono::seconds(1));
    }
    for (const int fd : slow) close(fd);
  });
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  std::vector<Tally> tallies(static_cast<std::size_t>(settings.connections));
  std::vector<std::thread> clients;
  clients.reserve(tallies.size());
  const Clock::time_point begin = Clock::now() + std::chrono::seconds(2);  // handshakes, log-ins
  for (int i = 0; i < settings.connections; ++i) {
    clients.emplace_back(run_client, std::cref(settings), tls_port, i, begin, context,
                         &tallies[static_cast<std::size_t>(i)]);
  }
  for (std::thread& client : clients) client.join();
  done = true;
  for (std::thread& other : others) other.join();
  SSL_CTX_free(context);
  std::filesystem::remove_all(folder);
  report(settings, &tallies);
}

}  // namespace
}  // namespace rewrap

int main(int argc, char** argv) {
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  rewrap::run(rewrap::parse(argc, argv));
  return 0;
}
