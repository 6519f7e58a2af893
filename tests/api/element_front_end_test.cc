// The front end as a client sees it: envelope, who may do what, every row of the rekey's decision
// table, every error, every method.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "api/element/choices.h"
#include "api/element/envelope.h"
#include "api/element/methods.h"
#include "api/element/records.h"
#include "tests/api/element_fake.h"

namespace rewrap::test {
namespace {

const std::string kRekey = "RekeySoftwareEncryptionAtRestMasterKey";

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

class Element : public testing::Test, public ElementFixture {
 protected:
  // fail_with makes the next operation fail, and gives the error's name.
  std::string fail_with(Reason reason, const std::string& method, const std::string& params) {
    backend.next = Failure{reason, Status(Errc::kRefused, "a cause", "a hint")};
    return error_of(method, params);
  }
};

// params_for gives what satisfies a method's table.
std::string params_for(const element::Method& method) {
  boost::json::object params;
  for (const element::Param& param : method.params) {
    if (!param.required) continue;
    if (param.type == element::ParamType::kTextArray) {
      params[param.name] = boost::json::array{"kmip.example"};
    } else if (param.type == element::ParamType::kInteger) {
      params[param.name] = param.name == "keyProviderID" ? 5 : 11;
    } else {
      params[param.name] = "text";
    }
  }
  return boost::json::serialize(params);
}

// --- The envelope ------------------------------------------------------------------------------

TEST_F(Element, AnIdComesBackAsItWas) {
  for (const char* id : {"0", "1", "-7", "18446744073709551615", R"("a b")", R"("")", "null"}) {
    const TestAnswer answer = post(R"({"method":"GetAPI","id":)" + std::string(id) + "}");
    EXPECT_EQ(answer.at("id"), id);
    EXPECT_EQ(answer.at("error"), "");
  }
  EXPECT_EQ(post(R"({"method":"GetAPI"})").at("id"), "null");
  EXPECT_EQ(post(R"({"id":4,"method":"Nothing"})").at("id"), "4");
  for (const char* id : {"1.5", "[1]", "{}", "true"})
    EXPECT_EQ(post(R"({"method":"GetAPI","id":)" + std::string(id) + "}").at("id"), "null") << id;
  const std::string longest = quoted(std::string(element::kMaxIdLen, 'i'));
  EXPECT_EQ(post(R"({"method":"GetAPI","id":)" + longest + "}").at("id"), longest);
  EXPECT_EQ(post(R"({"method":"GetAPI","id":"i)" + longest.substr(1) + "}").at("id"), "null");
}

TEST_F(Element, WhatIsNoEnvelopeIsAnErrorWithStatus200) {
  struct Row {
    const char* body;
    const char* name;
  };
  for (const Row& row : {
           Row{"", "xInvalidAPIParameter"},
           Row{"{", "xInvalidAPIParameter"},
           Row{"{}}", "xInvalidAPIParameter"},
           Row{"7", "xInvalidAPIParameter"},
           Row{"[]", "xInvalidAPIParameter"},
           Row{R"([{"method":"GetAPI"}])", "xInvalidAPIParameter"},
           Row{R"({"method":"\ud800"})", "xInvalidAPIParameter"},
           Row{"{}", "xMissingParameter"},
           Row{R"({"method":null})", "xMissingParameter"},
           Row{R"({"method":1})", "xInvalidParameterType"},
           Row{R"({"method":"GetAPI","params":[]})", "xInvalidParameterType"},
           Row{R"({"method":"GetAPI","params":"x"})", "xInvalidParameterType"},
           Row{R"({"method":""})", "xUnknownAPIMethod"},
           Row{R"({"method":"GetAP"})", "xUnknownAPIMethod"},
           Row{R"({"method":"GetAPIs"})", "xUnknownAPIMethod"},
       }) {
    const TestAnswer answer = post(row.body);
    EXPECT_EQ(answer.status, 200) << row.body;
    EXPECT_EQ(answer.at("error.name"), quoted(row.name)) << row.body;
    EXPECT_EQ(answer.at("error.code"), "500") << row.body;
    EXPECT_GT(answer.at("error.message").size(), 2U) << row.body;
    EXPECT_EQ(answer.at("result"), "") << row.body;
  }
  const auto nested = [](std::size_t depth) {  // the two objects around the arrays count
    return R"({"method":"GetAPI","params":{"x":)" + std::string(depth - 2, '[') +
           std::string(depth - 2, ']') + "}}";
  };
  EXPECT_EQ(post(nested(element::kMaxBodyDepth)).at("error"), "");
  EXPECT_EQ(post(nested(element::kMaxBodyDepth + 1)).at("error.name"),
            quoted("xInvalidAPIParameter"));
  const std::string longest(element::kMaxBodyLen, ' ');
  EXPECT_EQ(post(longest + R"({"method":"GetAPI"})").at("error.name"),
            quoted("xInvalidAPIParameter"));
}

TEST_F(Element, MethodsAreFoundInAnyCaseAndExtrasAreTold) {
  for (const char* name : {"GetAPI", "getapi", "GETAPI"}) {
    const TestAnswer answer = post(R"({"method":")" + std::string(name) +
                                   R"(","json-rpc":"2.0","other":[1],"params":{"x":1,"y":{}}})");
    EXPECT_EQ(answer.at("error"), "") << name;
    EXPECT_EQ(answer.at("unusedParameters"), R"({"x":1,"y":{}})");
  }
  EXPECT_EQ(call("GetAPI").at("unusedParameters"), "");
}

