// Exchanges as the clients have them: what the Python and Java SDKs were seen to send, byte for byte,
// and every byte of the answers.
#include <gtest/gtest.h>

#include <string>

#include "tests/api/element_fake.h"

namespace rewrap::test {
namespace {

class ElementExchange : public testing::Test, public ElementFixture {
 protected:
  // body_of gives the body of the answer, having checked all that is around it.
  std::string body_of(const std::string& path, const std::string& body) {
    const TestAnswer answer = send({"POST", path, body});
    EXPECT_EQ(answer.status, 200) << body;
    EXPECT_EQ(answer.response.content_type, "application/json");
    return answer.response.body;
  }
};

const std::string kOld =
    R"({"keyCreatedTime":"2023-11-14T22:13:20Z","keyID":"ab000000-0000-0000-0000-000000000001",)"
    R"("keyManagementType":"internal"})";
const std::string kNew =
    R"({"keyCreatedTime":"2023-11-14T22:14:20Z","keyID":"ab000000-0000-0000-0000-000000000002",)"
    R"("keyManagementType":"external","keyProviderID":5})";
const std::string kTimes =
    R"("createTime":"2023-11-14T22:13:20Z","lastUpdateTime":"2023-11-14T22:14:20Z",)"
    R"("resultType":"RekeySoftwareEncryptionAtRestMasterKey",)";
const std::string kMoving =
    R"("operation":"Rekeying Master Key. Master Key management being transferred from Internal Key )"
    R"(Management to External Key Management with keyProviderID=5",)";

TEST_F(ElementExchange, ThePythonSdkMovesTheKeyToAProvider) {
  const std::string api =
      body_of("/json-rpc/7.0", R"({"method": "GetAPI", "id": 0, "params": {}})");
  EXPECT_TRUE(api.starts_with(R"({"id":0,"result":{"12.3":["GetAPI","GetClusterInfo",)")) << api;
  EXPECT_NE(api.find(R"("currentVersion":"12.3","supportedVersions":["1.0",)"), std::string::npos);
  EXPECT_TRUE(api.ends_with(R"("12.3"]}})")) << api;

  EXPECT_EQ(body_of("/json-rpc/12.3",
                    R"({"method": "GetSoftwareEncryptionAtRestInfo", "id": 1, "params": {}})"),
            R"({"id":1,"result":{"masterKeyInfo":)" + kOld + R"(,"state":"enabled","version":1}})");
  EXPECT_EQ(body_of("/json-rpc/12.3",
                    R"({"method": "RekeySoftwareEncryptionAtRestMasterKey", "id": 2, "params": )"
                    R"({"keyManagementType": "external", "keyProviderID": 5}})"),
            R"({"id":2,"result":{"asyncHandle":7}})");

  const std::string poll =
      R"({"method": "GetAsyncResult", "id": 3, "params": {"asyncHandle": 7, "keepResult": true}})";
  Job& job = backend.job_list.front();
  job.state = JobState::kRunning;
  job.phase = JobPhase::kCreatingKek;
  EXPECT_EQ(body_of("/json-rpc/12.3", poll),
            R"({"id":3,"result":{)" + kTimes + R"("status":"running","details":{)" +
                R"("keyToDecommission":)" + kOld +
                R"(,"operation":"Rekeying Master Key.","state":"CreateNewMasterKey"}}})");

  KeyInfo made;
  made.uuid = test_uuid(0x02);
  made.created_at = 1'700'000'060;
  made.management = KeyManagement::kExternal;
  made.provider_id = 5;
  backend.keys.new_key = made;
  backend.keys.moves = true;
  const std::string both =
      R"({"keyToDecommission":)" + kOld + R"(,"newKey":)" + kNew + "," + kMoving;
  job.phase = JobPhase::kRewrapping;
  EXPECT_EQ(body_of("/json-rpc/12.3", poll), R"({"id":3,"result":{)" + kTimes +
                                                 R"("status":"running","details":)" + both +
                                                 R"("state":"RewrapDataEncryptionKeys"}}})");
  job.state = JobState::kSucceeded;
  const std::string complete = R"("result":{)" + kTimes + R"("status":"complete","result":)" +
                               both + R"("state":"Ready"}}})";
  EXPECT_EQ(body_of("/json-rpc/12.3", poll), R"({"id":3,)" + complete);
  EXPECT_EQ(body_of("/json-rpc/12.3",
                    R"({"method": "GetAsyncResult", "id": 4, "params": {"asyncHandle": 7}})"),
            R"({"id":4,)" + complete);
  EXPECT_EQ(body_of("/json-rpc/12.3", poll),
            R"({"id":3,"error":{"code":500,"name":"xDBNoSuchPath","message":"DBClient operation )"
            R"(requested on a non-existent path at [/asyncresults/7]"}})");
}

