// The front end as a client sees it: every route, every code, and the answers that real clients rely
// on.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "api/ontap/resources.h"
#include "tests/api/ontap_fake.h"

namespace rewrap::test {
namespace {

namespace json = boost::json;

const std::string kKms = "/api/security/aws-kms";
const std::string kOne = kKms + "/" + test_uuid_text(0x11);
const std::string kNone = kKms + "/" + test_uuid_text(0x99);
const std::string kJobs = "/api/cluster/jobs";
const char* const kWhole =
    R"({"svm":{"name":"svm1"},"region":"eu-1","key_id":"k","access_key_id":"A",)"
    R"("secret_access_key":"topsecret"})";

std::string quoted(const std::string& text) { return "\"" + text + "\""; }
std::string job_href(std::uint8_t last) { return kJobs + "/" + test_uuid_text(last); }

// set_everything gives a configuration a value in each field that may be absent.
void set_everything(AwsKmsConfiguration* configuration) {
  configuration->service = "KMS";
  configuration->default_domain = "amazonaws.com";
  configuration->host = "h";
  configuration->port = 443;
  configuration->polling_period = 60;
  configuration->timeout = 10;
  configuration->verify = true;
  configuration->verify_host = false;
  configuration->verify_ip = true;
  configuration->proxy_type = ProxyType::kHttps;
  configuration->proxy_host = "p";
  configuration->proxy_port = 3128;
  configuration->proxy_username = "u";
  configuration->encryption_context = "{}";
}

// A value that is no object, with where it stands; elements of arrays stand where their array does.
struct Leaf {
  std::string path;
  json::kind kind;
  std::string text;  // of strings
};
void collect(const std::string& path, const json::value& value, std::vector<Leaf>* leaves) {
  if (const json::object* object = value.if_object()) {
    for (const auto& [name, inner] : *object)
      collect(path + (path.empty() ? "" : ".") + std::string(name), inner, leaves);
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) collect(path, element, leaves);
  } else {
    const json::string* text = value.if_string();
    leaves->push_back({path, value.kind(), text == nullptr ? "" : std::string(*text)});
  }
}

class Ontap : public testing::Test, public OntapFixture {
 protected:
  // fail_with makes the next operation fail, and gives the answer.
  TestAnswer fail_with(Reason reason, const TestRequest& request) {
    backend.next = Failure{reason, Status(Errc::kRefused, "a cause", "a hint")};
    return ask(request);
  }
};

// --- What every answer has ---------------------------------------------------------------------

TEST_F(Ontap, EveryAnswerIsAnObjectWithItsHeaders) {
  for (const TestRequest& request :
       std::initializer_list<TestRequest>{{"GET", kKms},
                                          {"GET", kNone},
                                          {"GET", "/api"},
                                          {"GET", "/api/nothing"},
                                          {"GET", "/elsewhere"},
                                          {"PUT", kKms},
                                          {"OPTIONS", kKms},
                                          {"PATCH", kOne, R"({"region":"x"})"},
                                          {"DELETE", kOne},
                                          {"GET", kKms, "", ""},
                                          {"POST", kKms, "{"},
                                          {"POST", kOne + "/restore"}}) {
    const TestAnswer answer = ask(request);
    EXPECT_TRUE(answer.response.body.starts_with("{")) << request.method << request.target;
    EXPECT_TRUE(answer.response.body.ends_with("}\n")) << request.method << request.target;
    EXPECT_EQ(answer.response.content_type, "application/hal+json");
    EXPECT_EQ(answer.header("Cache-Control"), "no-cache,no-store,must-revalidate");
    if (answer.status >= 400) {
      EXPECT_TRUE(answer.at("error.code").starts_with("\"")) << answer.response.body;
      EXPECT_GT(answer.at("error.message").size(), 2U);
    }
  }
}

TEST_F(Ontap, UnknownPathsAndMethods) {
  EXPECT_EQ(get("/api/nothing").status, 404);
  EXPECT_EQ(get("/api/nothing").error_code(), "3");
  EXPECT_EQ(get("/api.x").error_code(), "3");
  for (const char* absent : {"/api/security/azure-key-vaults", "/api/security/gcp-kms"})
    EXPECT_EQ(get(absent).status, 404) << absent;
  const TestAnswer put = ask({"PUT", kKms});
  EXPECT_EQ(put.status, 405);
  EXPECT_EQ(put.error_code(), "3");
  EXPECT_EQ(put.header("Allow"), "OPTIONS, GET, HEAD, POST");
  EXPECT_EQ(ask({"GET", kOne + "/rekey-internal"}).status, 405);
}

TEST_F(Ontap, OptionsAndHeadWorkWhereGetDoes) {
  const TestAnswer options = ask({"OPTIONS", kOne});
  EXPECT_EQ(options.status, 200);
  EXPECT_EQ(options.header("Allow"), "OPTIONS, GET, HEAD, PATCH, DELETE");
  EXPECT_EQ(options.response.body, "{}\n");
  EXPECT_EQ(ask({"HEAD", kOne}).status, 200);
  EXPECT_EQ(ask({"HEAD", kOne + "/rekey-internal"}).status, 405);
}

TEST_F(Ontap, SlashesAreTolerated) {
  for (const std::string& target :
       {kOne + "/", std::string("/api//security/aws-kms/") + test_uuid_text(0x11),
        std::string("//api//security//aws-kms//") + test_uuid_text(0x11) + "//?fields=%2A"})
    EXPECT_EQ(get(target).status, 200) << target;
}

TEST_F(Ontap, NotFoundHasTheTextThatClientsCompare) {
  const TestAnswer answer = get(kNone);
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.at("error"), R"({"message":"entry doesn't exist","code":"4","target":"uuid"})");
  const TestAnswer malformed = get(kKms + "/1");
  EXPECT_EQ(malformed.status, 404);
  EXPECT_EQ(malformed.error_code(), "2");
  EXPECT_EQ(malformed.at("error.message"),
            "\"\\\"1\\\" is an invalid value for field \\\"uuid\\\" (<UUID>)\"");
}

// --- Who asks ----------------------------------------------------------------------------------

TEST_F(Ontap, EveryFailedLogInGetsTheSameAnswer) {
  const TestAnswer wrong = ask({"GET", kKms, "", "admin", "wrong"});
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.error_code(), "6691623");
  EXPECT_NE(wrong.at("error.message").find("User is not authorized."), std::string::npos);
  EXPECT_TRUE(wrong.header("WWW-Authenticate").starts_with("Basic "));
  for (const TestRequest& request : std::initializer_list<TestRequest>{
           {"GET", kKms, "", "nobody", "correct-horse"},
           {"GET", kKms, "", ""},
           {"GET", "/api/nothing", "", ""},
           {"DELETE", kNone, "{", "nobody"},
           {"GET", kKms, "", "", "", {{"Authorization", "Basic !!!!"}}},
           {"GET", kKms, "", "", "", {{"Authorization", "Basic "}}},
           {"GET", kKms, "", "", "", {{"Authorization", "Basic YWRtaW4="}}},
           {"GET", kKms, "", "", "", {{"Authorization", "Bearer YWRtaW46Y29ycmVjdC1ob3JzZQ=="}}},
           {"GET", kKms, "", "", "", {{"Authorization", "Basic " + std::string(5000, 'A')}}}}) {
    const TestAnswer answer = ask(request);
    EXPECT_EQ(answer.status, 401) << request.target;
    EXPECT_EQ(answer.response.body, wrong.response.body) << request.target;
  }
  ASSERT_FALSE(backend.events.empty());
  EXPECT_EQ(backend.events.front().action, "login");
  EXPECT_EQ(backend.events.front().outcome, "denied");
}