TEST_F(Element, EveryVersionIsServedAndNoOther) {
  const std::string body = R"({"method":"GetAPI"})";
  for (const std::string_view version : element::kVersions) {
    const std::string path = "/json-rpc/" + std::string(version);
    EXPECT_EQ(send({"POST", path, body}).status, 200) << path;
    EXPECT_EQ(send({"POST", path + "/", body}).status, 200) << path;
  }
  for (const char* path :
       {"/json-rpc", "/json-rpc/", "/json-rpc/0.9", "/json-rpc/12", "/json-rpc//12.3",
        "/json-rpc/12.3/x", "/json-rpc/12.3//", "/json-rpc/99.0", "/api"}) {
    const TestAnswer answer = send({"POST", path, body});
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.response.content_type, "text/html");
    EXPECT_NE(answer.response.body.find("404 Not Found"), std::string::npos) << path;
  }
  EXPECT_EQ(call("GetAPI").at("result.supportedVersions.0"), quoted("1.0"));
}

TEST_F(Element, NoContentTypeIsAskedFor) {
  for (const char* type : {"application/json-rpc", "application/x-www-form-urlencoded", "text/xml"})
    EXPECT_EQ(send({"POST",
                    "/json-rpc/12.3",
                    R"({"method":"GetAPI"})",
                    "admin",
                    "correct-horse",
                    {{"Content-Type", type}}})
                  .at("error"),
              "");
}

// --- By URL ------------------------------------------------------------------------------------

TEST_F(Element, GetReadsAndDoesNotChange) {
  const std::string path = "/json-rpc/12.2?method=";
  EXPECT_EQ(send({"GET", path + "getapi"}).at("id"), "null");
  EXPECT_EQ(send({"GET", path + "GetKeyProviderKmip&keyProviderID=5"}).at("error"), "");
  (void)send({"GET", path + "ListKeyProvidersKmip&keyProviderIsActive=true"});
  EXPECT_EQ(backend.last_first_filter, true);
  EXPECT_EQ(send({"GET", path + "ListKeyProvidersKmip&keyProviderIsActive=yes"}).at("error.name"),
            quoted("xInvalidParameterType"));
  for (const char* query : {"GetAPI&method=GetAPI", "GetAPI&x=1&x=2"})
    EXPECT_EQ(send({"GET", path + query}).at("error.name"), quoted("xInvalidAPIParameter"));
  EXPECT_EQ(send({"GET", "/json-rpc/12.2"}).at("error.name"), quoted("xMissingParameter"));

  for (const element::Method& method : element::methods()) {
    if (method.effect == element::Effect::kReads) continue;
    EXPECT_EQ(send({"GET", path + std::string(method.name)}).at("error.name"),
              quoted("xAPINotPermitted"))
        << method.name;
  }
  EXPECT_EQ(backend.operations, 0);

  backend.add_job(JobState::kSucceeded);
  EXPECT_EQ(send({"GET", path + "GetAsyncResult&asyncHandle=7"}).at("result.status"),
            quoted("complete"));
  EXPECT_FALSE(backend.job_list.front().purged);
}

TEST_F(Element, OtherHttpMethodsAreRefused) {
  for (const char* method : {"PUT", "PATCH", "DELETE", "OPTIONS"}) {
    const TestAnswer answer = send({method, "/json-rpc/12.3", R"({"method":"GetAPI"})"});
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_EQ(answer.header("Allow"), "POST, GET, HEAD") << method;
  }
}

// --- Who may do what ---------------------------------------------------------------------------

TEST_F(Element, EveryWrongLogInGetsTheSame401) {
  const std::string body = R"({"method":"GetAPI"})";
  const TestAnswer wrong = send({"POST", "/json-rpc/12.3", body, "admin", "wrong"});
  EXPECT_EQ(wrong.status, 401);
  EXPECT_NE(wrong.response.body.find("401 Unauthorized."), std::string::npos);
  for (const TestRequest& request : std::initializer_list<TestRequest>{
           {"POST", "/json-rpc/12.3", body, "nobody", "wrong"},
           {"POST", "/json-rpc/12.3", body, "", ""},
           {"POST", "/json-rpc/12.3", body, "", "", {{"Authorization", "Basic !"}}},
           {"POST", "/json-rpc/12.3", body, "", "", {{"Authorization", "Bearer x"}}},
           {"POST", "/json-rpc/99.9", body, "admin", "wrong"},
           {"POST", "/json-rpc/12.3", "{", "admin", "wrong"}}) {
    const TestAnswer answer = send(request);
    EXPECT_EQ(answer.status, 401) << request.target;
    EXPECT_EQ(answer.response.body, wrong.response.body) << request.target;
  }
  ASSERT_FALSE(backend.events.empty());
  EXPECT_EQ(backend.events.front().action, "login");
  EXPECT_EQ(backend.events.front().detail, "element 401");
  EXPECT_EQ(backend.events.front().outcome, "denied");
}

