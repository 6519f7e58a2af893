// What /v1 offers, each operation over a real keyset, and that no key and no wrap comes out of it.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <set>

#include "rekey/jsonl.h"
#include "tests/api/native_fixture.h"

namespace rewrap {
namespace {

namespace json = boost::json;

using test::TestAnswer;

class NativeThreads : public NativeFixture {
 protected:
  [[nodiscard]] std::string new_root(const std::string& name) const {
    std::string uri = "file:" + directory_.path() + "/" + name;
    EXPECT_TRUE(create_root_key(uri, root_options()).ok());
    return uri;
  }
  static std::string quoted(const std::string& text) { return '"' + text + '"'; }
};

TEST_F(NativeThreads, Keysets) {
  EXPECT_EQ(get("/v1/keysets").at("keysets.0.name"), "\"disks\"");
  const std::string root = quoted(root_uri_);
  const TestAnswer made =
      post("/v1/keysets", R"({"name":"gcm","wrap":"gcm","dek_size":64,"root":)" + root + "}");
  EXPECT_EQ(made.status, 201) << made.response.body;
  EXPECT_EQ(made.at("wrap"), "\"gcm\"");
  EXPECT_EQ(made.at("dek_size"), "64");
  EXPECT_EQ(made.at("current_version"), "1");
  EXPECT_EQ(made.at("job"), "null");
  EXPECT_EQ(get("/v1/keysets/gcm").response.body, made.response.body);
  expect_refused(post("/v1/keysets", R"({"name":"gcm","root":)" + root + "}"), 409, "name_taken");
  expect_refused(post("/v1/keysets", R"({"name":"<img src=x>","root":)" + root + "}"), 400,
                 "invalid_input");
  expect_refused(post("/v1/keysets", R"({"name":"a","wrap":"cbc","root":)" + root + "}"), 400,
                 "invalid_input");
  expect_refused(post("/v1/keysets", R"({"name":"a","custody":"sky","root":)" + root + "}"), 400,
                 "invalid_input");
  expect_refused(post("/v1/keysets", R"({"name":"a","root":"file:/none/key"})"), 503,
                 "root_blocked");
  expect_refused(get("/v1/keysets/a"), 404, "no_such_keyset");
}

TEST_F(NativeThreads, KekVersionsAndTheirRoots) {
  const TestAnswer keys = get(kKeyset + "/keys");
  EXPECT_EQ(keys.at("keys.0.version"), "1");
  EXPECT_EQ(keys.at("keys.0.state"), "\"usable\"");
  EXPECT_EQ(keys.at("keys.0.management"), "\"internal\"");
  EXPECT_EQ(keys.at("keys.0.protectors.0.root"), quoted(root_uri_));
  EXPECT_EQ(keys.at("keys.0.protectors.0.mechanism"), "\"AES-KW (RFC 3394)\"");
  EXPECT_EQ(keys.at("keys.1"), "");
  EXPECT_EQ(get(kKeyset + "/keys/1").response.body,
            json::serialize(keys.json.at("keys").at(0)) + "\n");
  expect_refused(get(kKeyset + "/keys/2"), 404, "no_such_key");
  finish(uuid_of(post(kKeyset + "/rekey")));
  EXPECT_EQ(get(kKeyset + "/keys/1").at("state"), "\"destroyed\"");
  EXPECT_EQ(get(kKeyset + "/keys/1").at("protectors"), "[]");
  EXPECT_EQ(get(kKeyset + "/keys/2").at("state"), "\"usable\"");
}

TEST_F(NativeThreads, CensusAndQuarantine) {
  close();
  DekId bad{};
  with_store([&] { bad = add_damaged(); });
  open();
  EXPECT_EQ(get(kKeyset + "/quarantine").at("total"), "0");
  EXPECT_EQ(finish(uuid_of(post(kKeyset + "/rekey"))).state, JobState::kIncomplete);
  const TestAnswer census = get(kKeyset + "/census");
  EXPECT_EQ(census.at("versions.0.deks"), "0");
  EXPECT_EQ(census.at("versions.0.quarantined"), "1");
  EXPECT_EQ(census.at("versions.1.deks"), std::to_string(kNumDeks));
  EXPECT_EQ(census.at("quarantined"), "1");
  const TestAnswer quarantine = get(kKeyset + "/quarantine?limit=1");
  EXPECT_EQ(quarantine.at("total"), "1");
  EXPECT_EQ(quarantine.at("deks.0.id"), quoted(format_uuid(bad)));
  EXPECT_EQ(quarantine.at("deks.0.reason"), "\"rekey\"");
  EXPECT_EQ(quarantine.at("deks.0.kek_version"), "1");
  expect_refused(get(kKeyset + "/deks/" + format_uuid(bad)), 409, "damaged_deks");
  for (const char* part : {"/census", "/quarantine", "/keys", "/deks", ""})
    expect_refused(get("/v1/keysets/none" + std::string(part)), 404, "no_such_keyset");
}

// Pages give every DEK once, also while a rekey moves them, and each DEK alone says the same.
TEST_F(NativeThreads, DeksPageByPage) {
  std::set<std::string> seen;
  std::string next;
  std::size_t num_pages = 0;
  Uuid job{};
  do {
    const TestAnswer page =
        get(kKeyset + "/deks?limit=999" + (next.empty() ? "" : "&from=" + next));
    ASSERT_EQ(page.status, 200) << page.response.body;
    for (const json::value& dek : page.json.at("deks").as_array())
      EXPECT_TRUE(seen.insert(dek.at("id").as_string().c_str()).second);
    const json::value& after = page.json.at("next");
    next = after.is_null() ? "" : after.as_string().c_str();
    if (++num_pages == 2) {
      job = uuid_of(post(kKeyset + "/rekey", "{\"rate\":5000}"));
      wait_for_progress(job);
    }
  } while (!next.empty());
  EXPECT_EQ(num_pages, 11U);
  std::set<std::string> expected;
  for (const DekId& id : ids_) expected.insert(format_uuid(id));
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(get(kKeyset + "/deks?from=4294967295.0").at("deks"), "[]");
  EXPECT_EQ(get(kKeyset + "/deks").json.at("deks").as_array().size(), 100U);
  expect_refused(get(kKeyset + "/deks/" + test::test_uuid_text(9)), 404, "no_such_key");
}

TEST_F(NativeThreads, NoWrapComesOut) {
  const std::string id = format_uuid(ids_.front());
  const TestAnswer dek = get(kKeyset + "/deks/" + id);
  EXPECT_EQ(dek.at("id"), quoted(id));
  EXPECT_EQ(dek.at("alg"), "\"A256KW\"");
  EXPECT_EQ(dek.at("kek_version"), "1");
  EXPECT_EQ(dek.at("dek_size"), "32");
  EXPECT_EQ(dek.json.size(), 5U);
  EXPECT_EQ(get(kKeyset + "/deks?limit=1").at("deks.0"),
            dek.response.body.substr(0, dek.response.body.size() - 1));
  const WrappedDek stored = ok_value(service_->keysets().get_dek(kName, ids_.front()));
  const WrapMembers wrap = wrap_members(stored.algorithm, stored.wrap, stored.aad);
  ASSERT_GT(wrap.wrapped.size(), 40U);
  for (const char* path : {"", "/deks?limit=1000", "/keys", "/census", "/quarantine"}) {
    EXPECT_EQ(get(kKeyset + path).response.body.find(wrap.wrapped.substr(0, 16)),
              std::string::npos);
  }
}

TEST_F(NativeThreads, DeksAreMade) {
  const TestAnswer made = post(kKeyset + "/deks", R"({"count":3,"dek_size":64})");
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.json.at("ids").as_array().size(), 3U);
  const std::string id = made.at("ids.0");
  EXPECT_EQ(get(kKeyset + "/deks/" + id.substr(1, id.size() - 2)).at("dek_size"), "64");
  EXPECT_EQ(get(kKeyset).at("deks"), std::to_string(kNumDeks + 3));
  std::filesystem::remove(directory_.path() + "/root.key");
  expect_refused(post(kKeyset + "/deks"), 503, "root_blocked");
  expect_refused(post("/v1/keysets/none/deks"), 404, "no_such_keyset");
}

TEST_F(NativeThreads, ARekeyIsSteered) {
  const TestAnswer started = post(kKeyset + "/rekey", "{\"rate\":2500}");
  EXPECT_EQ(started.status, 202);
  EXPECT_EQ(started.at("is_new"), "true");
  EXPECT_EQ(started.at("job.origin"), "\"native\"");
  EXPECT_EQ(started.at("job.user"), "\"admin\"");
  EXPECT_EQ(started.at("job.description"), quoted("POST " + kKeyset + "/rekey"));
  const Uuid job = uuid_of(started);
  const std::string path = "/v1/jobs/" + format_uuid(job);
  EXPECT_EQ(post(kKeyset + "/rekey").at("is_new"), "false");
  EXPECT_EQ(uuid_of(get(kKeyset), "job.uuid"), job);
  wait_for_progress(job);
  EXPECT_EQ(get(path).at("total"), std::to_string(kNumDeks));
  expect_refused(post(path + "/resume"), 409, "job_running");
  expect_refused(post(kKeyset + "/reprotect", R"({"root":"file:/none"})"), 409, "rekey_running");
  EXPECT_EQ(post(path + "/pause").status, 200);
  const Job paused = wait_for_state(job, JobState::kPaused);
  EXPECT_EQ(get(path).at("state"), "\"paused\"");
  // A list by state goes by the record, which is written a moment after the job has stopped.
  wait_for(job, [&](const Job& /*now*/) {
    return get("/v1/jobs?state=paused&kind=rekey").json.at("jobs").as_array().size() == 1;
  });
  EXPECT_EQ(get("/v1/jobs?state=running").at("jobs"), "[]");
  expect_refused(post(path + "/pause"), 409, "job_not_running");
  EXPECT_LT(paused.progress.done, kNumDeks);
  expect_refused(ask("PATCH", path, "{\"rate\":-1}"), 400, "invalid_input");
  EXPECT_EQ(std::stod(ask("PATCH", path, "{\"rate\":0}").at("rate")), 0);
  EXPECT_EQ(post(path + "/resume").status, 200);
  EXPECT_EQ(finish(job).state, JobState::kSucceeded);
  EXPECT_EQ(get(path).at("done"), std::to_string(kNumDeks));
  EXPECT_EQ(get(path).at("error"), "null");
  EXPECT_EQ(get(kKeyset).at("job"), "null");
  for (const char* verb : {"/pause", "/resume", "/cancel"})
    expect_refused(post(path + verb), 409, "job_ended");
  expect_refused(ask("PATCH", path, "{\"rate\":1}"), 409, "job_ended");
  close();
  expect_keyset(2);
}

TEST_F(NativeThreads, ACancelledRekeyGoesOnWithTheNext) {
  const Uuid job = uuid_of(post(kKeyset + "/rekey", "{\"rate\":2500}"));
  wait_for_progress(job);
  EXPECT_EQ(post("/v1/jobs/" + format_uuid(job) + "/cancel").status, 200);
  EXPECT_EQ(finish(job).state, JobState::kCancelled);
  EXPECT_EQ(get(kKeyset).at("rekey_target"), "2");
  EXPECT_EQ(finish(uuid_of(post(kKeyset + "/rekey"))).state, JobState::kSucceeded);
  EXPECT_EQ(get(kKeyset).at("rekey_target"), "null");
  close();
  expect_keyset(2);
}

TEST_F(NativeThreads, OtherJobs) {
  EXPECT_EQ(finish(uuid_of(post(kKeyset + "/verify"))).state, JobState::kSucceeded);
  EXPECT_EQ(get(kKeyset).at("verified_version"), "1");
  EXPECT_EQ(finish(uuid_of(post(kKeyset + "/restore"))).state, JobState::kSucceeded);
  const std::string other = new_root("other.key");
  const std::string body = "{\"root\":" + quoted(other) + "}";
  EXPECT_EQ(finish(uuid_of(post(kKeyset + "/reprotect", body))).state, JobState::kSucceeded);
  EXPECT_EQ(get(kKeyset + "/keys/1").at("protectors.0.root"), quoted(other));
  const Uuid rekey = uuid_of(post(kKeyset + "/rekey", "{\"decommission\":false}"));
  EXPECT_EQ(finish(rekey).state, JobState::kSucceeded);
  EXPECT_EQ(get(kKeyset + "/keys/1").at("state"), "\"usable\"");
  // The gate keeps the current version; the job says so.
  const Uuid kept = uuid_of(post(kKeyset + "/keys/2/decommission"));
  EXPECT_EQ(finish(kept).state, JobState::kFailed);
  EXPECT_EQ(get("/v1/jobs/" + format_uuid(kept)).at("error.reason"), "\"refused_by_gate\"");
  EXPECT_EQ(finish(uuid_of(post(kKeyset + "/keys/1/decommission"))).state, JobState::kSucceeded);
  EXPECT_EQ(get(kKeyset + "/keys/1").at("state"), "\"destroyed\"");
  EXPECT_EQ(get("/v1/jobs?limit=2").json.at("jobs").as_array().size(), 2U);
  expect_refused(get("/v1/jobs/" + test::test_uuid_text(1)), 404, "no_such_job");
  expect_refused(post("/v1/keysets/none/verify"), 404, "no_such_keyset");
}

TEST_F(NativeThreads, RekeysAreRefusedForAReason) {
  std::filesystem::remove(directory_.path() + "/root.key");
  expect_refused(post(kKeyset + "/rekey"), 503, "root_blocked");
  EXPECT_EQ(get("/v1/jobs").at("jobs"), "[]");
}

TEST_F(NativeThreads, DeksOfAKeysetThatSitInTheAdminKeyset) {
  close();
  options_.admin_keyset = kName;
  open();
  const std::string body = R"({"name":"svm","root":)" + quoted(root_uri_) + "}";
  ASSERT_EQ(post("/v1/keysets", body).status, 201);
  EXPECT_EQ(get(kKeyset).at("is_admin"), "true");
  const std::string path = "/v1/keysets/svm/deks_in_admin/" + format_uuid(ids_.front());
  EXPECT_EQ(post(path).status, 201);
  expect_refused(post("/v1/keysets/svm/rekey"), 409, "deks_in_admin_keyset");
  expect_refused(post("/v1/keysets/svm/deks_in_admin/" + format_uuid(Uuid{})), 404, "no_such_key");
  expect_refused(post(kKeyset + ("/deks_in_admin/" + format_uuid(ids_.front()))), 409,
                 "admin_keyset");
  EXPECT_EQ(ask("DELETE", path).status, 200);
  EXPECT_EQ(post("/v1/keysets/svm/rekey").status, 202);
}

TEST_F(NativeThreads, WhoAsksAndWhere) {
  const TestAnswer admin = get("/v1/account");
  EXPECT_EQ(admin.at("name"), "\"admin\"");
  EXPECT_EQ(admin.at("role"), "\"admin\"");
  EXPECT_EQ(admin.at("permissions"), R"(["read","rekey","configure","accounts","read_audit"])");
  const auto permissions = [&](const char* account) {
    return ask("GET", "/v1/account", "", account).at("permissions");
  };
  EXPECT_EQ(permissions("rekey-operator"), R"(["read","rekey"])");
  EXPECT_EQ(permissions("read-only"), R"(["read"])");
  EXPECT_EQ(permissions("audit"), R"(["read","read_audit"])");
  EXPECT_EQ(get("/v1/cluster").at("name"), "\"rewrap\"");
}

TEST_F(NativeThreads, Nodes) {
  const TestAnswer added = post("/v1/nodes", R"({"name":"node-2"})");
  EXPECT_EQ(added.status, 201);
  EXPECT_EQ(added.at("is_online"), "false");
  EXPECT_EQ(added.at("last_heartbeat"), "null");
  expect_refused(post("/v1/nodes", R"({"name":"node-2"})"), 409, "name_taken");
  expect_refused(post("/v1/nodes", R"({"name":"a b"})"), 400, "invalid_input");
  EXPECT_EQ(post("/v1/nodes/node-2/heartbeat").status, 200);
  EXPECT_EQ(get("/v1/nodes").at("nodes.1.is_online"), "true");
  expect_refused(post("/v1/nodes/node-3/heartbeat"), 404, "no_such_node");
  EXPECT_EQ(ask("DELETE", "/v1/nodes/node-2").response.body, "{}\n");
  expect_refused(ask("DELETE", "/v1/nodes/node-2"), 404, "no_such_node");
  EXPECT_EQ(get("/v1/nodes").json.at("nodes").as_array().size(), 1U);
}

}  // namespace
}  // namespace rewrap
