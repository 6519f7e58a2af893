// Starting, wiring, reloading and stopping.
#include "tools/rewrapd/daemon.h"

#include <sys/stat.h>

#include <boost/json/array.hpp>
#include <cerrno>
#include <utility>

#include "api/console/console.h"
#include "api/element/envelope.h"
#include "api/element/service_backend.h"
#include "api/http/cross_site.h"
#include "api/http/tls_certificate.h"
#include "api/native/errors.h"
#include "api/ontap/errors.h"
#include "api/ontap/service_backend.h"
#include "api/roots/network_roots.h"
#include "tools/rewrapd/notify.h"
#include "tools/rewrapd/signals.h"

namespace rewrap {
namespace {

namespace json = boost::json;

ServiceOptions service_options(const DaemonConfig& config) {
  ServiceOptions options;
  options.store_directory = config.store_directory;
  options.root.allow_file_root = config.allow_file_root;
  options.root.allow_final_pin_try = config.allow_final_pin_try;
  options.root.reconnect_limit = std::chrono::seconds(config.token_wait);
  options.access = network_roots({.aws_ca_file = config.aws_ca});
  options.service_root_uri = config.service_root;
  options.admin_keyset = config.admin_keyset;
  if (config.element) options.element_keyset = config.element_keyset;
  options.internal_root_uri = config.internal_root;
  options.cluster_name = config.cluster_name;
  options.node_name = config.node_name;
  options.threads = static_cast<unsigned>(config.job_threads);
  options.max_running_jobs = static_cast<unsigned>(config.max_running_jobs);
  options.default_rate = config.default_rate;
  options.implementation = config.implementation;
  options.audit_file =
      config.audit_file.empty() ? config.store_directory + "/audit.log" : config.audit_file;
  return options;
}

ClientLimits::Options limits_of(const DaemonConfig& config) {
  ClientLimits::Options options;
  options.failures.per_second = config.failed_log_ins_per_minute / 60;
  options.failures.burst = static_cast<double>(config.failed_log_ins_burst);
  options.requests.per_second = config.requests_per_second;
  options.requests.burst = static_cast<double>(config.requests_burst);
  return options;
}

// tls_files gives the configured files, or makes what is missing for a server that was given none.
Result<TlsFiles> tls_files(const DaemonConfig& config) {
  TlsFiles files{config.certificate, config.key, config.client_ca};
  if (!files.certificate.empty() || config.listen.empty()) return files;
  const std::string directory = config.store_directory + "/tls";
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return Status::from_errno(errno, "mkdir", "the folder for the TLS certificate cannot be made");
  files.certificate = directory + "/server.crt";
  files.key = directory + "/server.key";
  REWRAP_TRY(make_self_signed(files.certificate, files.key));
  return files;
}

void add_listeners(const std::vector<std::string>& texts, bool tls, HttpServerConfig* server) {
  for (const std::string& text : texts) {
    if (auto parsed = parse_listen(text))
      server->listen.push_back({std::move(parsed->address), parsed->port, tls});
  }
}

HttpServerConfig server_config(const DaemonConfig& config) {
  HttpServerConfig server;
  add_listeners(config.listen, true, &server);
  add_listeners(config.listen_plain, false, &server);
  server.num_threads = static_cast<int>(config.network_threads);
  server.limits.num_connections = config.max_connections;
  server.limits.num_connections_per_address = config.max_connections_per_address;
  server.limits.body_len = config.max_body;
  return server;
}

json::array texts(const std::vector<std::string>& items) {
  json::array array;
  for (const std::string& item : items) array.emplace_back(item);
  return array;
}

}  // namespace

Daemon::Daemon(DaemonConfig config, std::string config_path, JsonLog* log)
    : config_(std::move(config)), config_path_(std::move(config_path)), log_(log) {}

Daemon::~Daemon() { stop(); }

Result<std::unique_ptr<Daemon>> Daemon::start(DaemonConfig config, std::string config_path,
                                              JsonLog* log) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(config), std::move(config_path), log));
  daemon->logs_requests_ = daemon->config_.log_requests;
  REWRAP_TRY(daemon->open_service());
  daemon->add_fronts();
  REWRAP_TRY(daemon->listen());
  return daemon;
}

Status Daemon::open_service() {
  REWRAP_ASSIGN(service_, Service::open(service_options(config_)));
  workers_ = std::make_unique<Workers>(config_.workers, config_.max_waiting);
  limits_ = std::make_unique<ClientLimits>(limits_of(config_));
  if (config_.service_root.empty())
    log_->warning(
        "no root guards the service key: secrets are refused, the audit log is not keyed");
  return {};
}