TEST_F(Element, APasswordIsRememberedForAShortTime) {
  (void)call("GetAPI");
  (void)call("GetAPI");
  EXPECT_EQ(backend.log_ins, 1);
}

TEST_F(Element, ReadersReadOperatorsRekeyAdministratorsConfigure) {
  for (const element::Method& method : element::methods()) {
    const std::string name(method.name);
    const std::string params = params_for(method);
    const bool for_reader = !method.permission || *method.permission == Permission::kRead;
    const bool for_operator = for_reader || *method.permission == Permission::kRekey;
    const std::string denied = quoted("xPermissionDenied");
    EXPECT_EQ(call(name, params, "reader").at("error.name") != denied, for_reader) << name;
    EXPECT_EQ(call(name, params, "operator").at("error.name") != denied, for_operator) << name;
    EXPECT_NE(call(name, params, "admin").at("error.name"), denied) << name;
  }
  backend.events.clear();
  backend.operations = 0;
  const TestAnswer answer = call(kRekey, "{}", "reader");
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.at("error.message").find("xPermissionDenied"), std::string::npos);
  ASSERT_EQ(backend.events.size(), 1U);
  EXPECT_EQ(backend.events.front().action, "element.denied");
  EXPECT_EQ(backend.events.front().user, "reader");
  EXPECT_EQ(backend.operations, 0);
}

TEST_F(Element, ChangesAreAuditedBeforeAndAfter) {
  for (const element::Method& method : element::methods()) {
    backend.events.clear();
    (void)call(std::string(method.name), params_for(method));
    if (method.effect != element::Effect::kChanges) {
      EXPECT_TRUE(backend.events.empty()) << method.name;
      continue;
    }
    ASSERT_EQ(backend.events.size(), 2U) << method.name;
    EXPECT_EQ(backend.events[0].action, "element." + std::string(method.name));
    EXPECT_EQ(backend.events[0].outcome, "started");
    EXPECT_EQ(backend.events[0].user, "admin");
    EXPECT_EQ(backend.events[0].request_id, "request-1");
    EXPECT_EQ(backend.events[1].outcome, "ok");
    EXPECT_EQ(backend.last_caller.user, "admin");
    EXPECT_EQ(backend.last_caller.origin, JobOrigin::kElement);
  }
  backend.events.clear();
  EXPECT_EQ(fail_with(Reason::kProviderActive, "DeleteKeyProviderKmip", R"({"keyProviderID":5})"),
            "xKeyProviderActive");
  ASSERT_EQ(backend.events.size(), 2U);
  EXPECT_EQ(backend.events[1].outcome, "failed");
  EXPECT_EQ(backend.events[1].object, "keyProviderID=5");
  EXPECT_EQ(backend.events[1].detail, "xKeyProviderActive");
}

TEST_F(Element, WhatCannotBeAuditedIsNotDone) {
  backend.audit_status = Status(Errc::kIo, "the disk is gone");
  for (const element::Method& method : element::methods()) {
    if (method.effect != element::Effect::kChanges) continue;
    EXPECT_EQ(error_of(std::string(method.name), params_for(method)), "xInternalError");
  }
  EXPECT_EQ(backend.operations, 0);
}

// --- The rekey: each row of the decision table -------------------------------------------------

TEST_F(Element, RekeyDecisionTable) {
  using Management = std::optional<KeyManagement>;
  struct Row {
    const char* params;
    const char* error;  // "": the service is asked, with what follows
    Management management = std::nullopt;
    std::optional<std::int64_t> provider = std::nullopt;
  };
  constexpr auto kInternal = KeyManagement::kInternal;
  constexpr auto kExternal = KeyManagement::kExternal;
  for (const Row& row : {
           // In place; and what counts as absent.
           Row{"{}", ""},
           Row{"null", ""},
           Row{R"({"keyManagementType":null,"keyProviderID":null})", ""},
           Row{R"({"keyProviderID":0})", ""},
           Row{R"({"keyProviderID":"0"})", ""},
           // Internal.
           Row{R"({"keyManagementType":"Internal"})", "", kInternal},
           Row{R"({"keyManagementType":"internal"})", "", kInternal},
           Row{R"({"keyManagementType":"INTERNAL","keyProviderID":0})", "", kInternal},
           Row{R"({"keyManagementType":"Internal","keyProviderID":null})", "", kInternal},
           // External with an id that there is.
           Row{R"({"keyManagementType":"External","keyProviderID":5})", "", kExternal, 5},
           Row{R"({"keyManagementType":"external","keyProviderID":"5"})", "", kExternal, 5},
           // External without.
           Row{R"({"keyManagementType":"External"})", "xMissingParameter"},
           Row{R"({"keyManagementType":"External","keyProviderID":0})", "xMissingParameter"},
           Row{R"({"keyManagementType":"External","keyProviderID":null})", "xMissingParameter"},
           // An id where none belongs.
           Row{R"({"keyManagementType":"Internal","keyProviderID":5})", "xInvalidParameter"},
           Row{R"({"keyProviderID":5})", "xInvalidParameter"},
           Row{R"({"keyProviderID":-1})", "xInvalidParameter"},
           // Another word.
           Row{R"({"keyManagementType":"Outside"})", "xUnrecognizedEnumString"},
           Row{R"({"keyManagementType":""})", "xUnrecognizedEnumString"},
           Row{R"({"keyManagementType":"internal,external"})", "xUnrecognizedEnumString"},
           // Wrong types.
           Row{R"({"keyManagementType":1})", "xInvalidParameterType"},
           Row{R"({"keyManagementType":["external"]})", "xInvalidParameterType"},
           Row{R"({"keyManagementType":"external","keyProviderID":5.0})", "xInvalidParameterType"},
           Row{R"({"keyManagementType":"external","keyProviderID":true})", "xInvalidParameterType"},
           Row{R"({"keyManagementType":"external","keyProviderID":"5 "})", "xInvalidParameterType"},
           Row{R"({"keyManagementType":"external","keyProviderID":"0x5"})",
               "xInvalidParameterType"},
           Row{R"({"keyManagementType":"external","keyProviderID":99999999999999999999})",
               "xInvalidParameterType"},
       }) {
    backend.operations = 0;
    EXPECT_EQ(error_of(kRekey, row.params), row.error) << row.params;
    const bool asked = std::string_view(row.error).empty();
    EXPECT_EQ(backend.operations, asked ? 1 : 0) << row.params;
    if (!asked) continue;
    EXPECT_EQ(backend.last_management, row.management) << row.params;
    EXPECT_EQ(backend.last_provider_id, row.provider) << row.params;
  }
}

