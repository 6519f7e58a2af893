// The ONTAP front end over the real service and the real server: a client speaks HTTPS, a store is
// rekeyed, and each refusal is made by its cause.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "api/http/workers.h"
#include "api/ontap/front_end.h"
#include "api/ontap/service_backend.h"
#include "tests/api/http_fixture.h"
#include "tests/api/service_fixture.h"
#include "tests/api/stand_in_root.h"

namespace rewrap {
namespace {

namespace json = boost::json;

constexpr const char* kSecret = "the right secret";
const std::string kKms = "/api/security/aws-kms";

struct Answered {
  int status = 0;
  std::string location;
  json::object body;

  [[nodiscard]] std::string code() const {
    const json::value* error = body.if_contains("error");
    return error == nullptr ? "" : error->at("code").as_string().c_str();
  }
  // text_at gives a string two levels down, e.g. of job.uuid.
  [[nodiscard]] std::string text_at(const char* outer, const char* inner) const {
    const json::value* value = body.if_contains(outer);
    return value == nullptr ? "" : value->at(inner).as_string().c_str();
  }
  [[nodiscard]] std::string text(const char* name) const {
    const json::value* value = body.if_contains(name);
    return value == nullptr ? "" : value->as_string().c_str();
  }
};

class OntapServiceThreads : public ServiceFixture {
 protected:
  void SetUp() override {
    ServiceFixture::SetUp();
    for (const char* key : {"key-1", "key-2"})
      ASSERT_TRUE(create_root_key(file_uri(key), root_options()).ok());
    options_.service_root_uri = root_uri_;
    options_.audit_file = directory_.path() + "/audit.jsonl";
    options_.access.open_aws = [this](const AwsTarget& target, const RootOptions& options) {
      return open_aws(target, options);
    };
  }
  void TearDown() override {
    close();
    ServiceFixture::TearDown();
  }

  // open starts the service and serves it; close ends both, the server first.
  void open() {
    start();
    const Caller boss = caller();
    if (!service_->accounts().get("admin").ok()) {
      ok_value(
          service_->accounts().add("admin", Role::kAdmin, as_bytes("correct-horse"), "", boss));
      ok_value(
          service_->accounts().add("reader", Role::kReadOnly, as_bytes("correct-horse"), "", boss));
    }
    backend_ = ontap::service_backend(service_.get());
    workers_ = std::make_unique<Workers>(2, 64);
    front_end_ = std::make_unique<ontap::FrontEnd>(backend_.get(), workers_.get());
    server_ = std::make_unique<test::TestServer>(front_end_->handler());
  }
  void close() {
    server_.reset();
    if (workers_) workers_->stop();
    front_end_.reset();
    workers_.reset();
    backend_.reset();
  }

  [[nodiscard]] std::string file_uri(const std::string& key) const {
    return "file:" + directory_.path() + "/" + key + ".aws";
  }
  // A stand-in for AWS that knows two keys and one secret.
  Result<std::unique_ptr<Root>> open_aws(const AwsTarget& target, const RootOptions& options) {
    const std::lock_guard lock(mutex_);
    if (unreachable_) return Status(Errc::kUnavailable, "no connection");
    if (!secrets_equal(target.secret_access_key.expose_secret(), as_bytes(kSecret)))
      return Status(Errc::kDenied, "the signature does not match");
    REWRAP_ASSIGN(auto inner, open_root(file_uri(target.key_id), options));
    return std::unique_ptr<Root>(std::make_unique<StandInRoot>(target.uri, std::move(inner)));
  }
  void set_unreachable(bool unreachable) {
    const std::lock_guard lock(mutex_);
    unreachable_ = unreachable;
  }