// A front end takes a path; what it is made of stands in api/.
void Daemon::add_fronts() {
  native_ = std::make_unique<native::FrontEnd>(service_.get(), workers_.get());
  const auto shape = [](int status) { return native::error_of_status(status); };
  router_.add({"/v1", limits_->limit(native_->handler(), shape), shape});
  router_.add(
      {"/metrics",
       limits_->limit(native_->metrics([this] { return metrics_text(); }, config_.public_metrics),
                      shape),
       shape});
  router_.add({"/healthz", native_->health(), shape});
  router_.add({"/readyz", native_->ready(), shape});
  if (config_.console) {
    for (const char* prefix : {"/", "/console"}) {
      router_.add(
          {prefix, limits_->limit(console::handler(), console::error_page), console::error_page});
    }
  }
  if (config_.ontap) {
    ontap_backend_ = ontap::service_backend(service_.get());
    ontap_ = std::make_unique<ontap::FrontEnd>(ontap_backend_.get(), workers_.get());
    router_.add({"/api", limits_->limit(ontap_->handler(), ontap::http_error), ontap::http_error});
  }
  if (config_.element) {
    element_backend_ = element::service_backend(service_.get());
    element_ = std::make_unique<element::FrontEnd>(element_backend_.get(), workers_.get());
    router_.add({"/json-rpc", limits_->limit(element_->handler(), element::http_error),
                 element::http_error});
  }
}

Status Daemon::listen() {
  HttpServerConfig server = server_config(config_);
  REWRAP_ASSIGN(server.tls, tls_files(config_));
  server.error_shape = router_.error_shape();
  server.on_exchange = [this](const HttpExchange& exchange) { on_exchange(exchange); };
  HttpHandler handler = refuse_cross_site(router_.handler(), router_.error_shape());
  REWRAP_ASSIGN(server_, HttpServer::start(std::move(server), std::move(handler)));
  serving_ = server_.get();
  for (const HttpListen& listen : server_->addresses()) {
    log_->info("listening",
               {{"address", listen.address}, {"port", listen.port}, {"tls", listen.tls}});
  }
  return {};
}

void Daemon::on_exchange(const HttpExchange& exchange) {
  responses_.count(exchange.status);
  if (!logs_requests_ || !log_->logs(LogLevel::kInfo)) return;
  log_->info("request", {{"request_id", utf8_or_escaped(exchange.id)},
                         {"peer", exchange.peer_address},
                         {"method", utf8_or_escaped(exchange.method)},
                         {"path", utf8_or_escaped(exchange.path)},
                         {"status", exchange.status},
                         {"response_bytes", exchange.response_len},
                         {"duration_us", exchange.duration.count()},
                         {"delivered", exchange.delivered}});
}

std::string Daemon::metrics_text() {
  native::MetricsText text;
  if (const HttpServer* server = serving_) native::write_http(server->counters(), &text);
  responses_.write(&text);
  native::write_service(service_.get(), &text);
  return std::move(text).take();
}

// A reload takes what can change under running requests; what cannot is named, and stays as it was. A
// configuration with an error changes nothing at all.
void Daemon::reload() {
  ConfigReading reading = read_config(config_path_);
  for (const ConfigError& error : reading.errors)
    log_->error("the new configuration is refused", {{"line", error.line}, {"error", error.text}});
  if (!reading.errors.empty()) return;
  const std::vector<std::string> left = needs_restart(config_, reading.config);
  const DaemonConfig& wanted = reading.config;
  config_.stop_grace = wanted.stop_grace;
  config_.failed_log_ins_per_minute = wanted.failed_log_ins_per_minute;
  config_.failed_log_ins_burst = wanted.failed_log_ins_burst;
  config_.requests_per_second = wanted.requests_per_second;
  config_.requests_burst = wanted.requests_burst;
  config_.log_level = wanted.log_level;
  config_.log_requests = wanted.log_requests;
  limits_->set(limits_of(config_));
  log_->set_level(find_log_level(config_.log_level).value_or(LogLevel::kInfo));
  logs_requests_ = config_.log_requests;
  if (!config_.listen.empty()) {
    if (const Status status = server_->reload_certificate(); !status.ok())
      log_->error("the certificate is left as it was", status_fields(status));
  }
  log_->info("reloaded");
  if (!left.empty()) log_->warning("changed, and needs a restart", {{"keys", texts(left)}});
}

void Daemon::check_health() {
  const Status status = service_->is_ready();
  if (status.ok() != was_ready_) {
    if (status.ok()) {
      log_->info("ready again");
    } else {
      log_->error("not ready", status_fields(status));
    }
  }
  was_ready_ = status.ok();
}

void Daemon::run() {
  const std::chrono::milliseconds period = watchdog_period();
  notify_ready();
  for (;;) {
    const Wake wake = wait_for_signal(period);
    if (wake == Wake::kStop) return stop();
    if (wake == Wake::kReload) {
      notify_reloading();
      reload();
      notify_ready();
    }
    if (period.count() == 0) continue;
    check_health();  // if store or database hang, so does this, and the service manager acts
    notify_alive();
  }
}

// Nobody new, then who is here, then the jobs: each ends between two commits and goes on at the next
// start.
void Daemon::stop() {
  if (service_ == nullptr) return;
  notify_stopping();
  log_->info("stopping");
  if (server_ != nullptr) server_->stop(std::chrono::seconds(config_.stop_grace));
  if (workers_ != nullptr) workers_->stop();
  service_->stop();
  server_.reset();
  element_.reset();
  ontap_.reset();
  native_.reset();
  workers_.reset();
  service_.reset();
  log_->info("stopped");
}

}  // namespace rewrap