TEST_F(Element, RekeyMessages) {
  EXPECT_EQ(message_of(kRekey, R"({"keyManagementType":"External"})"),
            "Missing member=[keyProviderID]");
  EXPECT_EQ(message_of(kRekey, R"({"keyManagementType":"Outside"})"), "Outside");
  EXPECT_EQ(error_of(kRekey, R"({"keyManagementType":"External","keyProviderID":6})"),
            "xKeyProviderIDDoesNotExist");
  EXPECT_EQ(message_of(kRekey, R"({"keyManagementType":"External","keyProviderID":6})"),
            "KeyProviderID 6 does not exist.");
}

TEST_F(Element, NoRekeyWhileDisabledOrWhileOneRuns) {
  backend.state.enabled = false;
  EXPECT_EQ(error_of(kRekey), "xAPINotPermitted");
  backend.state.enabled = true;
  EXPECT_EQ(call(kRekey).at("result"), R"({"asyncHandle":7})");
  backend.rekey_runs = true;
  EXPECT_EQ(error_of(kRekey), "xAPINotPermitted");
  EXPECT_NE(message_of(kRekey).find("asyncHandle 7"), std::string::npos);
  EXPECT_EQ(backend.job_list.size(), 1U);
}

// --- Reasons -----------------------------------------------------------------------------------

TEST_F(Element, EveryReasonHasItsName) {
  struct Row {
    Reason reason;
    const char* name;
  };
  for (const Row& row : {
           Row{Reason::kInvalidInput, "xInvalidParameter"},
           Row{Reason::kNothingToChange, "xInvalidParameter"},
           Row{Reason::kCertificate, "xInvalidParameter"},
           Row{Reason::kNameTaken, "xInvalidParameter"},
           Row{Reason::kNoSuchJob, "xDBNoSuchPath"},
           Row{Reason::kNoSuchKey, "xDBNoSuchPath"},
           Row{Reason::kNoSuchKeyset, "xAPINotPermitted"},
           Row{Reason::kNoSuchProvider, "xKeyProviderIDDoesNotExist"},
           Row{Reason::kNoSuchServer, "xKeyServerIDDoesNotExist"},
           Row{Reason::kNoSuchNode, "xNodeIDDoesNotExist"},
           Row{Reason::kNotEnabled, "xAPINotPermitted"},
           Row{Reason::kSwitching, "xAPINotPermitted"},
           Row{Reason::kRekeyRunning, "xAPINotPermitted"},
           Row{Reason::kJobRunning, "xAPINotPermitted"},
           Row{Reason::kNoKeyPair, "xAPINotPermitted"},
           Row{Reason::kNoServiceKey, "xAPINotPermitted"},
           Row{Reason::kProviderHasNoServer, "xAPINotPermitted"},
           Row{Reason::kServerAssigned, "xAPINotPermitted"},
           Row{Reason::kProviderActive, "xKeyProviderActive"},
           Row{Reason::kLastServer, "xKeyProviderActive"},
           Row{Reason::kRefusedByGate, "xAPINotPermitted"},
           Row{Reason::kStillInUse, "xAPINotPermitted"},
           Row{Reason::kRootUnreachable, "xKmipConnectionFailure"},
           Row{Reason::kCredentialsRejected, "xKmipConnectionFailure"},
           Row{Reason::kRootBlocked, "xMasterKeyUnavailable"},
           Row{Reason::kTokenLost, "xMasterKeyUnavailable"},
           Row{Reason::kJobCancelled, "xOperationCancelled"},
           Row{Reason::kInterrupted, "xOperationCancelled"},
           Row{Reason::kDamagedDeks, "xDataEncryptionKeysDamaged"},
           Row{Reason::kVerifyFailed, "xDataEncryptionKeysDamaged"},
           Row{Reason::kTooMany, "xExceededLimit"},
           Row{Reason::kStorageFull, "xExceededLimit"},
           Row{Reason::kStorageFailed, "xInternalError"},
           Row{Reason::kOther, "xInternalError"},
           Row{Reason::kInternal, "xInternalError"},
       }) {
    EXPECT_EQ(fail_with(row.reason, kRekey, "{}"), row.name) << reason_name(row.reason);
    // And as what a job failed with.
    Job& job = backend.add_job(JobState::kFailed);
    job.error = {row.reason, Errc::kRefused, "a cause", "a hint"};
    const TestAnswer answer =
        call("GetAsyncResult", R"({"asyncHandle":)" + std::to_string(job.handle) + "}");
    EXPECT_EQ(answer.at("result.error.name"), quoted(row.name)) << reason_name(row.reason);
    EXPECT_NE(answer.at("result.error.message").find("A cause. A hint."), std::string::npos);
    EXPECT_EQ(answer.at("result.error.code"), "500");
    EXPECT_EQ(answer.at("result.status"), quoted("complete"));
    EXPECT_EQ(answer.at("result.result"), "");
  }
}