TEST_F(Ontap, APasswordIsRememberedForAShortTime) {
  EXPECT_EQ(get(kKms).status, 200);
  EXPECT_EQ(get(kKms).status, 200);
  EXPECT_EQ(backend.log_ins, 1);
  EXPECT_EQ(ask({"GET", kKms, "", "admin", "wrong"}).status, 401);
  EXPECT_EQ(ask({"GET", kKms, "", "admin", "wrong"}).status, 401);
  EXPECT_EQ(backend.log_ins, 3);  // failures are not remembered

  Authenticator authenticator(&backend, "ontap 401");
  const auto request = make_request({"GET", kKms});
  const auto now = Authenticator::Clock::now();
  EXPECT_TRUE(authenticator.authenticate(*request, now));
  EXPECT_TRUE(authenticator.authenticate(*request, now + std::chrono::seconds(7)));
  EXPECT_EQ(backend.log_ins, 4);
  EXPECT_TRUE(authenticator.authenticate(*request, now + std::chrono::seconds(10)));
  EXPECT_EQ(backend.log_ins, 5);
}

TEST_F(Ontap, ACertificateCountsOnlyIfTlsVerifiedIt) {
  Authenticator authenticator(&backend, "ontap 401");
  const auto request = make_request({"GET", kKms, "", ""});
  request->client_certificate.presented = true;
  request->client_certificate.common_name = "robot";
  EXPECT_FALSE(authenticator.authenticate(*request));
  request->client_certificate.verified = true;
  const auto account = authenticator.authenticate(*request);
  ASSERT_TRUE(account);
  EXPECT_EQ(account->name, "robot");
  request->client_certificate.common_name = "stranger";
  EXPECT_FALSE(authenticator.authenticate(*request));
  // A password that is wrong is not made good by a certificate.
  request->client_certificate.common_name = "robot";
  request->headers.push_back({"Authorization", "Basic eDp5"});
  EXPECT_FALSE(authenticator.authenticate(*request));
}

TEST_F(Ontap, AReaderMayReadAndNothingElse) {
  for (const std::string& target : {kKms, kOne, kJobs, std::string("/api/cluster")})
    EXPECT_EQ(ask({"GET", target, "", "reader"}).status, 200) << target;
  for (const TestRequest& request : std::initializer_list<TestRequest>{
           {"POST", kKms, kWhole, "reader"},
           {"PATCH", kOne, R"({"region":"x"})", "reader"},
           {"DELETE", kOne, "", "reader"},
           {"POST", kOne + "/rekey-internal", "", "reader"},
           {"POST", kOne + "/rekey-external", R"({"key_id":"x"})", "reader"},
           {"POST", kOne + "/restore", "", "reader"},
           {"PATCH", job_href(0x80) + "?action=cancel", "", "reader"}}) {
    const TestAnswer answer = ask(request);
    EXPECT_EQ(answer.status, 403) << request.method << request.target;
    EXPECT_EQ(answer.error_code(), "6");
  }
  EXPECT_TRUE(backend.last_operation.empty());
  ASSERT_EQ(backend.events.size(), 7U);
  EXPECT_EQ(backend.events.back().outcome, "denied");
}

TEST_F(Ontap, AnOperatorMayRekeyAndNotConfigure) {
  for (const TestRequest& request : std::initializer_list<TestRequest>{
           {"POST", kOne + "/rekey-internal", "", "operator"},
           {"POST", kOne + "/rekey-external", R"({"key_id":"x"})", "operator"},
           {"POST", kOne + "/restore", "", "operator"},
           {"PATCH", job_href(0x80) + "?action=cancel", "", "operator"}})
    EXPECT_LT(ask(request).status, 300) << request.method << request.target;
  backend.last_operation.clear();
  for (const TestRequest& request :
       std::initializer_list<TestRequest>{{"POST", kKms, kWhole, "operator"},
                                          {"PATCH", kOne, R"({"region":"x"})", "operator"},
                                          {"DELETE", kOne, "", "operator"}})
    EXPECT_EQ(ask(request).error_code(), "6") << request.method << request.target;
  EXPECT_TRUE(backend.last_operation.empty());
}

TEST_F(Ontap, ChangesAreAuditedBeforeAndAfter) {
  EXPECT_EQ(ask({"POST", kOne + "/restore"}).status, 202);
  ASSERT_EQ(backend.events.size(), 2U);
  EXPECT_EQ(backend.events[0].action, "ontap.restore");
  EXPECT_EQ(backend.events[0].outcome, "started");
  EXPECT_EQ(backend.events[0].user, "admin");
  EXPECT_EQ(backend.events[0].origin, "192.0.2.1");
  EXPECT_EQ(backend.events[0].object, kOne + "/restore");
  EXPECT_EQ(backend.events[0].request_id, "request-1");
  EXPECT_EQ(backend.events[1].outcome, "ok");
  EXPECT_EQ(fail_with(Reason::kRootBlocked, {"POST", kOne + "/rekey-internal"}).status, 409);
  EXPECT_EQ(backend.events.back().outcome, "failed");
  EXPECT_EQ(backend.events.back().detail, "65537556");
  EXPECT_EQ(get(kKms).status, 200);
  EXPECT_EQ(backend.events.size(), 4U);  // reading is not audited
}

TEST_F(Ontap, WhatCannotBeAuditedIsNotDone) {
  backend.audit_status = Status(Errc::kIo, "the disk is full");
  EXPECT_EQ(ask({"DELETE", kOne}).status, 500);
  EXPECT_TRUE(backend.last_operation.empty());
  EXPECT_EQ(backend.configurations.size(), 1U);
}

// --- GET ---------------------------------------------------------------------------------------

TEST_F(Ontap, AListShowsWhatIdentifies) {
  const TestAnswer answer = get(kKms);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.response.body, "{\"records\":[{\"uuid\":\"" + test_uuid_text(0x11) +
                                      "\",\"_links\":{\"self\":{\"href\":\"" + kOne +
                                      "\"}}}],\"num_records\":1,\"_links\":{\"self\":{\"href\":\"" +
                                      kKms + "\"}}}\n");
  EXPECT_EQ(get(kKms + "?fields=").at("records.0"), answer.at("records.0"));
}

TEST_F(Ontap, ARecordShowsWhatIsStandardAndWhatIsSet) {
  const TestAnswer answer = get(kOne);
  EXPECT_EQ(answer.at("uuid"), quoted(test_uuid_text(0x11)));
  EXPECT_EQ(answer.at("scope"), "\"svm\"");
  EXPECT_EQ(answer.at("svm.name"), "\"svm1\"");
  EXPECT_EQ(answer.at("svm.uuid"), quoted(test_uuid_text(0x01)));
  EXPECT_EQ(answer.at("svm._links.self.href"), quoted("/api/svm/svms/" + test_uuid_text(0x01)));
  EXPECT_EQ(answer.at("region"), "\"us-east-1\"");
  EXPECT_EQ(answer.at("_links.self.href"), quoted(kOne));
  for (const char* absent : {"port", "proxy_host", "verify", "host", "state", "records",
                             "amazon_reachability", "ekmip_reachability", "secret_access_key"})
    EXPECT_EQ(answer.at(absent), "") << absent;
  EXPECT_EQ(get(kOne + "?fields=*").response.body, answer.response.body);
  EXPECT_EQ(backend.state_calls, 0);
}

