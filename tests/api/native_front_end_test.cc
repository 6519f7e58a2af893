// The way into /v1: who may, what is taken, how errors look, what is audited.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <set>

#include "api/native/errors.h"
#include "api/native/metrics.h"
#include "api/native/routes.h"
#include "tests/api/native_fixture.h"

namespace rewrap {
namespace {

using test::TestAnswer;

class Native : public NativeFixture {
 protected:
  // of_nothing is the path of a route with names in it that nothing has.
  static std::string of_nothing(const native::Route& route) {
    const std::map<std::string, std::string> names = {{"keyset", "none"},
                                                      {"version", "7"},
                                                      {"node", "none"},
                                                      {"id", test::test_uuid_text(1)},
                                                      {"uuid", test::test_uuid_text(2)}};
    std::string path = "/v1" + std::string(route.pattern);
    for (std::size_t at = path.find('{'); at != std::string::npos; at = path.find('{')) {
      const std::size_t end = path.find('}', at);
      path.replace(at, end + 1 - at, names.at(path.substr(at + 1, end - at - 1)));
    }
    return path;
  }
};

TEST_F(Native, EveryRouteAsksWhoItIsAndWhetherThatIsAllowed) {
  ASSERT_GT(native::routes().size(), 25U);
  for (const native::Route& route : native::routes()) {
    const std::string method(route.method);
    const std::string path = of_nothing(route);
    SCOPED_TRACE(method + " " + path);
    const TestAnswer unknown = ask(method, path, "", "");
    expect_refused(unknown, 401, "http");
    EXPECT_EQ(unknown.header("WWW-Authenticate"), "Basic realm=\"rewrap\", charset=\"UTF-8\"");
    for (const Role role : {Role::kAdmin, Role::kRekeyOperator, Role::kReadOnly, Role::kAudit}) {
      const TestAnswer answer = ask(method, path, "", role_name(role));
      EXPECT_EQ(answer.status == 403, !may(role, route.permission)) << role_name(role);
      EXPECT_TRUE(answer.status < 500 && answer.status != 401) << answer.response.body;
    }
    const bool is_read = route.permission == Permission::kRead;
    EXPECT_EQ(is_read, method == "GET") << "what changes something is no GET, and asks for more";
    const bool is_heartbeat = route.id == "sendHeartbeat";
    EXPECT_EQ(route.action == nullptr, is_read || is_heartbeat) << "every change is audited";
  }
}

TEST_F(Native, WhatWasWrongAboutALogInDoesNotShow) {
  const TestAnswer nobody = ask("GET", "/v1/keysets", "", "nobody");
  test::TestRequest wrong{"GET", "/v1/keysets"};
  wrong.password = "wrong-horse-1";
  const TestAnswer password = test::test_answer(front_end_->handle(*test::make_request(wrong)));
  EXPECT_EQ(nobody.status, 401);
  EXPECT_EQ(password.status, 401);
  EXPECT_EQ(nobody.response.body, password.response.body);
}

TEST_F(Native, PathsAndMethods) {
  for (const char* path :
       {"/v1", "/v1/", "/v1/none", "/v1/keysets/", "/v1/keysets/a/b/c/d", "/v1/jobs/x/y", "/v1x"})
    expect_refused(get(path), 404, "http");
  expect_refused(get("/v1/keysets/" + std::string(129, 'a')), 404, "http");
  const TestAnswer put = ask("PUT", "/v1/keysets");
  expect_refused(put, 405, "http");
  EXPECT_EQ(put.header("Allow"), "GET, POST");
  expect_refused(ask("OPTIONS", "/v1/keysets"), 405, "http");
  EXPECT_EQ(ask("HEAD", "/v1/keysets").status, 200);
}

TEST_F(Native, BodiesAreCheckedBeforeAnythingIsDone) {
  const std::string path = kKeyset + "/rekey";
  for (const char* body : {"[]", "1", "\"x\"", "{", "{}x", "nul", "{\"rate\":\"fast\"}",
                           "{\"rate\":null}", "{\"speed\":1}", "{\"decommission\":1}",
                           "{\"root\":7}", "{\"rate\":{}}", "{\"rate\":1e999}"}) {
    SCOPED_TRACE(body);
    expect_refused(post(path, body), 400, "invalid_input");
  }
  expect_refused(post(path, std::string(100, '[')), 400, "invalid_input");
  expect_refused(post(path, "{\"rate\":-1}"), 400, "invalid_input");
  expect_refused(post("/v1/nodes", "{}"), 400, "invalid_input");
  expect_refused(post(kKeyset + "/deks", "{\"count\":-1}"), 400, "invalid_input");
  expect_refused(post(kKeyset + "/deks", "{\"count\":0}"), 400, "invalid_input");
  expect_refused(post(kKeyset + "/deks", "{\"count\":1000001}"), 400, "invalid_input");
  expect_refused(post(kKeyset + "/deks", "{\"count\":1.5}"), 400, "invalid_input");
  expect_refused(post(kKeyset + "/deks", "{\"dek_size\":4097}"), 400, "invalid_input");
  EXPECT_TRUE(ok_value(service_->jobs().list({})).empty());
  EXPECT_EQ(ok_value(service_->keysets().get(kName)).deks, kNumDeks);
}

// What a form or a plain text of another origin's page can send is not taken for JSON.
TEST_F(Native, BodiesSayThatTheyAreJson) {
  const auto send = [&](const std::string& type) {
    test::TestRequest request{"POST", kKeyset + "/deks", "{\"count\":1}"};
    if (!type.empty()) request.headers.push_back({"Content-Type", type});
    return test::test_answer(front_end_->handle(*test::make_request(request)));
  };
  for (const char* type : {"", "text/plain", "application/x-www-form-urlencoded",
                           "multipart/form-data; boundary=application/json", "application/jsonx"})
    expect_refused(send(type), 415, "http");
  EXPECT_EQ(ok_value(service_->keysets().get(kName)).deks, kNumDeks);
  for (const char* type : {"application/json", "Application/JSON; charset=utf-8"})
    EXPECT_EQ(send(type).status, 201) << type;
}

TEST_F(Native, QueriesAreChecked) {
  for (const char* query : {"?stat=running", "?state=fast", "?kind=none", "?limit=0", "?limit=1001",
                            "?limit=-1", "?limit=1x", "?limit=", "?limit=1&limit=2", "?from=1.2"})
    expect_refused(get(std::string("/v1/jobs") + query), 400, "invalid_input");
  for (const char* from : {"1", "1.", ".1", "a.b", "1.2.3", "-1.0", "1.2%20", "99999999999.0"})
    expect_refused(get(kKeyset + "/deks?from=" + from), 400, "invalid_input");
  EXPECT_EQ(get("/v1/jobs?state=running&kind=rekey&keyset=none&limit=1000").status, 200);
}

TEST_F(Native, NamesInPathsAreChecked) {
  expect_refused(get("/v1/jobs/1"), 400, "invalid_input");
  expect_refused(get(kKeyset + "/deks/1"), 400, "invalid_input");
  for (const char* version : {"0", "-1", "1x", "99999999999"})
    expect_refused(get(kKeyset + "/keys/" + version), 400, "invalid_input");
  for (const char* hostile : {"%3Cimg%20src=x%3E", "..%2e", "%ff", "a%0ab"}) {
    const TestAnswer answer = get(std::string("/v1/keysets/") + hostile);
    expect_refused(answer, 404, "no_such_keyset");
    EXPECT_EQ(answer.response.body.find("img"), std::string::npos)
        << "it says back what it was told";
  }
}

TEST(NativeErrors, EveryReasonHasItsStatus) {
  const std::map<int, std::set<Reason>> expected = {
      {400,
       {Reason::kInvalidInput, Reason::kNothingToChange, Reason::kEmptySecret,
        Reason::kEmptyAccessKey, Reason::kSkipVerifyAlone, Reason::kCertificate}},
      {404,
       {Reason::kNoSuchKeyset, Reason::kNoSuchKey, Reason::kNoSuchJob, Reason::kNoAwsKms,
        Reason::kNoSuchProvider, Reason::kNoSuchServer, Reason::kNoSuchAccount,
        Reason::kNoSuchNode}},
      {409, {Reason::kNameTaken,       Reason::kAlreadyConfigured,
             Reason::kKeysetEmpty,     Reason::kDeksInAdminKeyset,
             Reason::kAdminKeyset,     Reason::kStillInUse,
             Reason::kSwitching,       Reason::kRekeyRunning,
             Reason::kNotEnabled,      Reason::kRefusedByGate,
             Reason::kJobEnded,        Reason::kJobRunning,
             Reason::kJobNotRunning,   Reason::kJobCannotPause,
             Reason::kJobCannotCancel, Reason::kJobCancelled,
             Reason::kDamagedDeks,     Reason::kVerifyFailed,
             Reason::kProviderActive,  Reason::kProviderHasNoServer,
             Reason::kLastServer,      Reason::kServerAssigned,
             Reason::kNoKeyPair,       Reason::kNoServiceKey}},
      {503,
       {Reason::kRootBlocked, Reason::kNodeMissing, Reason::kInterrupted, Reason::kTokenLost,
        Reason::kCredentialsRejected, Reason::kRootUnreachable, Reason::kTooMany}},
      {507, {Reason::kStorageFull}},
      {500, {Reason::kNone, Reason::kOther, Reason::kStorageFailed, Reason::kInternal}}};
  std::size_t count = 0;
  for (const auto& [status, reasons] : expected) {
    for (const Reason reason : reasons) {
      EXPECT_EQ(native::http_status_of({reason, Status(Errc::kIo, "x")}), status)
          << reason_name(reason);
    }
    count += reasons.size();
  }
  EXPECT_EQ(count, 50U) << "all reasons, see service_test.cc";
}

TEST(NativeErrors, AFailureThatNobodyLookedAtGoesByItsCode) {
  const std::map<Errc, int> expected = {
      {Errc::kInvalidArgument, 400}, {Errc::kDenied, 403},      {Errc::kNotFound, 404},
      {Errc::kAlreadyExists, 409},   {Errc::kConflict, 409},    {Errc::kRefused, 409},
      {Errc::kUnsupported, 422},     {Errc::kUnavailable, 503}, {Errc::kCorruption, 500}};
  for (const auto& [code, status] : expected)
    EXPECT_EQ(native::http_status_of({Reason::kOther, Status(code, "x")}), status);
}

// The log holds that something is about to be done, and then how it went; and what was refused.
TEST_F(Native, ChangesAreAuditedAroundTheDoing) {
  EXPECT_EQ(post(kKeyset + "/deks").status, 201);
  expect_refused(post("/v1/keysets/none/rekey"), 404, "no_such_keyset");
  expect_refused(ask("POST", kKeyset + "/rekey", "", "read-only"), 403, "http");
  EXPECT_EQ(get("/v1/keysets").status, 200);
  close();
  std::ifstream file(options_.audit_file);
  const std::string log{std::istreambuf_iterator<char>(file), {}};
  std::size_t at = 0;
  for (const char* part : {"native.dek.generate", "\"started\"", "native.dek.generate", "\"ok\"",
                           "native.rekey", "\"started\"", "native.rekey", "\"failed\"",
                           "no_such_keyset", "native.denied", "\"read-only\""}) {
    at = log.find(part, at);
    ASSERT_NE(at, std::string::npos) << part << " is not there, or not in order:\n" << log;
  }
  EXPECT_EQ(log.find("GET /v1"), std::string::npos);
  EXPECT_TRUE(verify_audit_log(options_.audit_file, {}).ok());
}

TEST_F(Native, TheProbesAndTheDocumentNeedNoAccount) {
  const auto answer_of = [](const HttpHandler& handler, const test::TestRequest& request) {
    std::promise<HttpResponse> promise;
    handler(test::make_request(request),
            [&](HttpResponse response) { promise.set_value(std::move(response)); });
    return promise.get_future().get();
  };
  EXPECT_EQ(ask("GET", "/v1/openapi.json", "", "").status, 200);
  EXPECT_EQ(answer_of(front_end_->health(), {"GET", "/healthz", "", ""}).status, 200);
  EXPECT_EQ(answer_of(front_end_->ready(), {"GET", "/readyz", "", ""}).status, 200);
  const auto text = [] { return std::string("a 1\n"); };
  EXPECT_EQ(answer_of(front_end_->metrics(text, false), {"GET", "/metrics", "", ""}).status, 401);
  EXPECT_EQ(answer_of(front_end_->metrics(text, false), {"POST", "/metrics"}).status, 405);
  EXPECT_EQ(answer_of(front_end_->metrics(text, false), {"GET", "/metrics"}).body, "a 1\n");
  EXPECT_EQ(answer_of(front_end_->metrics(text, true), {"GET", "/metrics", "", ""}).status, 200);
  EXPECT_EQ(answer_of(front_end_->handler(), {"GET", "/v1/keysets"}).status, 200);
}

TEST_F(Native, MetricsTellOfKeysetsAndJobs) {
  const Uuid job = uuid_of(post(kKeyset + "/rekey", "{\"rate\":2500}"));
  wait_for_progress(job);
  native::MetricsText metrics;
  native::write_service(service_.get(), &metrics);
  const std::string text = std::move(metrics).take();
  for (const char* line :
       {"rewrap_keyset_deks{keyset=\"disks\"} 10000\n", "rewrap_ready 1\n",
        "rewrap_jobs{state=\"running\"} 1\n", "rewrap_job_deks{keyset=\"disks\",job="})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

}  // namespace
}  // namespace rewrap