// --- Asynchronous results ----------------------------------------------------------------------

const char* const kResult7 = R"({"asyncHandle":7})";

TEST_F(Element, ARunningResultHasDetailsWithTheState) {
  struct Row {
    JobState state;
    JobPhase phase;
    const char* word;
  };
  for (const Row& row : {
           Row{JobState::kQueued, JobPhase::kNone, "CreateNewMasterKey"},
           Row{JobState::kRunning, JobPhase::kCreatingKek, "CreateNewMasterKey"},
           Row{JobState::kRunning, JobPhase::kRewrapping, "RewrapDataEncryptionKeys"},
           Row{JobState::kRunning, JobPhase::kVerifying, "RewrapDataEncryptionKeys"},
           Row{JobState::kRunning, JobPhase::kDecommissioning, "DecommissionOldMasterKey"},
           Row{JobState::kPaused, JobPhase::kRewrapping, "RewrapDataEncryptionKeys"},
       }) {
    backend.job_list.clear();
    backend.add_job(row.state, row.phase);
    for (int i = 0; i < 2; ++i) {  // a running one is never purged
      const TestAnswer answer = call("GetAsyncResult", kResult7);
      EXPECT_EQ(answer.at("result.status"), quoted("running"));
      EXPECT_EQ(answer.at("result.details.state"), quoted(row.word));
      EXPECT_EQ(answer.at("result.resultType"), quoted(kRekey));
      EXPECT_EQ(answer.at("result.createTime"), quoted("2023-11-14T22:13:20Z"));
      EXPECT_EQ(answer.at("result.result"), "");
      EXPECT_EQ(answer.at("result.error"), "");
    }
  }
  EXPECT_NE(call("GetAsyncResult", kResult7).at("result.details.operation").find("Paused"),
            std::string::npos);
  Job done;
  done.state = JobState::kSucceeded;
  EXPECT_EQ(element::rekey_state(done), "Ready");
}

TEST_F(Element, ACompleteResultIsPurgedUnlessKept) {
  backend.add_job(JobState::kSucceeded);
  const std::string keep = R"({"asyncHandle":"7","keepResult":true})";
  for (int i = 0; i < 2; ++i) {
    const TestAnswer kept = call("GetAsyncResult", keep);
    EXPECT_EQ(kept.at("result.status"), quoted("complete"));
    EXPECT_EQ(kept.at("result.result.state"), quoted("Ready"));
    EXPECT_EQ(kept.at("result.details"), "");
  }
  EXPECT_EQ(call("GetSoftwareEncryptionAtRestInfo").at("result.rekeyMasterKeyAsyncResultID"), "7");
  EXPECT_EQ(call("GetAsyncResult", R"({"asyncHandle":7,"keepResult":false})").at("result.status"),
            quoted("complete"));
  EXPECT_EQ(error_of("GetAsyncResult", keep), "xDBNoSuchPath");
  EXPECT_EQ(call("GetSoftwareEncryptionAtRestInfo").at("result.rekeyMasterKeyAsyncResultID"), "");
}

TEST_F(Element, AResultThatCannotBePurgedIsKept) {
  backend.add_job(JobState::kSucceeded);
  EXPECT_EQ(fail_with(Reason::kStorageFailed, "GetAsyncResult", kResult7), "xInternalError");
  EXPECT_EQ(fail_with(Reason::kNoSuchJob, "GetAsyncResult", kResult7), "xDBNoSuchPath");
  EXPECT_EQ(error_of("GetAsyncResult", kResult7), "");
}