// Every documented field, with its JSON type.
TEST_F(Ontap, EveryFieldHasItsType) {
  set_everything(&backend.configurations[0]);
  const TestAnswer answer = get(kOne + "?fields=**");
  struct Row {
    const char* path;
    const char* text;
  };
  for (const Row& row :
       std::initializer_list<Row>{{"service", "\"KMS\""},
                                  {"default_domain", "\"amazonaws.com\""},
                                  {"host", "\"h\""},
                                  {"port", "443"},
                                  {"polling_period", "60"},
                                  {"timeout", "10"},
                                  {"verify", "true"},
                                  {"verify_host", "false"},
                                  {"verify_ip", "true"},
                                  {"proxy_type", "\"https\""},
                                  {"proxy_host", "\"p\""},
                                  {"proxy_port", "3128"},
                                  {"proxy_username", "\"u\""},
                                  {"encryption_context", "\"{}\""},
                                  {"access_key_id", "\"AKIDTEST\""},
                                  {"key_id", "\"key-1\""},
                                  {"state.cluster_state", "false"},
                                  {"state.code", "\"65537551\""},
                                  {"state.message", "\"node-02 is missing\""},
                                  {"amazon_reachability.reachable", "true"},
                                  {"amazon_reachability.code", "\"0\""},
                                  {"amazon_reachability.message", "\"\""},
                                  {"ekmip_reachability.0.reachable", "true"},
                                  {"ekmip_reachability.0.code", "\"0\""},
                                  {"ekmip_reachability.0.node.name", "\"node-01\""},
                                  {"ekmip_reachability.1.reachable", "false"},
                                  {"ekmip_reachability.1.code", "\"65537552\""},
                                  {"ekmip_reachability.1.message", "\"no heartbeat\""}})
    EXPECT_EQ(answer.at(row.path), row.text) << row.path;
  EXPECT_EQ(answer.at("ekmip_reachability.1.node._links.self.href"),
            quoted("/api/cluster/nodes/" + test_uuid_text(0x22)));
  EXPECT_EQ(backend.state_calls, 1);

  backend.aws_state.amazon = {false, Reason::kRootUnreachable, "no route"};
  const TestAnswer away = get(kOne + "?fields=amazon_reachability");
  EXPECT_EQ(away.at("amazon_reachability"),
            R"({"reachable":false,"code":"65537915","message":"no route"})");
  EXPECT_EQ(away.at("region"), "");
}

struct Documented {
  const char* path;
  json::kind kind;
};

// expect_documented checks that a record has all of these, and nothing else.
void expect_documented(const json::object& record, const std::vector<Documented>& fields) {
  std::vector<Leaf> leaves;
  collect("", record, &leaves);
  for (const Documented& field : fields) {
    const auto leaf = std::find_if(leaves.begin(), leaves.end(),
                                   [&](const Leaf& one) { return one.path == field.path; });
    if (leaf == leaves.end()) {
      ADD_FAILURE() << field.path << " is not there";
      continue;
    }
    EXPECT_EQ(leaf->kind, field.kind) << field.path;
  }
  for (const Leaf& leaf : leaves)
    EXPECT_TRUE(std::any_of(fields.begin(), fields.end(),
                            [&](const Documented& one) { return one.path == leaf.path; }))
        << leaf.path << " is not documented";
}

// Every documented field with its JSON type, and no other.
TEST_F(Ontap, RecordsAreAsDocumented) {
  set_everything(&backend.configurations[0]);
  constexpr auto kText = json::kind::string;
  constexpr auto kNumber = json::kind::int64;
  constexpr auto kFlag = json::kind::bool_;
  expect_documented(get(kOne + "?fields=**").json,
                    {{"uuid", kText},
                     {"_links.self.href", kText},
                     {"scope", kText},
                     {"svm.uuid", kText},
                     {"svm.name", kText},
                     {"svm._links.self.href", kText},
                     {"region", kText},
                     {"key_id", kText},
                     {"access_key_id", kText},
                     {"service", kText},
                     {"default_domain", kText},
                     {"host", kText},
                     {"port", kNumber},
                     {"polling_period", kNumber},
                     {"timeout", kNumber},
                     {"verify", kFlag},
                     {"verify_host", kFlag},
                     {"verify_ip", kFlag},
                     {"proxy_type", kText},
                     {"proxy_host", kText},
                     {"proxy_port", kNumber},
                     {"proxy_username", kText},
                     {"encryption_context", kText},
                     {"state.cluster_state", kFlag},
                     {"state.code", kText},
                     {"state.message", kText},
                     {"amazon_reachability.reachable", kFlag},
                     {"amazon_reachability.code", kText},
                     {"amazon_reachability.message", kText},
                     {"ekmip_reachability.node.name", kText},
                     {"ekmip_reachability.node.uuid", kText},
                     {"ekmip_reachability.node._links.self.href", kText},
                     {"ekmip_reachability.reachable", kFlag},
                     {"ekmip_reachability.code", kText},
                     {"ekmip_reachability.message", kText}});
  (void)ask({"POST", kOne + "/rekey-internal"});
  backend.finish(JobState::kFailed, Reason::kRootBlocked, "the key is disabled");
  expect_documented(get(job_href(0x80) + "?fields=**").json, {{"uuid", kText},
                                                              {"_links.self.href", kText},
                                                              {"description", kText},
                                                              {"state", kText},
                                                              {"message", kText},
                                                              {"code", kNumber},
                                                              {"error.message", kText},
                                                              {"error.code", kText},
                                                              {"start_time", kText},
                                                              {"end_time", kText},
                                                              {"node.name", kText},
                                                              {"svm.uuid", kText},
                                                              {"svm.name", kText},
                                                              {"svm._links.self.href", kText}});
}

// Clients put the origin before each link, and go there.
TEST_F(Ontap, EveryLinkIsAPathThatAnswers) {
  backend.configurations.push_back(backend.configurations[0]);
  (void)ask({"POST", kOne + "/rekey-internal"});
  int links = 0;
  for (const std::string& target :
       {kKms + "?max_records=1&fields=**", kOne + "?fields=**", kJobs + "?fields=*",
        std::string("/api/cluster"), std::string("/api/cluster/nodes?fields=*"),
        std::string("/api/svm/svms?fields=*"), std::string("/api/security/key-stores?fields=*")}) {
    std::vector<Leaf> leaves;
    collect("", get(target).json, &leaves);
    for (const Leaf& leaf : leaves) {
      if (!leaf.path.ends_with("href")) continue;
      ++links;
      EXPECT_TRUE(leaf.text.starts_with("/api/")) << leaf.text;
      EXPECT_EQ(get(leaf.text).status, 200) << leaf.text;
    }
  }
  EXPECT_GT(links, 20);
  EXPECT_TRUE(ask({"POST", kKms, kWhole}).header("Location").starts_with("/api/security/aws-kms/"));
}

TEST_F(Ontap, AdvancedPropertiesAreAskedForOnlyWhereNeeded) {
  (void)get(kKms + "?fields=*");
  EXPECT_EQ(backend.state_calls, 0);
  EXPECT_EQ(get(kKms + "?state.cluster_state=false").at("num_records"), "1");
  EXPECT_EQ(get(kKms + "?ekmip_reachability.node.name=node-02").at("num_records"), "1");
  EXPECT_EQ(get(kKms + "?ekmip_reachability.node.name=node-03").at("num_records"), "0");
  EXPECT_EQ(backend.state_calls, 3);
  EXPECT_EQ(fail_with(Reason::kRootUnreachable, {"GET", kOne + "?fields=state"}).error_code(),
            "65537915");
}

