// Fuzzed requests to all front ends over a real service and a real server: each gets a well-formed
// answer in its API's own shape, with no secret in it, and the service goes on. The requests are the
// same in each run. REWRAP_FUZZ_REQUESTS is their number: a few here, 100,000 and more on request.
#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "api/element/envelope.h"
#include "api/element/front_end.h"
#include "api/element/service_backend.h"
#include "api/http/router.h"
#include "api/http/workers.h"
#include "api/native/errors.h"
#include "api/native/front_end.h"
#include "api/ontap/errors.h"
#include "api/ontap/front_end.h"
#include "api/ontap/service_backend.h"
#include "tests/api/http_fixture.h"
#include "tests/api/service_fixture.h"

namespace rewrap {
namespace {

namespace json = boost::json;

constexpr const char* kPassword = "fuzz-me-if-you-can";
constexpr const char* kSecret = "SecretAccessKeyThatNobodyMaySee";

struct Seed {
  const char* method;
  const char* target;
  const char* body;  // empty: none
};

// %K stands for a keyset, %J for a job, %D for a DEK, %R for a root.
constexpr std::array kSeeds = {
    Seed{"GET", "/api/cluster/jobs?fields=*&max_records=3&order_by=uuid%20desc", ""},
    Seed{"GET", "/api/cluster/jobs/%J?fields=message,state,error", ""},
    Seed{"PATCH", "/api/cluster/jobs/%J?action=pause", ""},
    Seed{"PATCH", "/api/cluster/jobs/%J?action=resume", ""},
    Seed{"GET", "/api/security/aws-kms?svm.name=%K&return_records=false", ""},
    Seed{
        "POST", "/api/security/aws-kms?return_timeout=1",
        R"({"svm":{"name":"%K"},"region":"us-east-1","key_id":"k","access_key_id":"A","secret_access_key":"SecretAccessKeyThatNobodyMaySee","host":"127.0.0.1","port":443})"},
    Seed{"PATCH", "/api/security/aws-kms/%J",
         R"({"secret_access_key":"SecretAccessKeyThatNobodyMaySee","skip_verify":false})"},
    Seed{"POST", "/api/security/aws-kms/%J/rekey-internal?return_timeout=0", "{}"},
    Seed{"GET", "/api/security/key-stores?fields=**&query=a&query_fields=svm.name", ""},
    Seed{"GET", "/api/svm/svms?name=d*|!x&order_by=name", ""},
    Seed{"OPTIONS", "/api/cluster", ""},
    Seed{
        "POST", "/json-rpc/12.3",
        R"({"method":"RekeySoftwareEncryptionAtRestMasterKey","id":2,"params":{"keyManagementType":"Internal"}})"},
    Seed{"POST", "/json-rpc/12.3",
         R"({"method":"GetAsyncResult","id":3,"params":{"asyncHandle":1,"keepResult":true}})"},
    Seed{"POST", "/json-rpc/12.3", R"({"method":"ListAsyncResults","id":4,"params":{}})"},
    Seed{
        "POST", "/json-rpc/8.0",
        R"({"method":"CreateKeyServerKmip","id":"a","params":{"kmipCaCertificate":"-----BEGIN","kmipClientCertificate":"c","kmipKeyServerHostnames":["h"],"kmipKeyServerName":"n","kmipKeyServerPort":5696}})"},
    Seed{"POST", "/json-rpc/12.3",
         R"({"method":"CreateKeyProviderKmip","id":5,"params":{"keyProviderName":"p"}})"},
    Seed{"POST", "/json-rpc/12.3", R"({"method":"GetSoftwareEncryptionAtRestInfo","id":null})"},
    Seed{"GET", "/json-rpc/12.3?method=GetAPI", ""},
    Seed{"GET", "/v1/keysets", ""},
    Seed{"POST", "/v1/keysets", R"({"name":"n%K","root":"%R","wrap":"KW","dek_size":32})"},
    Seed{"GET", "/v1/keysets/%K/census", ""},
    Seed{"POST", "/v1/keysets/%K/deks", R"({"count":2,"dek_size":32})"},
    Seed{"GET", "/v1/keysets/%K/deks/%D", ""},
    Seed{"POST", "/v1/keysets/%K/rekey", R"({"rate":100.5,"decommission":true})"},
    Seed{"POST", "/v1/keysets/%K/keys/1/decommission", ""},
    Seed{"GET", "/v1/jobs?state=running&keyset=%K", ""},
    Seed{"PATCH", "/v1/jobs/%J", R"({"rate":0.5})"},
    Seed{"POST", "/v1/jobs/%J/cancel", "{}"},
    Seed{"POST", "/v1/nodes", R"({"name":"n2"})"},
    Seed{"DELETE", "/v1/nodes/n2", ""},
    Seed{"GET", "/v1/openapi.json", ""},
};

class Fuzzer {
 public:
  std::size_t below(std::size_t bound) { return random_() % bound; }
  bool once_in(std::size_t count) { return below(count) == 0; }