TEST_F(Element, HandlesThatAreNoneOfElements) {
  EXPECT_EQ(message_of("GetAsyncResult", R"({"asyncHandle":99})"),
            "DBClient operation requested on a non-existent path at [/asyncresults/99]");
  EXPECT_EQ(error_of("GetAsyncResult", "{}"), "xMissingParameter");
  EXPECT_EQ(error_of("GetAsyncResult", R"({"asyncHandle":7,"keepResult":"true"})"),
            "xInvalidParameterType");
  backend.add_job(JobState::kSucceeded).keyset = "another";
  EXPECT_EQ(error_of("GetAsyncResult", kResult7), "xDBNoSuchPath");
  backend.job_list.front().keyset = "volumes";
  backend.job_list.front().kind = JobKind::kVerify;
  EXPECT_EQ(error_of("GetAsyncResult", kResult7), "xDBNoSuchPath");
  EXPECT_EQ(call("ListAsyncResults").at("result.asyncHandles"), "[]");
  EXPECT_FALSE(backend.job_list.front().purged);
}

TEST_F(Element, EndsWithoutSuccess) {
  backend.add_job(JobState::kCancelled);
  EXPECT_EQ(call("GetAsyncResult", kResult7).at("result.error.name"),
            quoted("xOperationCancelled"));
  backend.add_job(JobState::kIncomplete);
  EXPECT_EQ(call("GetAsyncResult", R"({"asyncHandle":8})").at("result.error.name"),
            quoted("xDataEncryptionKeysDamaged"));
}

TEST_F(Element, ResultsAreListedAndNotPurged) {
  backend.add_job(JobState::kSucceeded);
  backend.add_job(JobState::kFailed).error = {Reason::kRootUnreachable, Errc::kIo, "gone", ""};
  backend.add_job(JobState::kRunning, JobPhase::kRewrapping);
  for (const char* params : {"{}", R"({"asyncResultTypes":null})",
                             R"({"asyncResultTypes":["Clone",)"
                             R"("RekeySoftwareEncryptionAtRestMasterKey"]})"}) {
    const TestAnswer answer = call("ListAsyncResults", params);
    EXPECT_EQ(answer.at("result.asyncHandles.0.asyncResultID"), "7") << params;
    EXPECT_EQ(answer.at("result.asyncHandles.0.completed"), "true");
    EXPECT_EQ(answer.at("result.asyncHandles.0.success"), "true");
    EXPECT_EQ(answer.at("result.asyncHandles.0.data.state"), quoted("Ready"));
    EXPECT_EQ(answer.at("result.asyncHandles.0.resultType"), quoted(kRekey));
    EXPECT_EQ(answer.at("result.asyncHandles.0.lastUpdateTime"), quoted("2023-11-14T22:14:20Z"));
    EXPECT_EQ(answer.at("result.asyncHandles.1.success"), "false");
    EXPECT_EQ(answer.at("result.asyncHandles.1.data.name"), quoted("xKmipConnectionFailure"));
    EXPECT_EQ(answer.at("result.asyncHandles.2.completed"), "false");
    EXPECT_EQ(answer.at("result.asyncHandles.2.data"), "null");
  }
  for (const char* params : {R"({"asyncResultTypes":[]})", R"({"asyncResultTypes":["Clone"]})",
                             R"({"asyncResultTypes":["Nothing"]})"})
    EXPECT_EQ(call("ListAsyncResults", params).at("result.asyncHandles"), "[]") << params;
  EXPECT_EQ(error_of("ListAsyncResults", R"({"asyncResultTypes":"Clone"})"),
            "xInvalidParameterType");
}

TEST_F(Element, KeysThatNobodyKnowsAreLeftOut) {
  backend.add_job(JobState::kRunning, JobPhase::kCreatingKek);
  backend.keys_known = false;
  EXPECT_EQ(call("GetAsyncResult", kResult7).at("result.details"),
            R"({"operation":"Rekeying Master Key.","state":"CreateNewMasterKey"})");
}

TEST_F(Element, DisabledEncryptionHasNoKey) {
  backend.state = {};
  EXPECT_EQ(call("GetSoftwareEncryptionAtRestInfo").at("result"),
            R"({"state":"disabled","version":0})");
}

// --- Discovery ---------------------------------------------------------------------------------

TEST_F(Element, GetApiListsEveryMethodThatThereIs) {
  const TestAnswer answer = call("GetAPI");
  EXPECT_EQ(answer.at("result.currentVersion"), quoted("12.3"));
  const auto& names = answer.json.at("result").at("12.3").as_array();
  EXPECT_EQ(names.size(), element::methods().size());
  for (const auto& name : names)
    EXPECT_EQ(error_of(std::string(name.as_string())).find("xUnknown"), std::string::npos);
  std::set<std::string_view> unique;
  for (const element::Method& method : element::methods()) unique.insert(method.name);
  EXPECT_EQ(unique.size(), element::methods().size());
}