TEST_F(Ontap, FiltersOrderAndPages) {
  AwsKmsConfiguration two = backend.configurations[0];
  two.uuid = test_uuid(0x12);
  two.keyset = "svm2";
  two.keyset_uuid = test_uuid(0x03);
  two.port = 8443;
  backend.configurations.push_back(two);
  EXPECT_EQ(get(kKms + "?svm.name=svm2").at("records.0.uuid"), quoted(test_uuid_text(0x12)));
  EXPECT_EQ(get(kKms + "?port=%3E8000").at("num_records"), "1");
  EXPECT_EQ(get(kKms + "?port=null").at("num_records"), "1");
  EXPECT_EQ(get(kKms + "?order_by=svm.name%20desc").at("records.0.uuid"),
            quoted(test_uuid_text(0x12)));
  const TestAnswer first = get(kKms + "?max_records=1&fields=svm.name");
  EXPECT_EQ(first.at("num_records"), "1");
  const std::string next = kKms + "?max_records=1&fields=svm.name&offset=1";
  EXPECT_EQ(first.at("_links.next.href"), quoted(next));
  EXPECT_EQ(first.header("Link"), "<" + next + ">; rel=\"next\"");
  const TestAnswer second = get(next);
  EXPECT_EQ(second.at("records.0.svm.name"), "\"svm2\"");
  EXPECT_EQ(second.at("_links.next"), "");
  EXPECT_EQ(get(kKms + "?return_records=false").response.body,
            "{\"num_records\":2,\"_links\":{\"self\":{\"href\":\"" + kKms +
                "?return_records=false\"}}}\n");
  EXPECT_EQ(get(kKms + "?secret_access_key=x").error_code(), "262202");
  EXPECT_EQ(get(kKms + "?fields=proxy_password").error_code(), "262249");
  EXPECT_EQ(get(kKms + "?return_timeout=121").error_code(), "262197");
}

TEST_F(Ontap, FollowingTheNextLinkGivesEachRecordOnce) {
  for (std::uint8_t last = 0x12; last < 0x18; ++last) {
    backend.configurations.push_back(backend.configurations[0]);
    backend.configurations.back().uuid = test_uuid(last);
  }
  std::vector<std::string> seen;
  std::string target = quoted(kKms + "?max_records=2&order_by=uuid%20desc&region=us%2A%7Cx%26y");
  while (!target.empty()) {
    const TestAnswer page = get(target.substr(1, target.size() - 2));
    ASSERT_EQ(page.status, 200);
    ASSERT_LE(seen.size(), 7U);
    for (const json::value& record : page.json.at("records").as_array())
      seen.emplace_back(record.at("uuid").as_string());
    target = page.at("_links.next.href");
  }
  ASSERT_EQ(seen.size(), 7U);
  for (std::size_t i = 0; i < seen.size(); ++i)
    EXPECT_EQ(seen[i], test_uuid_text(static_cast<std::uint8_t>(0x17 - i)));
}

TEST_F(Ontap, PlainJsonHasNoLinksButTheNextOne) {
  backend.configurations.push_back(backend.configurations[0]);
  const TestRequest request{"GET",           kKms + "?max_records=1&fields=svm", "", "admin",
                            "correct-horse", {{"Accept", "application/json"}}};
  const TestAnswer answer = ask(request);
  EXPECT_EQ(answer.response.content_type, "application/json");
  EXPECT_EQ(answer.at("records.0._links"), "");
  EXPECT_EQ(answer.at("records.0.svm._links"), "");
  EXPECT_EQ(answer.at("_links.self"), "");
  EXPECT_NE(answer.at("_links.next.href"), "");
}

TEST_F(Ontap, AGetTakesNoBody) {
  EXPECT_EQ(ask({"GET", kKms, "{}"}).status, 200);
  EXPECT_EQ(ask({"GET", kKms, R"({"a":1})"}).error_code(), "262198");
  EXPECT_EQ(ask({"DELETE", kOne, R"({"a":1})"}).error_code(), "262198");
}

TEST_F(Ontap, TheClusterSaysItsVersionInFourParts) {
  const TestAnswer answer = get("/api/cluster");
  EXPECT_EQ(answer.at("name"), "\"cluster1\"");
  EXPECT_EQ(answer.at("version.generation"), "9");
  EXPECT_EQ(answer.at("version.major"), "17");
  EXPECT_EQ(answer.at("version.minor"), "1");
  EXPECT_TRUE(answer.at("version.full").starts_with("\"NetApp Release 9.17.1"));
  EXPECT_EQ(answer.at("_links.self.href"), "\"/api/cluster\"");
  EXPECT_EQ(get("/api/cluster?fields=version").at("version"), answer.at("version"));
}

TEST_F(Ontap, NodesAndSvmsAreSmallCollections) {
  const TestAnswer nodes = get("/api/cluster/nodes?fields=version,state");
  EXPECT_EQ(nodes.at("num_records"), "2");
  EXPECT_EQ(nodes.at("records.0.name"), "\"node-01\"");
  EXPECT_EQ(nodes.at("records.0.state"), "\"up\"");
  EXPECT_EQ(nodes.at("records.1.state"), "\"down\"");
  EXPECT_EQ(nodes.at("records.1.version.major"), "17");
  EXPECT_EQ(get("/api/cluster/nodes/" + test_uuid_text(0x22)).at("name"), "\"node-02\"");
  EXPECT_EQ(get("/api/cluster/nodes/" + test_uuid_text(0x99)).error_code(), "4");
  const TestAnswer svms = get("/api/svm/svms");
  EXPECT_EQ(svms.at("num_records"), "1");  // the admin SVM is none of them
  EXPECT_EQ(svms.at("records.0.name"), "\"svm1\"");
  EXPECT_EQ(get("/api/svm/svms?name=svm1").at("records.0.uuid"), quoted(test_uuid_text(0x01)));
  EXPECT_EQ(get("/api/svm/svms/" + test_uuid_text(0x01)).at("name"), "\"svm1\"");
  EXPECT_EQ(get("/api/svm/svms/" + test_uuid_text(0x02)).error_code(), "4");
}

TEST_F(Ontap, KeyStoresShowTheStateOfASvm) {
  const TestAnswer list = get("/api/security/key-stores?fields=type,location,scope,enabled,svm");
  EXPECT_EQ(list.at("records.0.uuid"), quoted(test_uuid_text(0x11)));
  EXPECT_EQ(list.at("records.0.type"), "\"aws\"");
  EXPECT_EQ(list.at("records.0.location"), "\"external\"");
  EXPECT_EQ(list.at("records.0.scope"), "\"svm\"");
  EXPECT_EQ(list.at("records.0.enabled"), "true");
  EXPECT_EQ(list.at("records.0.svm.name"), "\"svm1\"");
  EXPECT_EQ(list.at("records.1.type"), "\"okm\"");
  EXPECT_EQ(list.at("records.1.scope"), "\"cluster\"");
  EXPECT_EQ(backend.root_asked, 0);
  const std::string store = "/api/security/key-stores/" + test_uuid_text(0x11);
  struct Row {
    KeystoreState state;
    const char* text;
  };
  for (const Row& row :
       {Row{KeystoreState::kActive, "\"active\""}, Row{KeystoreState::kMixed, "\"mixed\""},
        Row{KeystoreState::kRekeying, "\"svm_kek_rekey\""},
        Row{KeystoreState::kBlocked, "\"blocked\""},
        Row{KeystoreState::kSwitching, "\"switching\""}}) {
    backend.store_state = row.state;
    EXPECT_EQ(get(store).at("state"), row.text);
  }
  EXPECT_EQ(get("/api/security/key-stores/" + test_uuid_text(0x01)).error_code(), "4");
  EXPECT_EQ(get("/api/security/key-stores/" + test_uuid_text(0x02)).at("location"), "\"onboard\"");
}

// --- Create, change, delete ---------------------------------------------------------------------