  // bytes changes, drops, doubles or inserts a few bytes of `text` from `from` on.
  std::string bytes(std::string text, std::size_t from = 0) {
    constexpr std::string_view kInteresting = "{}[]\",:0-9.eE\\nul\x01\x7f\xff\xc3 /%?&=*!|\r\n;";
    for (std::size_t rounds = below(4) + 1; rounds > 0 && text.size() > from; --rounds) {
      const std::size_t at = from + below(text.size() - from);
      switch (below(4)) {
        case 0:
          text[at] =
              once_in(4) ? static_cast<char>(random_()) : kInteresting[below(kInteresting.size())];
          break;
        case 1:
          text.erase(at, below(8) + 1);
          break;
        case 2:
          text.insert(at, 1, kInteresting[below(kInteresting.size())]);
          break;
        default:
          text.insert(at, text.substr(at, below(16)));
      }
    }
    return text;
  }

  // value changes one thing somewhere in a JSON value: another type, a strange number, a member more
  // or less.
  void value(json::value* value) {
    if (auto* object = value->if_object(); object != nullptr && !object->empty() && !once_in(8)) {
      const auto member = std::next(object->begin(), static_cast<long>(below(object->size())));
      const std::string name(member->key());
      if (once_in(5)) {
        object->erase(name);
      } else if (once_in(5)) {
        (*object)[bytes(name)] = strange();
      } else {
        this->value(&object->at(name));
      }
    } else if (auto* array = value->if_array(); array != nullptr && !array->empty()) {
      array->push_back(strange());
      this->value(&array->front());
    } else if (value->is_string() && !once_in(3)) {
      *value = bytes(std::string(value->as_string()));
    } else {
      *value = strange();
    }
  }