TEST_F(Element, TheClusterAndItsVersions) {
  const TestAnswer info = call("GetClusterInfo");
  EXPECT_EQ(info.at("result.clusterInfo.uuid"), quoted(test_uuid_text(0x31)));
  EXPECT_EQ(info.at("result.clusterInfo.name"), quoted("cluster1"));
  EXPECT_EQ(info.at("result.clusterInfo.encryptionAtRestState"), quoted("disabled"));
  EXPECT_EQ(info.at("result.clusterInfo.softwareEncryptionAtRestState"), quoted("enabled"));
  EXPECT_EQ(info.at("result.clusterInfo.enabledProtectionSchemes"), R"(["singleHelix"])");
  for (const char* member :
       {"uniqueID", "mvip", "svip", "mvipNodeID", "svipNodeID", "mvipInterface", "svipInterface",
        "mvipVlanTag", "svipVlanTag", "repCount", "ensemble", "attributes",
        "defaultProtectionScheme", "supportedProtectionSchemes"})
    EXPECT_NE(info.at("result.clusterInfo." + std::string(member)), "") << member;
  const TestAnswer version = call("GetClusterVersionInfo");
  EXPECT_EQ(version.at("result.clusterAPIVersion"), quoted("12.3"));
  EXPECT_EQ(version.at("result.clusterVersionInfo"),
            R"([{"nodeID":1,"nodeInternalRevision":"","nodeVersion":"12.3.0.0"}])");
  for (const char* member :
       {"currentVersion", "nodeID", "packageName", "pendingVersion", "startTime"})
    EXPECT_NE(version.at("result.softwareVersionInfo." + std::string(member)), "") << member;
}

TEST_F(Element, WhoIsAsking) {
  EXPECT_EQ(call("GetCurrentClusterAdmin", "{}", "reader").at("result.clusterAdmin"),
            R"({"access":["read","reporting"],"attributes":{},"authMethod":"Cluster",)"
            R"("clusterAdminID":3,"username":"reader"})");
  EXPECT_EQ(call("GetCurrentClusterAdmin").at("result.clusterAdmin.access"),
            R"(["administrator"])");
  EXPECT_EQ(call("GetCurrentClusterAdmin", "{}", "operator").at("result.clusterAdmin.access"),
            R"(["read","reporting","write"])");
}

TEST_F(Element, DrivesAndFeaturesAreNotHere) {
  EXPECT_EQ(call("GetEncryptionAtRestInfo").at("result"), R"({"state":"disabled"})");
  EXPECT_EQ(error_of("EnableEncryptionAtRest", R"({"keyProviderID":5})"), "xAPINotPermitted");
  EXPECT_EQ(call("DisableEncryptionAtRest").at("result"), "{}");
  EXPECT_EQ(call("GetFeatureStatus").at("result.features"),
            R"([{"enabled":false,"feature":"Vvols"},{"enabled":false,"feature":"SnapMirror"},)"
            R"({"enabled":false,"feature":"Fips"},{"enabled":false,"feature":"FipsDrives"}])");
  for (const char* word : {"fips", "Fips", "FIPS"})
    EXPECT_EQ(call("GetFeatureStatus", R"({"feature":")" + std::string(word) + R"("})")
                  .at("result.features"),
              R"([{"enabled":false,"feature":"Fips"}])");
  EXPECT_EQ(error_of("GetFeatureStatus", R"({"feature":"x"})"), "xUnrecognizedEnumString");
  EXPECT_EQ(error_of("EnableFeature", R"({"feature":"vvols"})"), "xAPINotPermitted");
  EXPECT_EQ(error_of("EnableFeature"), "xMissingParameter");
}

// --- Key providers and servers -----------------------------------------------------------------

TEST_F(Element, VoidMethodsAnswerAnEmptyObject) {
  for (const char* name : {"CreatePublicPrivateKeyPair", "DeleteKeyProviderKmip",
                           "TestKeyProviderKmip", "DeleteKeyServerKmip", "TestKeyServerKmip",
                           "AddKeyServerToProviderKmip", "RemoveKeyServerFromProviderKmip"}) {
    const element::Method* method = element::find_method(name);
    ASSERT_NE(method, nullptr) << name;
    EXPECT_EQ(call(name, params_for(*method)).response.body, R"({"id":1,"result":{}})") << name;
  }
}

TEST_F(Element, RequiredParametersAreRequired) {
  for (const element::Method& method : element::methods()) {
    for (const element::Param& param : method.params) {
      if (!param.required) continue;
      auto params = boost::json::parse(params_for(method)).as_object();
      params[param.name] = nullptr;
      const std::string name(method.name);
      EXPECT_EQ(error_of(name, boost::json::serialize(params)), "xMissingParameter") << name;
      params.erase(param.name);
      EXPECT_EQ(message_of(name, boost::json::serialize(params)),
                "Missing member=[" + std::string(param.name) + "]");
      params[param.name] = boost::json::object();
      EXPECT_EQ(error_of(name, boost::json::serialize(params)), "xInvalidParameterType") << name;
    }
  }
}

TEST_F(Element, IdsThatDoNotExistAreNamed) {
  for (const char* name : {"DeleteKeyProviderKmip", "GetKeyProviderKmip", "TestKeyProviderKmip"})
    EXPECT_EQ(message_of(name, R"({"keyProviderID":"9"})"), "KeyProviderID 9 does not exist.");
  for (const char* name : {"DeleteKeyServerKmip", "GetKeyServerKmip", "TestKeyServerKmip",
                           "ModifyKeyServerKmip", "RemoveKeyServerFromProviderKmip"})
    EXPECT_EQ(message_of(name, R"({"keyServerID":9})"), "KeyServerID 9 does not exist.");
  const std::string add = "AddKeyServerToProviderKmip";
  EXPECT_EQ(message_of(add, R"({"keyProviderID":9,"keyServerID":11})"),
            "KeyProviderID 9 does not exist.");
  EXPECT_EQ(message_of(add, R"({"keyProviderID":5,"keyServerID":9})"),
            "KeyServerID 9 does not exist.");
}