TEST_F(ElementExchange, ThePythonSdkSeesAnInvalidCombination) {
  EXPECT_EQ(body_of("/json-rpc/12.3",
                    R"({"method": "RekeySoftwareEncryptionAtRestMasterKey", "id": 2, "params": )"
                    R"({"keyManagementType": "internal", "keyProviderID": 5}})"),
            R"({"id":2,"error":{"code":500,"name":"xInvalidParameter","message":)"
            R"("keyProviderID is for keyManagementType External only."}})");
  EXPECT_EQ(backend.operations, 0);
}

TEST_F(ElementExchange, ThePythonSdkSeesAWrongPassword) {
  const TestAnswer answer =
      send({"POST", "/json-rpc/7.0", R"({"method": "GetAPI", "id": 0, "params": {}})", "admin",
            "wrong"});
  EXPECT_EQ(answer.status, 401);
  EXPECT_NE(answer.response.body.find("401 Unauthorized."), std::string::npos);
  EXPECT_TRUE(answer.header("WWW-Authenticate").starts_with("Basic "));
}

TEST_F(ElementExchange, TheJavaSdkRekeysWithoutArguments) {
  EXPECT_EQ(
      body_of("/json-rpc/12.3", R"({"id":3,"method":"RekeySoftwareEncryptionAtRestMasterKey",)"
                                R"("json-rpc":"2.0","params":{"keyProviderID":0}})"),
      R"({"id":3,"result":{"asyncHandle":7}})");
  EXPECT_FALSE(backend.last_management.has_value());
  EXPECT_FALSE(backend.last_provider_id.has_value());
  EXPECT_EQ(body_of("/json-rpc/12.3", R"({"id":4,"method":"GetClusterInfo","json-rpc":"2.0"})")
                .substr(0, 29),
            R"({"id":4,"result":{"clusterInf)");
}

TEST_F(ElementExchange, TheCommandLinePastesTheDocumentsExample) {
  EXPECT_EQ(body_of("/json-rpc/12.3",
                    R"({"method": "rekeysoftwareencryptionatrestmasterkey", "id": 1, "params": )"
                    R"({"keyManagementType": "external", "keyProviderID": "5"}})"),
            R"({"id":1,"result":{"asyncHandle":7}})");
  EXPECT_EQ(backend.last_provider_id, 5);
}

TEST_F(ElementExchange, CinderSendsNoIdAndATrailingSlash) {
  EXPECT_TRUE(body_of("/json-rpc/1.0/", R"({"method": "GetClusterInfo", "params": {}})")
                  .starts_with(R"({"id":null,"result":{)"));
}

TEST_F(ElementExchange, GoSendsNullParams) {
  EXPECT_TRUE(body_of("/json-rpc/12.3", R"({"method":"GetAPI","id":1,"params":null})")
                  .starts_with(R"({"id":1,"result":{)"));
}

// Ansible looks for both words; scripts look for '"code":500' without a space.
TEST_F(ElementExchange, AnUnknownMethodIsNamed) {
  EXPECT_EQ(body_of("/json-rpc/12.3", R"({"method": "ListVolumes", "id": 1})"),
            R"({"id":1,"error":{"code":500,"name":"xUnknownAPIMethod","message":)"
            R"("There is no such API method: method=ListVolumes"}})");
}

}  // namespace
}  // namespace rewrap::test