  Answered ask(const std::string& method, const std::string& target, const std::string& body = "",
               const std::string& user = "admin:correct-horse") {
    test::HttpClient client = server_->tls();
    client.send(method + " " + target + " HTTP/1.1\r\nHost: test\r\nAuthorization: Basic " +
                encode_base64(as_bytes(user)) +
                "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    // One read gives up after 5 s; a request may wait for a job for longer on a slow machine.
    auto reply = client.read_reply();
    for (int more = 0; more < 12 && !reply; ++more) reply = client.read_reply();
    Answered answered;
    if (!reply) {
      ADD_FAILURE() << method << " " << target << ": " << client.problem();
      return answered;
    }
    answered.status = reply->status;
    answered.location = reply->header("Location");
    answered.body = json::parse(reply->body).as_object();
    return answered;
  }

  // configure makes a configuration for an SVM and gives its path.
  std::string configure(const std::string& svm) {
    const Answered made =
        ask("POST", kKms,
            R"({"svm":{"name":")" + svm + R"("},"region":"us-east-1","key_id":"key-1",)" +
                R"("access_key_id":"AKIATEST","secret_access_key":")" + kSecret + R"("})");
    EXPECT_EQ(made.status, 201) << json::serialize(made.body);
    return made.location;
  }
  // watch polls a job as the Python library does, until it has ended.
  Answered watch(const std::string& job) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    for (;;) {
      Answered now = ask("GET", "/api/cluster/jobs/" + job + "?fields=message,state,error");
      const std::string state = now.text("state");
      if (state == "success" || state == "failure" || now.status != 200) return now;
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "the job is still " << state;
        return now;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

 private:
  std::mutex mutex_;
  bool unreachable_ = false;
  std::unique_ptr<ontap::Backend> backend_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<ontap::FrontEnd> front_end_;
  std::unique_ptr<test::TestServer> server_;
};

TEST_F(OntapServiceThreads, RekeyInternalIsWatchedToSuccess) {
  open();
  const std::string configuration = configure(kName);
  EXPECT_EQ(ask("GET", configuration).text("key_id"), "key-1");

  const Answered begun = ask("POST", configuration + "/rekey-internal", "{}");
  EXPECT_EQ(begun.status, 202);
  EXPECT_EQ(begun.location, configuration);
  EXPECT_EQ(watch(begun.text_at("job", "uuid")).text("state"), "success");

  const Answered waited =
      ask("POST", configuration + "/rekey-internal?return_timeout=60&return_records=true");
  EXPECT_EQ(waited.status, 201);
  EXPECT_EQ(waited.body.at("num_records").as_int64(), 1);
  EXPECT_EQ(watch(waited.text_at("job", "uuid")).text("state"), "success");

  const Answered moved =
      ask("POST", configuration + "/rekey-external?return_timeout=60", R"({"key_id":"key-2"})");
  EXPECT_EQ(moved.status, 201) << json::serialize(moved.body);
  EXPECT_EQ(ask("GET", configuration).text("key_id"), "key-2");
  EXPECT_EQ(ask("POST", configuration + "/restore?return_timeout=60").status, 201);

  const Answered jobs = ask("GET", "/api/cluster/jobs?state=success&fields=*");
  EXPECT_EQ(jobs.body.at("num_records").as_int64(), 4);
  // Every DEK is there and opens under the third KEK.
  const Job verified = finish(ok_value(service_->jobs().start_verify(kName, caller())).job.uuid);
  EXPECT_EQ(verified.state, JobState::kSucceeded) << verified.error.message;
  const KeysetInfo keyset = ok_value(service_->keysets().get(kName));
  EXPECT_EQ(keyset.current_version, 3U);
  EXPECT_EQ(keyset.verified_version, 3U);
  EXPECT_EQ(keyset.deks, kNumDeks);
}

TEST_F(OntapServiceThreads, TheFiveRefusalsHaveTheirCauses) {
  options_.admin_keyset = kName;
  open();
  // No configuration.
  const std::string none = kKms + "/ab000000-0000-4000-8000-000000000001/rekey-internal";
  EXPECT_EQ(ask("POST", none).code(), "65537926");
  // No DEK.
  const std::string rekey = configure("svm1") + "/rekey-internal";
  EXPECT_EQ(ask("POST", rekey).code(), "65537559");
  const auto ids = ok_value(service_->keysets().generate("svm1", 10, 0, caller()));
  // A DEK of the SVM in the admin keyset.
  ok_value(service_->keysets().tag_admin_deks("svm1", {ids_.front()}));
  EXPECT_EQ(ask("POST", rekey).code(), "65537547");
  ok_value(service_->keysets().untag_admin_deks("svm1", {ids_.front()}));
  // A node that was never heard of.
  ok_value(service_->nodes().add("node-2", caller()));
  EXPECT_EQ(ask("POST", rekey).code(), "65537566");
  ok_value(service_->nodes().remove("node-2", caller()));
  // AWS away.
  set_unreachable(true);
  const Answered blocked = ask("POST", rekey);
  EXPECT_EQ(blocked.status, 409);
  EXPECT_EQ(blocked.code(), "65537556");
  set_unreachable(false);
  // And with none of these it goes.
  EXPECT_EQ(watch(ask("POST", rekey).text_at("job", "uuid")).text("state"), "success");
  // The admin SVM takes none.
  EXPECT_EQ(ask("POST", kKms,
                R"({"svm":{"name":"disks"},"region":"r","key_id":"key-1","access_key_id":"A",)"
                R"("secret_access_key":"s"})")
                .code(),
            "65537908");
}

TEST_F(OntapServiceThreads, AJobIsPausedResumedAndCancelled) {
  options_.default_rate = kSlow;
  open();
  const std::string configuration = configure(kName);
  const std::string uuid = ask("POST", configuration + "/rekey-internal").text_at("job", "uuid");
  const std::string job = "/api/cluster/jobs/" + uuid;
  Uuid id{};
  ASSERT_TRUE(parse_uuid(uuid, &id));
  wait_for_progress(id);
  EXPECT_EQ(ask("GET", "/api/security/key-stores?fields=state&svm.name=disks")
                .body.at("records")
                .at(0)
                .at("state")
                .as_string(),
            "svm_kek_rekey");
  EXPECT_EQ(ask("DELETE", configuration).status, 409);
  EXPECT_EQ(ask("PATCH", job + "?action=resume").code(), "458771");
  EXPECT_EQ(ask("PATCH", job + "?action=pause").status, 200);
  wait_for_state(id, JobState::kPaused);
  EXPECT_EQ(ask("GET", job).text("state"), "paused");
  EXPECT_EQ(ask("PATCH", job + "?action=pause").code(), "458776");
  EXPECT_EQ(ask("PATCH", job + "?action=resume").status, 200);
  EXPECT_EQ(ask("PATCH", job + "?action=cancel").status, 200);
  const Answered ended = watch(uuid);
  EXPECT_EQ(ended.text("state"), "failure");
  EXPECT_NE(ended.text("message"), "");
  EXPECT_EQ(ask("PATCH", job + "?action=cancel").code(), "458762");
}

TEST_F(OntapServiceThreads, CredentialsAndRolesAreTheServices) {
  open();
  const std::string configuration = configure(kName);
  const Answered wrong = ask("GET", kKms, "", "admin:wrong-password");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(ask("GET", kKms, "", "nobody:correct-horse").body, wrong.body);
  EXPECT_EQ(ask("GET", kKms, "", "reader:correct-horse").status, 200);
  EXPECT_EQ(ask("POST", configuration + "/rekey-internal", "", "reader:correct-horse").code(), "6");
  EXPECT_EQ(ask("PATCH", configuration, R"({"secret_access_key":"wrong"})").code(), "65537921");
  EXPECT_EQ(ask("PATCH", configuration, R"({"secret_access_key":""})").code(), "65537920");
  EXPECT_EQ(ask("PATCH", configuration, R"({"access_key_id":""})").code(), "65537924");
  EXPECT_EQ(ask("PATCH", configuration, R"({"skip_verify":true})").code(), "262186");
  EXPECT_EQ(ask("PATCH", configuration, "{}").code(), "65537541");
  EXPECT_EQ(ask("POST", kKms,
                R"({"svm":{"name":"disks"},"region":"r","key_id":"key-1","access_key_id":"A",)"
                R"("secret_access_key":"s"})")
                .code(),
            "65537910");
  EXPECT_EQ(ask("PATCH", configuration, R"({"port":8443})").status, 200);
  const Answered whole = ask("GET", configuration + "?fields=**");
  EXPECT_EQ(whole.body.at("port").as_int64(), 8443);
  EXPECT_TRUE(whole.body.at("state").at("cluster_state").as_bool());
  EXPECT_TRUE(whole.body.at("amazon_reachability").at("reachable").as_bool());
  close();
  stop();
  std::ifstream file(options_.audit_file);
  const std::string log((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (const char* event :
       {"ontap.aws-kms.create", "ontap.aws-kms.modify", "ontap.denied", "login"})
    EXPECT_NE(log.find(event), std::string::npos) << event;
  for (const char* secret : {kSecret, "correct-horse", "wrong-password"})
    EXPECT_EQ(log.find(secret), std::string::npos) << secret;
}

}  // namespace
}  // namespace rewrap