TEST_F(Element, ProvidersAndServersHaveEveryMember) {
  EXPECT_EQ(call("GetKeyProviderKmip", R"({"keyProviderID":5})").at("result.kmipKeyProvider"),
            R"({"keyProviderID":5,"keyProviderIsActive":false,"keyProviderName":"provider",)"
            R"("keyServerIDs":[11],"kmipCapabilities":"KMIP 1.2, OpenSSL, TLS 1.2 or later"})");
  const std::string rest =
      R"("kmipCaCertificate":"ca\n","kmipClientCertificate":"certificate\n",)"
      R"("kmipKeyServerHostnames":["kmip.example"],"kmipKeyServerName":"server",)"
      R"("kmipKeyServerPort":5696})";
  const std::string assigned =
      R"({"keyProviderID":5,"keyServerID":11,"kmipAssignedProviderIsActive":false,)" + rest;
  const std::string spare =
      R"({"keyProviderID":null,"keyServerID":12,"kmipAssignedProviderIsActive":null,)" + rest;
  EXPECT_EQ(call("ListKeyServersKmip").at("result.kmipKeyServers"),
            "[" + assigned + "," + spare + "]");
  EXPECT_EQ(call("GetKeyServerKmip", R"({"keyServerID":12})").at("result.kmipKeyServer"), spare);
  EXPECT_EQ(call("CreateKeyProviderKmip", R"({"keyProviderName":"p"})")
                .at("result.kmipKeyProvider.keyServerIDs"),
            "[]");
  EXPECT_TRUE(call("GetClientCertificateSignRequest")
                  .at("result.clientCertificateSignRequest")
                  .starts_with(R"("-----BEGIN)"));
  EXPECT_EQ(fail_with(Reason::kNoKeyPair, "GetClientCertificateSignRequest", "{}"),
            "xAPINotPermitted");
}

TEST_F(Element, FiltersAreHandedOn) {
  (void)call("ListKeyServersKmip", R"({"keyProviderID":5,"kmipHasProviderAssigned":true})");
  EXPECT_EQ(backend.last_provider_id, 5);
  EXPECT_FALSE(backend.last_first_filter.has_value());
  EXPECT_EQ(backend.last_second_filter, true);
  (void)call("ListKeyProvidersKmip", R"({"keyProviderIsActive":false})");
  EXPECT_EQ(backend.last_first_filter, false);
  EXPECT_FALSE(backend.last_second_filter.has_value());
}

TEST_F(Element, AServerIsHandedOnAsGiven) {
  const std::string create =
      R"({"kmipCaCertificate":"-----BEGIN\nx\n","kmipClientCertificate":"c",)"
      R"("kmipKeyServerHostnames":["a","b"],"kmipKeyServerName":"n","kmipKeyServerPort":)";
  for (const char* port : {"5697", R"("5697")"}) {
    EXPECT_EQ(error_of("CreateKeyServerKmip", create + port + "}"), "");
    EXPECT_EQ(backend.last_settings.port, 5697);
    EXPECT_EQ(backend.last_settings.ca_pem, "-----BEGIN\nx\n");
    EXPECT_EQ(backend.last_settings.certificate_pem, "c");
    EXPECT_EQ(backend.last_settings.name, "n");
    EXPECT_EQ(backend.last_settings.hosts, (std::vector<std::string>{"a", "b"}));
  }
  for (const char* port : {"0", "65536", "-1"})
    EXPECT_EQ(error_of("CreateKeyServerKmip", create + port + "}"), "xInvalidParameter") << port;
  EXPECT_EQ(error_of("CreateKeyServerKmip", create + "null}"), "");
  EXPECT_FALSE(backend.last_settings.port.has_value());
  EXPECT_EQ(error_of("ModifyKeyServerKmip", R"({"keyServerID":11})"), "");
  EXPECT_FALSE(backend.last_settings.name.has_value());
  EXPECT_FALSE(backend.last_settings.hosts.has_value());
}

TEST_F(Element, TheSubjectIsHandedOn) {
  (void)call("CreatePublicPrivateKeyPair",
             R"({"commonName":"cn","organization":"o","organizationalUnit":"ou","locality":"l",)"
             R"("state":"st","country":"DE","emailAddress":"e@x"})");
  const CertificateSubject& subject = backend.last_subject;
  EXPECT_EQ(subject.common_name + "," + subject.organization + "," + subject.organizational_unit +
                "," + subject.locality + "," + subject.state + "," + subject.country + "," +
                subject.email,
            "cn,o,ou,l,st,DE,e@x");
}

TEST_F(Element, BusyIs429) {
  const HttpResponse busy = element::too_busy();
  EXPECT_EQ(busy.status, 429);
  EXPECT_EQ(test_answer(busy).header("Retry-After"), "1");
  EXPECT_EQ(test_answer(busy).at("error.name"), quoted("xExceededLimit"));
}

}  // namespace
}  // namespace rewrap::test