TEST_F(Ontap, CreateAnswers201WithLocationAndNoSecret) {
  const TestAnswer answer = ask({"POST", kKms, kWhole});
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.header("Location"), kKms + "/" + test_uuid_text(0x12));
  EXPECT_EQ(answer.response.body, "{}\n");
  EXPECT_EQ(backend.last_keyset, "svm1");
  EXPECT_EQ(backend.last_key_id, "k");
  EXPECT_EQ(backend.last_settings.region, "eu-1");
  EXPECT_TRUE(secrets_equal(backend.last_settings.secret_access_key->expose_secret(),
                            as_bytes("topsecret")));
  EXPECT_EQ(backend.last_caller.origin, JobOrigin::kOntap);
  EXPECT_EQ(backend.last_caller.user, "admin");

  const TestAnswer records = ask({"POST", kKms + "?return_records=true", kWhole});
  EXPECT_EQ(records.at("num_records"), "1");
  EXPECT_EQ(records.at("records.0.key_id"), "\"k\"");
  EXPECT_EQ(records.at("records.0.access_key_id"), "\"A\"");
  EXPECT_EQ(records.response.body.find("topsecret"), std::string::npos);
  for (const AuditEvent& event : backend.events)
    EXPECT_EQ((event.object + event.detail + event.action).find("topsecret"), std::string::npos);
}

TEST_F(Ontap, EverySettingArrives) {
  const TestAnswer answer =
      ask({"PATCH", kOne,
           R"({"region":"r","access_key_id":"a","secret_access_key":"s","service":"x",
               "default_domain":"d","host":"h","port":1,"polling_period":2,"timeout":3,
               "verify":true,"verify_host":false,"verify_ip":true,"skip_verify":true,
               "proxy_type":"http","proxy_host":"p","proxy_port":4,"proxy_username":"u",
               "proxy_password":"w","encryption_context":"{}"})"});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.response.body, "{}\n");
  const AwsKmsSettings& set = backend.last_settings;
  EXPECT_EQ(set.region, "r");
  EXPECT_EQ(set.access_key_id, "a");
  EXPECT_TRUE(secrets_equal(set.secret_access_key->expose_secret(), as_bytes("s")));
  EXPECT_EQ(set.service, "x");
  EXPECT_EQ(set.default_domain, "d");
  EXPECT_EQ(set.host, "h");
  EXPECT_EQ(set.port, 1);
  EXPECT_EQ(set.polling_period, 2U);
  EXPECT_EQ(set.timeout, 3U);
  EXPECT_EQ(set.verify, true);
  EXPECT_EQ(set.verify_host, false);
  EXPECT_EQ(set.verify_ip, true);
  EXPECT_EQ(set.skip_verify, true);
  EXPECT_EQ(set.proxy_type, ProxyType::kHttp);
  EXPECT_EQ(set.proxy_host, "p");
  EXPECT_EQ(set.proxy_port, 4);
  EXPECT_EQ(set.proxy_username, "u");
  EXPECT_TRUE(secrets_equal(set.proxy_password->expose_secret(), as_bytes("w")));
  EXPECT_EQ(set.encryption_context, "{}");

  EXPECT_EQ(ask({"PATCH", kOne, R"({"region":"only"})"}).status, 200);
  EXPECT_FALSE(backend.last_settings.port);
  EXPECT_FALSE(backend.last_settings.secret_access_key);
}

TEST_F(Ontap, TheSvmComesFromBodyOrTunnel) {
  const std::string rest =
      R"("region":"r","key_id":"k","access_key_id":"A","secret_access_key":"s"})";
  const auto post = [&](const std::string& svm, std::vector<HttpHeader> headers) {
    return ask({"POST", kKms, "{" + svm + rest, "admin", "correct-horse", std::move(headers)});
  };
  const std::string uuid = test_uuid_text(0x01);
  EXPECT_EQ(post("", {}).error_code(), "262212");
  EXPECT_EQ(post("", {{"X-Dot-SVM-Name", "svm1"}}).status, 201);
  EXPECT_EQ(post("", {{"X-Dot-SVM-UUID", uuid}}).status, 201);
  EXPECT_EQ(backend.last_keyset, "svm1");
  EXPECT_EQ(post(R"("svm":{"uuid":")" + uuid + "\"},", {}).status, 201);
  EXPECT_EQ(post(R"("svm":{"name":"svm1","uuid":")" + uuid + "\"},", {}).status, 201);
  EXPECT_EQ(post(R"("svm.name":"svm1",)", {}).status, 201);
  EXPECT_EQ(post(R"("svm":{"name":"other","uuid":")" + uuid + "\"},", {}).error_code(), "2621706");
  EXPECT_EQ(post(R"("svm":{"name":"a"},)", {{"X-Dot-SVM-Name", "b"}}).error_code(), "2621706");
  EXPECT_EQ(post(R"("svm":{"uuid":")" + uuid + "\"},", {{"X-Dot-SVM-UUID", test_uuid_text(0x03)}})
                .error_code(),
            "2621706");
  EXPECT_EQ(post("", {{"X-Dot-SVM-UUID", test_uuid_text(0x99)}}).error_code(), "8586226");
  EXPECT_EQ(post("", {{"X-Dot-SVM-UUID", "x"}}).error_code(), "262197");
}

TEST_F(Ontap, ATunnelSeesItsOwnSvmOnly) {
  const auto through = [&](const char* method, const std::string& target, const char* svm) {
    return ask({method, target, "", "admin", "correct-horse", {{"X-Dot-SVM-Name", svm}}});
  };
  EXPECT_EQ(through("GET", kKms, "svm1").at("num_records"), "1");
  EXPECT_EQ(through("GET", kKms, "other").at("num_records"), "0");
  EXPECT_EQ(through("GET", kOne, "other").error_code(), "4");
  EXPECT_EQ(through("POST", kOne + "/rekey-internal", "other").error_code(), "65537926");
  EXPECT_EQ(through("DELETE", kOne, "other").error_code(), "65537926");
  EXPECT_TRUE(backend.last_operation.empty());
}

TEST_F(Ontap, DeleteTakesNoBodyOrAnEmptyOne) {
  EXPECT_EQ(ask({"DELETE", kOne, "{}"}).status, 200);
  EXPECT_EQ(ask({"DELETE", kOne}).error_code(), "65537926");
}

// --- The three actions, as clients send them ------------------------------------------------------

TEST_F(Ontap, RekeyInternalAnswers202WithAJobLink) {
  const std::initializer_list<TestRequest> requests = {
      // The Python library.
      {"POST",
       kOne + "/rekey-internal",
       "{}",
       "admin",
       "correct-horse",
       {{"Content-Type", "application/json"}, {"Accept", "*/*"}, {"X-Dot-Client-App", "x"}}},
      // Ansible without waiting.
      {"POST",
       kOne + "/rekey-internal",
       "",
       "admin",
       "correct-horse",
       {{"Accept", "application/json"}}},
      // Terraform's client sends the type and no Accept.
      {"POST",
       kOne + "/rekey-internal",
       "",
       "admin",
       "correct-horse",
       {{"Content-Type", "application/json"}}},
      {"POST", kOne + "/rekey-internal?return_timeout=0"},
  };
  std::uint8_t number = 0x80;
  for (const TestRequest& request : requests) {
    const TestAnswer answer = ask(request);
    EXPECT_EQ(answer.status, 202);
    EXPECT_EQ(answer.at("job.uuid"), quoted(test_uuid_text(number)));
    EXPECT_EQ(answer.at("job._links.self.href"), quoted(job_href(number)));
    EXPECT_EQ(answer.header("Location"), kOne);
    ++number;
  }
  EXPECT_EQ(backend.last_caller.description,
            "POST /api/security/aws-kms/" + test_uuid_text(0x11) + "/rekey-internal");
  EXPECT_EQ(ask({"POST", kOne + "/rekey-internal", R"({"key_id":"x"})"}).error_code(), "262179");
  EXPECT_EQ(ask({"POST", kOne + "/rekey-internal?return_timeout=121"}).error_code(), "262197");
}

