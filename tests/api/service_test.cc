// The service as a whole: one per store, keysets, nodes, names, the audit log, Element's view.
#include "api/service/service.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "api/service/job_runner.h"
#include "tests/api/service_fixture.h"

namespace rewrap {
namespace {

class ServiceThreads : public ServiceFixture {};

TEST_F(ServiceThreads, OneServicePerStore) {
  const auto lock = ok_value(RunnerLock::acquire(options_.store_directory));
  options_.service_root_uri = root_uri_;
  EXPECT_EQ(Service::open(options_).status().code(), Errc::kConflict);
  // Not even a service key was made, which the other would not know of.
  EXPECT_FALSE(std::filesystem::exists(options_.store_directory + "/service.db"));
  EXPECT_TRUE(ok_value(RunnerLock::is_served(options_.store_directory)));
}

TEST_F(ServiceThreads, IsServedTellsWhetherAServiceRuns) {
  EXPECT_FALSE(ok_value(RunnerLock::is_served(options_.store_directory)));
  start();
  EXPECT_TRUE(ok_value(RunnerLock::is_served(options_.store_directory)));
  EXPECT_TRUE(service_->is_ready().ok());
  stop();
  EXPECT_FALSE(ok_value(RunnerLock::is_served(options_.store_directory)));
}

TEST_F(ServiceThreads, Keysets) {
  start();
  Keysets& keysets = service_->keysets();
  const KeysetInfo info = ok_value(keysets.get(kName));
  EXPECT_EQ(info.deks, kNumDeks);
  EXPECT_EQ(ok_value(keysets.find(info.uuid)).name, kName);
  EXPECT_EQ(keysets.find(Uuid{}).reason(), Reason::kNoSuchKeyset);
  EXPECT_EQ(keysets.get("none").reason(), Reason::kNoSuchKeyset);
  for (const std::string& wrong : {std::string(), std::string(600, 'x'), std::string("../x")}) {
    EXPECT_EQ(keysets.get(wrong).reason(), Reason::kNoSuchKeyset);
    EXPECT_EQ(keysets.census(wrong).reason(), Reason::kNoSuchKeyset);
    EXPECT_EQ(keysets.state(wrong, true).reason(), Reason::kNoSuchKeyset);
    EXPECT_EQ(service_->jobs().start_verify(wrong, caller()).reason(), Reason::kNoSuchKeyset);
  }
  EXPECT_EQ(keysets.key(kName, 9).reason(), Reason::kNoSuchKey);
  EXPECT_EQ(ok_value(keysets.state(kName, true)), KeystoreState::kActive);
  EXPECT_EQ(ok_value(keysets.census(kName)).versions.size(), 1U);
  EXPECT_EQ(ok_value(keysets.get_dek(kName, ids_.front())).version, 1U);
  EXPECT_EQ(keysets.get_dek(kName, DekId{}).reason(), Reason::kNoSuchKey);

  ok_value(keysets.create({"second", root_uri_}, caller()));
  EXPECT_EQ(keysets.create({"second", root_uri_}, caller()).reason(), Reason::kNameTaken);
  EXPECT_EQ(keysets.create({"third", root_uri_ + ".none"}, caller()).reason(),
            Reason::kRootBlocked);
  EXPECT_EQ(ok_value(keysets.list()).size(), 2U);
  EXPECT_EQ(ok_value(keysets.generate("second", 3, 64, caller())).size(), 3U);
  EXPECT_EQ(keysets.generate("second", 0, 64, caller()).reason(), Reason::kInvalidInput);
  EXPECT_EQ(ok_value(keysets.get("second")).deks, 3U);
}

TEST_F(ServiceThreads, Nodes) {
  start();
  Nodes& nodes = service_->nodes();
  const Cluster cluster = ok_value(nodes.cluster());
  const Node local = ok_value(nodes.list()).at(0);
  EXPECT_TRUE(local.is_local);
  EXPECT_TRUE(local.is_online);
  const Node added = ok_value(nodes.add("node-2", caller()));
  EXPECT_FALSE(added.is_online);
  EXPECT_EQ(nodes.add("node-2", caller()).reason(), Reason::kNameTaken);
  EXPECT_EQ(nodes.add(local.name, caller()).reason(), Reason::kNameTaken);
  EXPECT_EQ(nodes.add("a b", caller()).reason(), Reason::kInvalidInput);
  EXPECT_EQ(ok_value(nodes.missing()).size(), 1U);
  ok_value(nodes.heartbeat("node-2"));
  EXPECT_TRUE(ok_value(nodes.missing()).empty());
  EXPECT_TRUE(ok_value(nodes.get(added.uuid)).is_online);
  EXPECT_EQ(nodes.heartbeat("node-3").reason(), Reason::kNoSuchNode);
  stop();
  {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    ASSERT_TRUE(db->write([](Database& database) {
                    return database.run("UPDATE nodes SET last_heartbeat = last_heartbeat - 31");
                  }).ok());
  }
  start();
  EXPECT_EQ(ok_value(service_->nodes().missing()).size(), 1U);
  ok_value(service_->nodes().heartbeat("node-2"));
  {
    // A clock that was set back: what was heard lies in the future, and is no sign of life.
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    ASSERT_TRUE(db->write([](Database& database) {
                    return database.run("UPDATE nodes SET last_heartbeat = last_heartbeat + 3600");
                  }).ok());
  }
  EXPECT_EQ(ok_value(service_->nodes().missing()).size(), 1U);
  EXPECT_EQ(ok_value(service_->nodes().cluster()).uuid, cluster.uuid);
  EXPECT_EQ(ok_value(service_->nodes().list()).at(0).uuid, local.uuid);
  ok_value(service_->nodes().remove("node-2", caller()));
  EXPECT_EQ(service_->nodes().remove("node-2", caller()).reason(), Reason::kNoSuchNode);
}

TEST_F(ServiceThreads, WhatIsDoneIsInTheAuditLogUnderTheServiceKey) {
  options_.service_root_uri = root_uri_;
  options_.audit_file = directory_.path() + "/audit.log";
  start();
  finish(rekey().job.uuid);
  stop();
  std::ifstream file(options_.audit_file);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  for (const char* action : {"job.requested", "job.started", "kek.decommissioned", "job.ended"})
    EXPECT_NE(text.find("\"action\":\"" + std::string(action)), std::string::npos) << action;
  EXPECT_EQ(verify_audit_log(options_.audit_file, {}).status().code(), Errc::kInvalidArgument);
  start();  // the same key again: the chain goes on
  EXPECT_EQ(service_->audit()->append({"x", "", "", "", "", "", ""}).code(), Errc::kOk);
}

TEST_F(ServiceThreads, ElementIsDisabledWithoutAKeyset) {
  start();
  EXPECT_FALSE(ok_value(service_->element().info()).enabled);
  EXPECT_EQ(service_->element().rekey({}, {}, caller()).reason(), Reason::kNotEnabled);
}

TEST_F(ServiceThreads, ElementRekeysInPlaceAndKnowsTheOldKeyAfterwards) {
  options_.element_keyset = kName;
  start();
  Element& element = service_->element();
  const SoftwareEncryption before = ok_value(element.info());
  ASSERT_TRUE(before.enabled);
  EXPECT_FALSE(before.rekey_handle.has_value());
  const auto external = KeyManagement::kExternal;
  EXPECT_EQ(element.rekey(external, {}, caller()).reason(), Reason::kInvalidInput);
  EXPECT_EQ(element.rekey({}, 3, caller()).reason(), Reason::kInvalidInput);
  EXPECT_EQ(element.rekey(KeyManagement::kInternal, 3, caller()).reason(), Reason::kInvalidInput);
  EXPECT_EQ(element.rekey(external, 3, caller()).reason(), Reason::kNoSuchProvider);
  const JobStart begun =
      ok_value(element.rekey(KeyManagement::kInternal, {}, caller(JobOrigin::kElement)));
  const Job ended = finish(begun.job.uuid);
  EXPECT_EQ(ended.state, JobState::kSucceeded);
  const SoftwareEncryption after = ok_value(element.info());
  EXPECT_EQ(after.rekey_handle, ended.handle);
  EXPECT_EQ(after.master_key->uuid, ended.to_key);
  const RekeyKeys keys = ok_value(element.keys_of(ended));
  EXPECT_EQ(keys.key_to_decommission.uuid, before.master_key->uuid);
  EXPECT_EQ(keys.new_key->uuid, after.master_key->uuid);
  EXPECT_FALSE(keys.moves);
  ok_value(service_->jobs().purge(ended.handle));
  EXPECT_FALSE(ok_value(element.info()).rekey_handle.has_value());
}

TEST(Reasons, NamesAreThereAndBack) {
  std::set<std::string> names;
  int count = 0;
  for (int value = 0; value < 256; ++value) {
    const auto reason = static_cast<Reason>(value);
    if (const auto found = find_reason(reason_name(reason)); found == reason) {
      names.insert(reason_name(reason));
      ++count;
    }
  }
  EXPECT_EQ(count, 50);
  EXPECT_EQ(names.size(), 50U);
}

TEST(KeyUuids, AreStableAndDiffer) {
  const Uuid keyset = ok_value(random_uuid());
  EXPECT_EQ(key_uuid(keyset, 1), key_uuid(keyset, 1));
  EXPECT_NE(key_uuid(keyset, 1), key_uuid(keyset, 2));
  EXPECT_NE(key_uuid(keyset, 1), key_uuid(ok_value(random_uuid()), 1));
  EXPECT_EQ(format_uuid(key_uuid(keyset, 1))[14], '8');
}

}  // namespace
}  // namespace rewrap