 private:
  json::value strange() {
    switch (below(14)) {
      case 0:
        return nullptr;
      case 1:
        return true;
      case 2:
        return -1;
      case 3:
        return 0;
      case 4:
        return 1e308;
      case 5:
        return std::uint64_t{18'446'744'073'709'551'615U};
      case 6:
        return std::int64_t{-9'223'372'036'854'775'807};
      case 7:
        return 0.5;
      case 8:
        return "";
      case 9:
        return json::value(std::string(below(5'000), 'x'));
      case 10:
        return json::array{1, "two", nullptr};
      case 11:
        return json::object{{"name", "x"}, {"", 1}};
      case 12:
        return json::string("a\0b\n\xc3\xa9", 6);
      default: {
        json::value deep = 1;
        for (std::size_t left = below(40); left > 0; --left) deep = json::array{std::move(deep)};
        return deep;
      }
    }
  }

  // The same requests in each run.
  // NOLINTNEXTLINE(cert-msc32-c,cert-msc51-cpp)
  std::mt19937 random_{20'250'707};
};

class HttpFrontsFuzz : public ServiceFixture {
 protected:
  void SetUp() override {
    ServiceFixture::SetUp();
    options_.service_root_uri = root_uri_;
    options_.audit_file = directory_.path() + "/audit.log";
    options_.element_keyset = kName;
    options_.internal_root_uri = root_uri_;
    options_.default_rate = 500;
    // Nothing leaves this machine: every endpoint is one that cannot be reached.
    options_.access.open_aws = [](const AwsTarget& /*target*/, const RootOptions& /*options*/) {
      return Status(Errc::kUnavailable, "no connection");
    };
    options_.access.open_kmip = [](const KmipTarget& /*target*/, const RootOptions& /*options*/) {
      return Status(Errc::kUnavailable, "no connection");
    };
    options_.access.test_kmip = [](const KmipTarget& /*target*/) {
      return Status(Errc::kUnavailable, "no connection");
    };
    start();
    ok_value(service_->accounts().add("fuzz", Role::kAdmin, as_bytes(kPassword), "", caller()));
    job_ = format_uuid(rekey(100).job.uuid);
    serve();
  }
  void TearDown() override {
    if (server_) close_server();
    ServiceFixture::TearDown();
  }

  void serve() {
    workers_ = std::make_unique<Workers>(2, 64);
    ontap_backend_ = ontap::service_backend(service_.get());
    ontap_ = std::make_unique<ontap::FrontEnd>(ontap_backend_.get(), workers_.get());
    element_backend_ = element::service_backend(service_.get());
    element_ = std::make_unique<element::FrontEnd>(element_backend_.get(), workers_.get());
    native_ = std::make_unique<native::FrontEnd>(service_.get(), workers_.get());
    router_ = std::make_unique<HttpRouter>();
    router_->add({"/api", ontap_->handler(), ontap::http_error});
    router_->add({"/json-rpc", element_->handler(), element::http_error});
    router_->add({"/v1", native_->handler(), native::error_of_status});
    server_ = std::make_unique<test::TestServer>(router_->handler(), [&](HttpServerConfig* config) {
      config->error_shape = router_->error_shape();
      config->limits.linger = std::chrono::milliseconds(50);
    });
  }
  void close_server() {
    server_.reset();
    workers_->stop();
  }

  static int num_requests() {
    const char* wanted = std::getenv("REWRAP_FUZZ_REQUESTS");
    return wanted == nullptr ? 1'500 : static_cast<int>(std::strtol(wanted, nullptr, 10));
  }

  // filled puts what there is into the holes of a seed, mostly.
  std::string filled(std::string text) {
    const std::array<std::pair<const char*, std::string>, 4> holes = {
        {{"%K", fuzzer_.once_in(20) ? "elsewhere" : kName},
         {"%J", fuzzer_.once_in(20) ? "00000000-0000-4000-8000-000000000000" : job_},
         {"%D", format_uuid(ids_[fuzzer_.below(ids_.size())])},
         {"%R", root_uri_}}};
    for (const auto& [hole, value] : holes) {
      for (std::size_t at = 0; (at = text.find(hole, at)) != std::string::npos;)
        text.replace(at, 2, value);
    }
    return text;
  }

  static std::string log_in() {
    return "Authorization: Basic " + encode_base64(as_bytes(std::string("fuzz:") + kPassword)) +
           "\r\n";
  }
  static std::string request(const std::string& method, const std::string& target,
                             const std::string& headers, const std::string& body) {
    return method + " " + target + " HTTP/1.1\r\n" + headers +
           "Host: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  // mutated_target keeps to the bytes that may stand in a target: what else there is, the raw fuzz has.
  std::string mutated_target(const std::string& target) {
    std::string text = fuzzer_.bytes(target, 1);
    std::erase_if(text, [](char c) { return c <= ' ' || c >= '\x7f' || c == '#'; });
    return text;
  }
  // mutated_body is JSON that is not what was asked for, or nearly JSON.
  std::string mutated_body(const std::string& body) {
    if (body.empty()) return fuzzer_.once_in(4) ? R"({"a":1})" : "";
    if (fuzzer_.once_in(3)) return fuzzer_.bytes(body);
    json::value value = json::parse(body);
    for (std::size_t rounds = fuzzer_.below(3) + 1; rounds > 0; --rounds) fuzzer_.value(&value);
    return json::serialize(value);
  }

  static bool is_text(const json::object& object, const char* name) {
    const json::value* value = object.if_contains(name);
    return value != nullptr && value->is_string() && !value->as_string().empty();
  }

  // shape names the API whose error this is; "" if it is nobody's.
  static std::string error_shape_of(const test::ClientReply& reply) {
    if (reply.header("Content-Type") == "text/html" && reply.body.starts_with("<html>"))
      return "element";
    boost::system::error_code failed;
    const json::value value = json::parse(reply.body, failed);
    if (failed || !value.is_object()) return "";
    const json::value* error = value.as_object().if_contains("error");
    if (error == nullptr) return "";
    if (error->is_string()) return "server";  // of no API's path
    if (!error->is_object() || !is_text(error->as_object(), "message")) return "";
    if (is_text(error->as_object(), "code")) return "ontap";
    if (is_text(error->as_object(), "reason")) return "native";
    return "";
  }

  void expect_element_answer(const test::ClientReply& reply, const std::string& asked) {
    boost::system::error_code failed;
    const json::value value = json::parse(reply.body, failed);
    ASSERT_TRUE(!failed && value.is_object()) << asked;
    const json::object& object = value.as_object();
    ASSERT_TRUE(object.contains("id")) << asked;
    ASSERT_NE(object.contains("result"), object.contains("error")) << asked;
    if (!object.contains("error")) return;
    ++num_refused_;
    const json::object& error = object.at("error").as_object();
    ASSERT_EQ(error.at("code").to_number<int>(), 500) << asked;
    ASSERT_TRUE(error.at("name").as_string().starts_with("x")) << asked;
    ASSERT_TRUE(is_text(error, "message")) << asked;
  }

  // expect_answer checks what holds for each answer; `api` is whose it has to be, "" where the request
  // does not tell.
  void expect_answer(const test::ClientReply& reply, const std::string& api,
                     const std::string& asked) {
    ++num_answers_;
    ASSERT_NE(reply.status, 500) << asked;
    for (const char* secret : {kPassword, kSecret})
      ASSERT_EQ(reply.body.find(secret), std::string::npos) << asked;
    if (reply.status >= 400) {
      ++num_refused_;
      const std::string shape = error_shape_of(reply);
      ASSERT_NE(shape, "") << asked << "\n" << reply.body;
      ASSERT_TRUE(api.empty() || shape == api) << asked << "\n" << reply.body;
    } else if (api == "element") {
      expect_element_answer(reply, asked);
    } else if (reply.header("Content-Type").starts_with("application/json") &&
               !reply.body.empty()) {
      boost::system::error_code failed;
      static_cast<void>(json::parse(reply.body, failed));
      ASSERT_FALSE(failed) << asked << "\n" << reply.body;
    }
  }

  static std::string api_of(std::string_view target) {
    const std::string_view path = target.substr(0, target.find_first_of("?%"));
    for (const auto& [prefix, api] : {std::pair{"/api", "ontap"}, std::pair{"/json-rpc", "element"},
                                      std::pair{"/v1", "native"}}) {
      const std::string whole = prefix;
      if (path == whole || path.starts_with(whole + "/")) return api;
    }
    return "";
  }

  void one_well_framed() {
    if (!client_) client_ = std::make_unique<test::HttpClient>(server_->plain());
    const Seed& seed = kSeeds[fuzzer_.below(kSeeds.size())];
    std::string target = filled(seed.target);
    std::string body = filled(seed.body);
    std::string method = seed.method;
    if (fuzzer_.once_in(10)) method = kSeeds[fuzzer_.below(kSeeds.size())].method;
    if (fuzzer_.once_in(2)) target = mutated_target(target);
    if (!body.empty() || fuzzer_.once_in(8)) body = mutated_body(body);
    std::string headers = log_in();
    if (fuzzer_.once_in(6))
      headers += "X-Dot-SVM-Name: " + std::string(fuzzer_.below(30), 's') + "\r\n";
    if (fuzzer_.once_in(6)) headers += "Content-Type: text/plain\r\nX-Request-Id: \"a\"\r\n";
    client_->send(request(method, target, headers, body));
    const std::string asked = method + " " + target + " " + body;
    const auto reply = client_->read_reply(method == "HEAD");
    ASSERT_TRUE(reply) << client_->problem() << ": " << asked;
    expect_answer(*reply, api_of(target), asked);
    if (reply->header("Connection") == "close") client_.reset();
  }

  void one_raw() {
    const Seed& seed = kSeeds[fuzzer_.below(kSeeds.size())];
    const std::string head = log_in();
    std::string bytes = request(seed.method, filled(seed.target), "", filled(seed.body));
    // A log-in that was changed costs a scrypt and a line of the audit log: not for each of them.
    const std::size_t line = bytes.find("\r\n") + 2;
    if (fuzzer_.once_in(50)) {
      bytes.insert(line, head);
      bytes = fuzzer_.bytes(bytes);
    } else if (fuzzer_.once_in(2)) {
      bytes = bytes.substr(0, line) + head + fuzzer_.bytes(bytes.substr(line));
    } else {
      bytes = fuzzer_.bytes(bytes.substr(0, line)) + head + bytes.substr(line);
    }
    if (fuzzer_.once_in(5)) bytes += bytes;
    test::HttpClient client = server_->plain();
    ASSERT_TRUE(client.connected());
    client.send(bytes);
    client.shut_down_sending();
    const bool to_head = bytes.starts_with("HEAD ");
    while (const auto reply = client.read_reply(to_head)) expect_answer(*reply, "", bytes);
    ASSERT_EQ(client.problem(), "closed") << bytes;
  }

  Fuzzer fuzzer_;
  std::string job_;
  int num_answers_ = 0;
  int num_refused_ = 0;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<ontap::Backend> ontap_backend_;
  std::unique_ptr<ontap::FrontEnd> ontap_;
  std::unique_ptr<element::Backend> element_backend_;
  std::unique_ptr<element::FrontEnd> element_;
  std::unique_ptr<native::FrontEnd> native_;
  std::unique_ptr<HttpRouter> router_;
  std::unique_ptr<test::TestServer> server_;
  std::unique_ptr<test::HttpClient> client_;  // kept for the requests that are well framed
};

TEST_F(HttpFrontsFuzz, EveryAnswerHasTheShapeOfItsApi) {
  const int wanted = num_requests();
  for (int i = 0; i < wanted && !HasFatalFailure(); ++i) {
    if (i % 2 == 0) {
      one_raw();
      continue;
    }
    one_well_framed();
  }
  // Control: neither is everything refused nor everything taken.
  EXPECT_GT(num_answers_, wanted * 8 / 10);
  EXPECT_GT(num_refused_, num_answers_ / 4);
  EXPECT_LT(num_refused_, num_answers_ * 9 / 10);
  close_server();
  // The store is whole, whatever was asked.
  with_store([&] {
    EXPECT_TRUE(verify_all().findings.empty());
    EXPECT_EQ(open_all({ids_.front(), ids_[ids_.size() / 2], ids_.back()}), keys_);
  });
}

}  // namespace
}  // namespace rewrap