TEST_F(Ontap, AWaitEndsWith201WhenTheJobSucceeds) {
  const auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(try_ask({"POST", kOne + "/rekey-internal?return_timeout=30"}));
  EXPECT_GE(backend.last_deadline, before + std::chrono::seconds(30));
  EXPECT_LE(backend.last_deadline, std::chrono::steady_clock::now() + std::chrono::seconds(30));
  backend.finish(JobState::kSucceeded);
  const auto answer = this->answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 201);
  EXPECT_EQ(answer->at("job.uuid"), quoted(test_uuid_text(0x80)));
  EXPECT_EQ(answer->at("job._links.self.href"), quoted(job_href(0x80)));
  EXPECT_EQ(answer->header("Location"), kOne);
  EXPECT_EQ(answer->at("records"), "");
  // All clients look at the job once more.
  EXPECT_EQ(get(job_href(0x80) + "?fields=message,state,error").at("state"), "\"success\"");
}

// 201 for what is created or done by POST, 200 for changes; what ends at once ends at once.
TEST_F(Ontap, ReturnTimeoutIsFrom0To120) {
  for (const char* action : {"/rekey-internal", "/rekey-external", "/restore"}) {
    const char* body = std::string_view(action) == "/rekey-external" ? R"({"key_id":"n"})" : "";
    for (const char* bad : {"121", "-1", "1.5", "x", "", "4294967296", "99999999999999999999"})
      EXPECT_EQ(ask({"POST", kOne + action + "?return_timeout=" + bad, body}).error_code(),
                "262197")
          << bad;
    EXPECT_EQ(ask({"POST", kOne + action + "?return_timeout=0", body}).status, 202);
    EXPECT_FALSE(try_ask({"POST", kOne + action + "?return_timeout=120", body}));
    backend.finish(JobState::kSucceeded);
    const auto answer = this->answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 201) << action;
  }
  EXPECT_EQ(ask({"POST", kKms + "?return_timeout=30", kWhole}).status, 201);
  EXPECT_EQ(ask({"PATCH", kOne + "?return_timeout=30", R"({"region":"x"})"}).status, 200);
  EXPECT_EQ(ask({"DELETE", kOne + "?return_timeout=30"}).status, 200);
}

TEST_F(Ontap, AWaitEndsWith202WhenTheTimeIsUp) {
  EXPECT_FALSE(try_ask({"POST", kOne + "/rekey-internal?return_timeout=1"}));
  backend.expire();
  const auto answer = this->answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 202);
  EXPECT_EQ(answer->at("job._links.self.href"), quoted(job_href(0x80)));
}

TEST_F(Ontap, AWaitEndsWithAnErrorWhenTheJobFails) {
  EXPECT_FALSE(try_ask({"POST", kOne + "/rekey-internal?return_timeout=30"}));
  backend.finish(JobState::kFailed, Reason::kTokenLost, "AWS went away");
  const auto answer = this->answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 409);
  EXPECT_EQ(answer->error_code(), "65537556");
  EXPECT_NE(answer->at("error.message").find("AWS went away"), std::string::npos);
}

TEST_F(Ontap, AskingAnewLetsAJobThatWaitsGoOn) {
  (void)ask({"POST", kOne + "/rekey-internal"});
  backend.is_under_way = true;
  struct Row {
    JobState state;
    Reason reason;
    const char* operation;  // the last one that was asked of the service
  };
  for (const Row& row : {Row{JobState::kPaused, Reason::kRootUnreachable, "resume"},
                         Row{JobState::kPaused, Reason::kNone, "rekey-internal"},
                         Row{JobState::kRunning, Reason::kNone, "rekey-internal"}}) {
    backend.job_list.back().state = row.state;
    backend.job_list.back().error.reason = row.reason;
    const TestAnswer answer = ask({"POST", kOne + "/rekey-internal"});
    EXPECT_EQ(answer.status, 202);
    EXPECT_EQ(answer.at("job.uuid"), quoted(test_uuid_text(0x80)));
    EXPECT_EQ(backend.last_operation, row.operation);
  }
}

TEST_F(Ontap, ReturnRecordsShowsTheConfiguration) {
  EXPECT_FALSE(try_ask({"POST", kOne + "/rekey-external?return_timeout=9&return_records=true",
                        R"({"key_id":"n"})"}));
  backend.finish(JobState::kSucceeded);
  const auto answer = this->answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->at("num_records"), "1");
  EXPECT_EQ(answer->at("records.0.key_id"), "\"n\"");
}

TEST_F(Ontap, RekeyExternalNeedsAKeyAndIgnoresWhatOldClientsSend) {
  const std::string target = kOne + "/rekey-external";
  EXPECT_EQ(ask({"POST", target}).error_code(), "262212");
  EXPECT_EQ(ask({"POST", target, "{}"}).error_code(), "262212");
  EXPECT_EQ(ask({"POST", target, R"({"key_id":7})"}).error_code(), "262197");
  EXPECT_EQ(ask({"POST", target, R"({"key_id":"n","region":"x"})"}).error_code(), "262179");
  EXPECT_EQ(ask({"POST", target + "?key_id=n"}).error_code(), "262211");
  EXPECT_EQ(ask({"POST", target, R"({"key_id":"n"})"}).status, 202);
  EXPECT_EQ(backend.last_key_id, "n");
  EXPECT_EQ(ask({"POST", target, R"({"key_id":"n","scope":"svm","svm":{"name":"svm1"}})"}).status,
            202);
  EXPECT_EQ(ask({"POST", kOne + "/restore", "{}"}).status, 202);
  EXPECT_EQ(backend.last_operation, "restore");
}

// --- Codes ---------------------------------------------------------------------------------------

struct CodeRow {
  const char* method;
  std::string target;
  const char* body;
  Reason reason;
  int status;
  const char* code;
};

