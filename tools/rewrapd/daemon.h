// The daemon: a service, the front ends that translate to it, and the server in front of them.
//
//   HttpServer -> HttpRouter -> ClientLimits -> front end -> Workers -> Service
//
#ifndef REWRAP_TOOLS_REWRAPD_DAEMON_H_
#define REWRAP_TOOLS_REWRAPD_DAEMON_H_

#include <atomic>
#include <memory>
#include <string>

#include "api/element/front_end.h"
#include "api/http/limit_clients.h"
#include "api/http/router.h"
#include "api/http/server.h"
#include "api/http/workers.h"
#include "api/log/json_log.h"
#include "api/native/front_end.h"
#include "api/native/metrics.h"
#include "api/ontap/front_end.h"
#include "api/service/service.h"
#include "tools/rewrapd/config.h"

namespace rewrap {

// One thread starts, runs and stops it.
class Daemon {
 public:
  // start opens the service (jobs go on at once) and listens. `log` must outlive it.
  // Errors: those of Service::open, make_self_signed and HttpServer::start
  static Result<std::unique_ptr<Daemon>> start(DaemonConfig config, std::string config_path,
                                               JsonLog* log);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // run serves until SIGTERM or SIGINT; reloads on SIGHUP; tells the service manager.
  void run();

 private:
  Daemon(DaemonConfig config, std::string config_path, JsonLog* log);

  Status open_service();
  void add_fronts();
  Status listen();
  void on_exchange(const HttpExchange& exchange);
  std::string metrics_text();
  void reload();
  void check_health();
  void stop();

  DaemonConfig config_;
  const std::string config_path_;
  JsonLog* const log_;
  std::atomic<bool> logs_requests_{true};
  bool was_ready_ = true;

  // From the bottom up: each may use what stands before it.
  std::unique_ptr<Service> service_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<ClientLimits> limits_;
  native::ResponseCounts responses_;
  std::unique_ptr<native::FrontEnd> native_;
  std::unique_ptr<ontap::Backend> ontap_backend_;
  std::unique_ptr<ontap::FrontEnd> ontap_;
  std::unique_ptr<element::Backend> element_backend_;
  std::unique_ptr<element::FrontEnd> element_;
  HttpRouter router_;
  std::unique_ptr<HttpServer> server_;
  // The same for requests, the first of which may come before start has given the server.
  std::atomic<HttpServer*> serving_{nullptr};
};

}  // namespace rewrap

#endif  // REWRAP_TOOLS_REWRAPD_DAEMON_H_