// Each endpoint's own codes, for each reason that the service gives.
TEST_F(Ontap, EachReasonHasItsCode) {
  const std::string internal = kOne + "/rekey-internal";
  const std::string external = kOne + "/rekey-external";
  const std::string restore = kOne + "/restore";
  const char* key = R"({"key_id":"n"})";
  const char* change = R"({"region":"x"})";
  const CodeRow rows[] = {
      {"POST", internal, "", Reason::kDeksInAdminKeyset, 409, "65537547"},
      {"POST", internal, "", Reason::kRootBlocked, 409, "65537556"},
      {"POST", internal, "", Reason::kRootUnreachable, 409, "65537556"},
      {"POST", internal, "", Reason::kCredentialsRejected, 409, "65537556"},
      {"POST", internal, "", Reason::kKeysetEmpty, 409, "65537559"},
      {"POST", internal, "", Reason::kNodeMissing, 503, "65537566"},
      {"POST", internal, "", Reason::kSwitching, 409, "65537610"},
      {"POST", internal, "", Reason::kNoAwsKms, 404, "65537926"},
      {"POST", internal, "", Reason::kTooMany, 429, "262160"},
      {"POST", internal, "", Reason::kStorageFull, 503, "7"},
      {"POST", internal, "", Reason::kStorageFailed, 500, "65562"},
      {"POST", internal, "", Reason::kInternal, 500, "262145"},
      {"POST", internal, "", Reason::kOther, 500, "262145"},
      {"POST", external, key, Reason::kDeksInAdminKeyset, 409, "65537547"},
      {"POST", external, key, Reason::kRootBlocked, 500, "65537538"},
      {"POST", external, key, Reason::kTokenLost, 500, "65537543"},
      {"POST", external, key, Reason::kRootUnreachable, 500, "65537919"},
      {"POST", external, key, Reason::kNodeMissing, 500, "65537919"},
      {"POST", external, key, Reason::kSwitching, 409, "65537610"},
      {"POST", external, key, Reason::kRekeyRunning, 409, "8"},
      {"POST", external, key, Reason::kNoAwsKms, 404, "65537926"},
      {"POST", restore, "", Reason::kRootBlocked, 500, "65536082"},
      {"POST", restore, "", Reason::kRootUnreachable, 500, "65536082"},
      {"POST", restore, "", Reason::kNoAwsKms, 404, "65537926"},
      {"PATCH", kOne, "", Reason::kNothingToChange, 400, "65537541"},
      {"PATCH", kOne, change, Reason::kEmptySecret, 400, "65537920"},
      {"PATCH", kOne, change, Reason::kEmptyAccessKey, 400, "65537924"},
      {"PATCH", kOne, change, Reason::kSkipVerifyAlone, 400, "262186"},
      {"PATCH", kOne, change, Reason::kCredentialsRejected, 400, "65537921"},
      {"PATCH", kOne, change, Reason::kRootUnreachable, 400, "65537921"},
      {"PATCH", kOne, change, Reason::kNoServiceKey, 500, "65537906"},
      {"PATCH", kOne, change, Reason::kInvalidInput, 400, "262185"},
      {"PATCH", kOne, change, Reason::kNoAwsKms, 404, "65537926"},
      {"POST", kKms, kWhole, Reason::kEmptySecret, 400, "65537900"},
      {"POST", kKms, kWhole, Reason::kCredentialsRejected, 400, "65537900"},
      {"POST", kKms, kWhole, Reason::kNoServiceKey, 500, "65537906"},
      {"POST", kKms, kWhole, Reason::kNotEnabled, 400, "65537907"},
      {"POST", kKms, kWhole, Reason::kAdminKeyset, 400, "65537908"},
      {"POST", kKms, kWhole, Reason::kAlreadyConfigured, 409, "65537910"},
      {"POST", kKms, kWhole, Reason::kDeksInAdminKeyset, 409, "65537912"},
      {"POST", kKms, kWhole, Reason::kNodeMissing, 503, "65536600"},
      {"POST", kKms, kWhole, Reason::kNoSuchKeyset, 400, "2621462"},
      {"POST", kKms, kWhole, Reason::kNameTaken, 409, "1"},
      {"DELETE", kOne, "", Reason::kStillInUse, 409, "65537106"},
      {"DELETE", kOne, "", Reason::kRekeyRunning, 409, "8"},
      {"DELETE", kOne, "", Reason::kNoAwsKms, 404, "65537926"},
      {"GET", kKms, "", Reason::kRootUnreachable, 500, "65537915"},
      {"GET", kKms, "", Reason::kRootBlocked, 500, "65537551"},
      {"GET", kKms, "", Reason::kNodeMissing, 500, "393271"},
      {"PATCH", job_href(0x80) + "?action=cancel", "", Reason::kJobEnded, 409, "458762"},
      {"PATCH", job_href(0x80) + "?action=resume", "", Reason::kJobRunning, 409, "458771"},
      {"PATCH", job_href(0x80) + "?action=pause", "", Reason::kJobNotRunning, 409, "458776"},
      {"PATCH", job_href(0x80) + "?action=pause", "", Reason::kJobCannotPause, 409, "458783"},
      {"PATCH", job_href(0x80) + "?action=cancel", "", Reason::kJobCannotCancel, 409, "458784"},
      {"PATCH", job_href(0x80) + "?action=cancel", "", Reason::kNoSuchJob, 404, "4"},
  };
  (void)ask({"POST", internal});
  for (const CodeRow& row : rows) {
    const TestAnswer answer = fail_with(row.reason, {row.method, row.target, row.body});
    EXPECT_EQ(answer.status, row.status) << row.method << row.target << row.code;
    EXPECT_EQ(answer.error_code(), row.code) << row.method << row.target;
    EXPECT_EQ(answer.header("Retry-After").empty(), row.status != 429 && row.status != 503);
  }
}

TEST_F(Ontap, WithoutAConfigurationAllButGetSaySo) {
  for (const char* action : {"/rekey-internal", "/restore"})
    EXPECT_EQ(ask({"POST", kNone + action}).error_code(), "65537926") << action;
  EXPECT_EQ(ask({"POST", kNone + "/rekey-external", R"({"key_id":"n"})"}).error_code(), "65537926");
  EXPECT_EQ(ask({"PATCH", kNone, R"({"region":"x"})"}).error_code(), "65537926");
  EXPECT_EQ(ask({"DELETE", kNone}).error_code(), "65537926");
  EXPECT_EQ(get(kNone).error_code(), "4");
}

// --- Jobs -----------------------------------------------------------------------------------------

TEST_F(Ontap, AJobHasEveryFieldWithItsType) {
  (void)ask({"POST", kOne + "/rekey-internal"});
  const TestAnswer running = get(job_href(0x80));
  EXPECT_EQ(running.at("uuid"), quoted(test_uuid_text(0x80)));
  EXPECT_EQ(running.at("description"), quoted("POST " + kOne + "/rekey-internal"));
  EXPECT_EQ(running.at("state"), "\"running\"");
  EXPECT_EQ(running.at("message"), "\"in progress: 10 of 100 keys\"");
  EXPECT_EQ(running.at("code"), "0");
  EXPECT_EQ(running.at("error"), "");
  EXPECT_EQ(running.at("start_time"), "\"2023-11-14T22:13:21+00:00\"");
  EXPECT_EQ(running.at("end_time"), "");
  EXPECT_EQ(running.at("node.name"), "\"node-01\"");
  EXPECT_EQ(running.at("svm.name"), "\"svm1\"");
  EXPECT_EQ(running.at("svm.uuid"), quoted(test_uuid_text(0x01)));
  EXPECT_EQ(running.at("_links.self.href"), quoted(job_href(0x80)));

  backend.finish(JobState::kFailed, Reason::kRootBlocked, "the key is disabled");
  const TestAnswer failed = get(job_href(0x80));
  EXPECT_EQ(failed.at("state"), "\"failure\"");
  EXPECT_EQ(failed.at("code"), "65537556");
  EXPECT_EQ(failed.at("error.code"), "\"65537556\"");
  EXPECT_EQ(failed.at("error.message"), failed.at("message"));
  EXPECT_NE(failed.at("message").find("the key is disabled"), std::string::npos);
  EXPECT_EQ(failed.at("end_time"), "\"2023-11-14T22:15:00+00:00\"");
}

// Clients take any other word than these for an error or for success.
TEST_F(Ontap, JobStatesAreTheFiveWords) {
  (void)ask({"POST", kOne + "/rekey-internal"});
  Job& job = backend.job_list.back();
  struct Row {
    JobState state;
    Reason reason;
    const char* text;
  };
  for (const Row& row : {Row{JobState::kQueued, Reason::kNone, "\"queued\""},
                         Row{JobState::kRunning, Reason::kNone, "\"running\""},
                         Row{JobState::kPaused, Reason::kNone, "\"paused\""},
                         Row{JobState::kPaused, Reason::kRootUnreachable, "\"running\""},
                         Row{JobState::kSucceeded, Reason::kNone, "\"success\""},
                         Row{JobState::kFailed, Reason::kOther, "\"failure\""},
                         Row{JobState::kFailed, Reason::kNone, "\"failure\""},
                         Row{JobState::kCancelled, Reason::kNone, "\"failure\""},
                         Row{JobState::kIncomplete, Reason::kNone, "\"failure\""}}) {
    job.state = row.state;
    job.error.reason = row.reason;
    const TestAnswer answer = get(job_href(0x80));
    EXPECT_EQ(answer.at("state"), row.text);
    EXPECT_GT(answer.at("message").size(), 2U);
    if (answer.at("state") != "\"failure\"") continue;
    EXPECT_NE(answer.at("code"), "0");
    EXPECT_GT(answer.at("error.message").size(), 2U);
    EXPECT_EQ(answer.at("error.code"), quoted(answer.at("code")));
  }
}

TEST_F(Ontap, JobsAreListedFilteredAndSteered) {
  (void)ask({"POST", kOne + "/rekey-internal"});
  backend.finish(JobState::kSucceeded);
  (void)ask({"POST", kOne + "/restore"});
  EXPECT_EQ(get(kJobs).at("num_records"), "2");
  EXPECT_EQ(get(kJobs + "?state=success").at("records.0.uuid"), quoted(test_uuid_text(0x80)));
  EXPECT_EQ(get(kJobs + "?state=running%7Cqueued&fields=description").at("num_records"), "1");
  EXPECT_EQ(get(kJobs + "?start_time=%3E2030-01-01T00:00:00Z").at("num_records"), "0");
  EXPECT_EQ(get(kJobs + "?state=cancelled").error_code(), "262197");
  for (const char* action : {"pause", "resume", "cancel"}) {
    const TestAnswer answer = ask({"PATCH", job_href(0x81) + "?action=" + action, "{}"});
    EXPECT_EQ(answer.status, 200) << action;
    EXPECT_EQ(answer.response.body, "{}\n");
    EXPECT_EQ(backend.last_operation, action);
  }
  EXPECT_EQ(ask({"PATCH", job_href(0x81)}).error_code(), "262212");
  EXPECT_EQ(ask({"PATCH", job_href(0x81) + "?action=stop"}).error_code(), "262197");
  EXPECT_EQ(ask({"PATCH", job_href(0x81), R"({"action":"pause"})"}).error_code(), "262179");
  EXPECT_EQ(get(job_href(0x99)).error_code(), "4");
}

TEST_F(Ontap, AJobIsGoneFiveMinutesAfterItsEnd) {
  (void)ask({"POST", kOne + "/rekey-internal"});
  backend.job_list.back().keep_until = 0;  // until it has ended
  EXPECT_EQ(get(job_href(0x80)).status, 200);
  backend.job_list.back().keep_until = ~std::uint64_t{0};
  backend.finish(JobState::kSucceeded);
  EXPECT_EQ(get(job_href(0x80)).status, 200);
  backend.job_list.back().keep_until = 1;
  backend.last_operation.clear();
  for (const TestRequest& request : std::initializer_list<TestRequest>{
           {"GET", job_href(0x80)}, {"PATCH", job_href(0x80) + "?action=cancel"}}) {
    const TestAnswer answer = ask(request);
    EXPECT_EQ(answer.status, 404);
    EXPECT_EQ(answer.at("error"),
              R"({"message":"entry doesn't exist","code":"4","target":"uuid"})");
  }
  EXPECT_TRUE(backend.last_operation.empty());
}

TEST_F(Ontap, AJobThatWaitsSaysForWhat) {
  (void)ask({"POST", kOne + "/rekey-internal"});
  Job& job = backend.job_list.back();
  job.state = JobState::kPaused;
  EXPECT_EQ(get(job_href(0x80)).at("message"), "\"paused: 10 of 100 keys\"");
  job.error = {Reason::kRootUnreachable, Errc::kUnavailable, "AWS is away", ""};
  EXPECT_EQ(get(job_href(0x80)).at("message"), "\"waiting: AWS is away\"");
}

// --- Robustness -----------------------------------------------------------------------------------

TEST_F(Ontap, WithoutRoomForARequestItSaysTryAgain) {
  Workers workers(1, 1);
  ontap::FrontEnd front_end(&backend, &workers);
  workers.stop();
  std::optional<HttpResponse> response;
  front_end.handler()(make_request({"POST", kOne + "/rekey-internal"}),
                      [&](HttpResponse given) { response = std::move(given); });
  ASSERT_TRUE(response);
  const TestAnswer answer = test_answer(*response);
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.error_code(), "262160");
  EXPECT_EQ(answer.header("Retry-After"), "1");
  EXPECT_EQ(backend.log_ins, 0);
}

TEST_F(Ontap, ErrorsOfTheServerHaveTheSameShape) {
  for (const int status : {400, 405, 408, 413, 414, 417, 429, 431, 500, 501, 503, 505, 599}) {
    const HttpResponse response = ontap::http_error(status);
    EXPECT_EQ(response.status, status);
    const auto json = boost::json::parse(response.body).as_object();
    EXPECT_TRUE(json.at("error").as_object().at("code").is_string());
  }
}

TEST_F(Ontap, FuzzedRequestsGetWellFormedAnswers) {
  const std::string methods[] = {"GET", "POST", "PATCH", "DELETE", "OPTIONS", "HEAD", "PUT"};
  const std::string paths[] = {kKms,
                               kOne,
                               kOne + "/rekey-internal",
                               kOne + "/rekey-external",
                               kJobs,
                               job_href(0x80),
                               "/api/cluster",
                               "/api/cluster/nodes",
                               "/api/svm/svms",
                               "/api/security/key-stores",
                               "/api/" + std::string(200, 'x')};
  const std::string pieces[] = {"fields",      "=",
                                "&",           "*",
                                "**",          "{",
                                "}",           "!",
                                "..",          "%7C",
                                "svm.name",    "state",
                                "%22",         "<",
                                "null",        "order_by",
                                "max_records", "offset",
                                "9",           "-",
                                "port",        "action",
                                "query",       "query_fields",
                                ",",           "%20",
                                "desc",        "return_records",
                                "false",       "return_timeout"};
  const std::string bodies[] = {"", "{}", "{", kWhole, R"({"key_id":"n"})", R"({"a":[{}]})"};
  std::mt19937 random(11);  // NOLINT(cert-msc51-cpp): the same every time
  int by_class[6] = {};
  for (int i = 0; i < 8'000; ++i) {
    TestRequest request;
    request.method = methods[random() % std::size(methods)];
    request.target = paths[random() % std::size(paths)] + "?";
    for (unsigned n = random() % 8; n > 0; --n)
      request.target += pieces[random() % std::size(pieces)];
    request.body = bodies[random() % std::size(bodies)];
    if (request.method == "DELETE") request.user = "reader";  // leave something to look at
    auto answer = try_ask(request);
    if (!answer) {
      backend.expire();
      answer = this->answer();
    }
    ASSERT_TRUE(answer) << request.method << " " << request.target;
    ASSERT_GE(answer->status, 200);
    ASSERT_LT(answer->status, 600);
    ASSERT_FALSE(answer->response.body.empty());
    ASSERT_EQ(answer->json.contains("error"), answer->status >= 400) << answer->response.body;
    ++by_class[answer->status / 100];
    if (backend.job_list.size() > 50) backend.job_list.clear();
    backend.events.clear();
  }
  EXPECT_GT(by_class[2], 100);
  EXPECT_GT(by_class[4], 100);
  EXPECT_EQ(by_class[5], 0);
}

}  // namespace
}  // namespace rewrap::test
