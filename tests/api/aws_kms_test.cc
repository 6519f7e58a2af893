// AWS KMS configurations, with a stand-in for AWS that knows keys and one secret.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <thread>

#include "tests/api/service_fixture.h"
#include "tests/api/stand_in_root.h"
#include "tests/api/sync_watch.h"

namespace rewrap {
namespace {

constexpr const char* kSecret = "the right secret";

SecretBuffer secret(std::string_view text) {
  if (text.empty()) return {};
  return ok_value(SecretBuffer::copy_of(as_bytes(text)));
}

class AwsKmsThreads : public ServiceFixture {
 protected:
  void SetUp() override {
    ServiceFixture::SetUp();
    for (const char* key : {"key-1", "key-2", "key-1.eu-central-1", "key-1.elsewhere"})
      ASSERT_TRUE(create_root_key(file_uri(key), root_options()).ok());
    options_.service_root_uri = root_uri_;
    options_.access.open_aws = [this](AwsTarget target, const RootOptions& options) {
      return open_aws(std::move(target), options);
    };
    start();
  }

  [[nodiscard]] std::string file_uri(const std::string& key) const {
    return "file:" + directory_.path() + "/" + key + ".aws";
  }

  Result<std::unique_ptr<Root>> open_aws(AwsTarget target, const RootOptions& options) {
    const std::lock_guard lock(mutex_);
    if (unreachable_) return Status(Errc::kUnavailable, "no connection");
    if (!secrets_equal(target.secret_access_key.expose_secret(), as_bytes(kSecret)))
      return Status(Errc::kDenied, "the signature does not match");
    if (disabled_ == target.key_id) return Status(Errc::kUnsupported, "the key is disabled");
    // Each region has keys of its own, and so has a KMS that is not AWS's.
    std::string key = target.key_id;
    if (target.region != "us-east-1") key += "." + target.region;
    if (target.endpoint == "https://elsewhere") key += ".elsewhere";
    REWRAP_ASSIGN(auto inner, open_root(file_uri(key), options));
    endpoint_ = target.endpoint;
    proxy_ = target.proxy;
    context_ = target.encryption_context;
    std::string binding;
    for (const auto& [name, value] : context_) binding.append(name).append("=").append(value);
    return std::unique_ptr<Root>(
        std::make_unique<StandInRoot>(target.uri, std::move(inner), std::move(binding)));
  }

  static AwsKmsSettings settings() {
    AwsKmsSettings settings;
    settings.region = "us-east-1";
    settings.access_key_id = "AKIATEST";
    settings.secret_access_key = secret(kSecret);
    return settings;
  }
  AwsKmsConfiguration create(const std::string& keyset = kName) {
    return ok_value(service_->aws_kms().create(keyset, "key-1", settings(), caller()));
  }
  template <typename Change>
  Reason modify(const Uuid& uuid, const Change& change) {
    AwsKmsSettings settings;
    change(&settings);
    return service_->aws_kms().modify(uuid, std::move(settings), caller()).reason();
  }

  std::mutex mutex_;  // guards what the stand-in is told and tells
  bool unreachable_ = false;
  std::string disabled_;
  std::string endpoint_;
  std::string proxy_;
  std::map<std::string, std::string> context_;
};

TEST_F(AwsKmsThreads, CreateMovesTheKeysetAndRekeyInternalWorks) {
  const AwsKmsConfiguration made = create();
  EXPECT_EQ(made.keyset, kName);
  EXPECT_EQ(made.key_id, "key-1");
  EXPECT_EQ(ok_value(service_->aws_kms().list()).size(), 1U);
  EXPECT_EQ(ok_value(service_->aws_kms().get_for_keyset(kName)).uuid, made.uuid);
  // The old root is of no more use to the keyset; the service key needs it at the next start only.
  std::filesystem::rename(directory_.path() + "/root.key", directory_.path() + "/away");
  const JobStart begun = ok_value(service_->aws_kms().rekey_internal(made.uuid, caller()));
  const Job ended = finish(begun.job.uuid);
  EXPECT_EQ(ended.state, JobState::kSucceeded) << ended.error.message;
  EXPECT_EQ(ok_value(service_->keysets().get(kName)).current_version, 2U);
  std::filesystem::rename(directory_.path() + "/away", directory_.path() + "/root.key");
  restart();
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
}

TEST_F(AwsKmsThreads, ANewSvmIsMadeWith64ByteDeks) {
  const AwsKmsConfiguration made = create("svm1");
  const KeysetInfo keyset = ok_value(service_->keysets().get("svm1"));
  EXPECT_EQ(keyset.uuid, made.keyset_uuid);
  EXPECT_EQ(keyset.dek_len, 64U);
  EXPECT_EQ(service_->aws_kms().rekey_internal(made.uuid, caller()).reason(), Reason::kKeysetEmpty);
  ok_value(service_->keysets().generate("svm1", 100, 0, caller()));
  const Job ended =
      finish(ok_value(service_->aws_kms().rekey_internal(made.uuid, caller())).job.uuid);
  EXPECT_EQ(ended.state, JobState::kSucceeded) << ended.error.message;
}

TEST_F(AwsKmsThreads, RekeyExternalMovesTheKekAndChangesTheKeyId) {
  const AwsKmsConfiguration made = create();
  const auto move_to = [&](const std::string& key) {
    return finish(ok_value(service_->aws_kms().rekey_external(made.uuid, key, caller())).job.uuid);
  };
  EXPECT_EQ(move_to("key-2").state, JobState::kSucceeded);
  EXPECT_EQ(ok_value(service_->aws_kms().get(made.uuid)).key_id, "key-2");
  EXPECT_EQ(ok_value(service_->keysets().get(kName)).current_version, 1U);
  std::filesystem::remove(directory_.path() + "/key-1.aws");
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
  EXPECT_EQ(move_to("key-2").state, JobState::kSucceeded);  // the same key, rotated over there
  const Job failed = move_to("key-1");
  EXPECT_EQ(failed.state, JobState::kFailed);
  EXPECT_EQ(failed.error.reason, Reason::kRootBlocked);
  EXPECT_EQ(ok_value(service_->aws_kms().get(made.uuid)).key_id, "key-2");
  EXPECT_EQ(service_->aws_kms().rekey_external(made.uuid, "", caller()).reason(),
            Reason::kInvalidInput);
  EXPECT_EQ(finish(ok_value(service_->aws_kms().restore(made.uuid, caller())).job.uuid).state,
            JobState::kSucceeded);
}

TEST_F(AwsKmsThreads, ABlockedRootIsARealCondition) {
  const AwsKmsConfiguration made = create();
  EXPECT_TRUE(ok_value(service_->aws_kms().state(made.uuid)).protected_everywhere);
  disabled_ = "key-1";
  EXPECT_EQ(service_->aws_kms().rekey_internal(made.uuid, caller()).reason(), Reason::kRootBlocked);
  EXPECT_EQ(ok_value(service_->keysets().state(kName, true)), KeystoreState::kBlocked);
  disabled_.clear();
  unreachable_ = true;
  EXPECT_EQ(service_->aws_kms().rekey_internal(made.uuid, caller()).reason(), Reason::kRootBlocked);
  const AwsKmsState state = ok_value(service_->aws_kms().state(made.uuid));
  EXPECT_FALSE(state.amazon.reachable);
  EXPECT_EQ(state.amazon.reason, Reason::kRootUnreachable);
  EXPECT_FALSE(state.protected_everywhere);
  EXPECT_FALSE(state.message.empty());
  unreachable_ = false;
  EXPECT_EQ(ok_value(service_->keysets().state(kName, true)), KeystoreState::kActive);
  ok_value(service_->nodes().add("node-2", caller()));
  const AwsKmsState alone = ok_value(service_->aws_kms().state(made.uuid));
  EXPECT_TRUE(alone.amazon.reachable);
  EXPECT_FALSE(alone.protected_everywhere);
  ASSERT_EQ(alone.nodes.size(), 2U);
  EXPECT_TRUE(alone.nodes[0].reachability.reachable);
  EXPECT_FALSE(alone.nodes[1].reachability.reachable);
}

TEST_F(AwsKmsThreads, ReasonsToRefuseAConfiguration) {
  AwsKms& aws = service_->aws_kms();
  const auto reason = [&](const std::string& keyset, const std::string& key,
                          const std::function<void(AwsKmsSettings*)>& change) {
    AwsKmsSettings given = settings();
    change(&given);
    return aws.create(keyset, key, std::move(given), caller()).reason();
  };
  using Given = AwsKmsSettings*;
  EXPECT_EQ(reason(kName, "key-1", [](Given g) { g->secret_access_key = SecretBuffer(); }),
            Reason::kEmptySecret);
  EXPECT_EQ(reason(kName, "key-1", [](Given g) { g->secret_access_key.reset(); }),
            Reason::kEmptySecret);
  EXPECT_EQ(reason(kName, "key-1", [](Given g) { g->access_key_id = ""; }),
            Reason::kEmptyAccessKey);
  EXPECT_EQ(reason(kName, "", [](Given) {}), Reason::kInvalidInput);
  EXPECT_EQ(reason(kName, "key?region=x", [](Given) {}), Reason::kInvalidInput);
  EXPECT_EQ(reason(kName, "key-1", [](Given g) { g->region = "a b"; }), Reason::kInvalidInput);
  EXPECT_EQ(reason(kName, "key-1", [](Given g) { g->encryption_context = "[1]"; }),
            Reason::kInvalidInput);
  EXPECT_EQ(reason(kName, "key-1", [](Given g) { g->secret_access_key = secret("wrong"); }),
            Reason::kCredentialsRejected);
  unreachable_ = true;
  EXPECT_EQ(reason(kName, "key-1", [](Given) {}), Reason::kRootUnreachable);
  unreachable_ = false;
  EXPECT_TRUE(ok_value(aws.list()).empty());  // nothing of all that was stored
  const AwsKmsConfiguration made = create();
  EXPECT_EQ(reason(kName, "key-1", [](Given) {}), Reason::kAlreadyConfigured);

  const Uuid nobody{};
  EXPECT_EQ(aws.get(nobody).reason(), Reason::kNoAwsKms);
  EXPECT_EQ(aws.rekey_internal(nobody, caller()).reason(), Reason::kNoAwsKms);
  EXPECT_EQ(aws.rekey_external(nobody, "k", caller()).reason(), Reason::kNoAwsKms);
  EXPECT_EQ(aws.restore(nobody, caller()).reason(), Reason::kNoAwsKms);
  EXPECT_EQ(aws.state(nobody).reason(), Reason::kNoAwsKms);
  EXPECT_EQ(aws.remove(nobody, caller()).reason(), Reason::kNoAwsKms);
  EXPECT_EQ(modify(nobody, [](Given g) { g->timeout = 3; }), Reason::kNoAwsKms);

  EXPECT_EQ(modify(made.uuid, [](Given) {}), Reason::kNothingToChange);
  EXPECT_EQ(modify(made.uuid, [](Given g) { g->skip_verify = true; }), Reason::kSkipVerifyAlone);
  EXPECT_EQ(modify(made.uuid, [](Given g) { g->secret_access_key = SecretBuffer(); }),
            Reason::kEmptySecret);
  EXPECT_EQ(aws.remove(made.uuid, caller()).reason(), Reason::kStillInUse);
}

TEST_F(AwsKmsThreads, ModifyIsTriedOutBeforeItIsStored) {
  const AwsKmsConfiguration made = create();
  EXPECT_EQ(modify(made.uuid, [](AwsKmsSettings* g) { g->secret_access_key = secret("wrong"); }),
            Reason::kCredentialsRejected);
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
  EXPECT_EQ(modify(made.uuid,
                   [](AwsKmsSettings* g) {
                     g->host = "kms.example";
                     g->port = 8443;
                     g->proxy_host = "proxy.example";
                     g->proxy_port = 3128;
                     g->proxy_type = ProxyType::kHttps;
                     g->verify_host = false;
                   }),
            Reason::kNone);
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
  EXPECT_EQ(endpoint_, "https://kms.example:8443");
  EXPECT_EQ(proxy_, "https://proxy.example:3128");
  const AwsKmsConfiguration now = ok_value(service_->aws_kms().get(made.uuid));
  EXPECT_EQ(now.port, 8443);
  EXPECT_EQ(now.verify_host, false);
  EXPECT_FALSE(now.verify.has_value());
  EXPECT_EQ(now.created_at, made.created_at);
  // New credentials that are not to be tried are taken as they are, and block the root.
  EXPECT_EQ(modify(made.uuid,
                   [](AwsKmsSettings* g) {
                     g->access_key_id = "AKIANEXT";
                     g->secret_access_key = secret("wrong");
                     g->skip_verify = true;
                   }),
            Reason::kNone);
  EXPECT_EQ(service_->keysets().check_root(kName).reason(), Reason::kRootBlocked);
}

// A ciphertext opens with the context and in the region that it was made with, and no other: a change of
// these must not lose the KEKs that there are.
TEST_F(AwsKmsThreads, KeksKeepTheContextAndTheRegionThatTheyWereProtectedWith) {
  using Context = std::map<std::string, std::string>;
  const AwsKmsConfiguration made = create();
  const auto set_context = [&](const std::string& text) {
    EXPECT_EQ(modify(made.uuid, [&](AwsKmsSettings* g) { g->encryption_context = text; }),
              Reason::kNone);
    EXPECT_TRUE(service_->keysets().check_root(kName).ok());
  };
  set_context(R"({"dept":"a b&c=d%?#"})");
  EXPECT_EQ(context_, Context{});
  const auto protect_anew = [&] {
    return finish(
               ok_value(service_->aws_kms().rekey_external(made.uuid, "key-1", caller())).job.uuid)
        .state;
  };
  EXPECT_EQ(protect_anew(), JobState::kSucceeded);
  const Context first{{"dept", "a b&c=d%?#"}};
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
  EXPECT_EQ(context_, first);
  set_context(R"({"x":"y"})");
  EXPECT_EQ(context_, first);
  EXPECT_EQ(modify(made.uuid, [](AwsKmsSettings* g) { g->region = "eu-central-1"; }),
            Reason::kNone);
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
  restart();
  EXPECT_EQ(
      finish(ok_value(service_->aws_kms().rekey_internal(made.uuid, caller())).job.uuid).state,
      JobState::kSucceeded);
  EXPECT_EQ(protect_anew(), JobState::kSucceeded);
  std::filesystem::remove(directory_.path() + "/key-1.aws");  // of the old region
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
  EXPECT_EQ(context_, (Context{{"x", "y"}}));
  set_context("");
}

// Another KMS may have a key of that name, and take new KEKs; what counts are those that DEKs need.
TEST_F(AwsKmsThreads, AChangeByWhichTheKeksDoNotOpenIsRefused) {
  const AwsKmsConfiguration made = create();
  EXPECT_EQ(modify(made.uuid, [](AwsKmsSettings* g) { g->host = "elsewhere"; }),
            Reason::kCredentialsRejected);
  EXPECT_EQ(ok_value(service_->aws_kms().get(made.uuid)).host, "");
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
}

// DEKs in quarantine need the old KEK, wherever the current one is.
TEST_F(AwsKmsThreads, AConfigurationIsKeptWhileAnOldVersionNeedsIt) {
  with_store([&] { add_damaged(); });
  start();
  const AwsKmsConfiguration made = create();
  RekeyRequest request;
  request.keyset = kName;
  request.root_uri = root_uri_;
  EXPECT_EQ(finish(ok_value(service_->jobs().start_rekey(request, caller())).job.uuid).state,
            JobState::kIncomplete);
  EXPECT_EQ(service_->aws_kms().remove(made.uuid, caller()).reason(), Reason::kStillInUse);
  EXPECT_TRUE(service_->aws_kms().get(made.uuid).ok());
  // Moved to another root, all versions of it, the keyset needs AWS no more.
  EXPECT_EQ(
      finish(ok_value(service_->jobs().start_reprotect(kName, root_uri_, caller())).job.uuid).state,
      JobState::kSucceeded);
  EXPECT_TRUE(service_->aws_kms().remove(made.uuid, caller()).ok());
}

// A job that has not ended may be about to put a KEK under the key.
TEST_F(AwsKmsThreads, AConfigurationIsKeptWhileAJobMayNeedIt) {
  options_.max_running_jobs = 1;
  restart();
  const AwsKmsConfiguration made = create("svm1");
  const Uuid running = rekey(kSlow).job.uuid;
  wait_for_progress(running);
  const Uuid queued =
      ok_value(service_->aws_kms().rekey_external(made.uuid, "key-2", caller())).job.uuid;
  EXPECT_EQ(service_->aws_kms().remove(made.uuid, caller()).reason(), Reason::kSwitching);
  ok_value(service_->jobs().cancel(queued, caller()));
  EXPECT_TRUE(service_->aws_kms().remove(made.uuid, caller()).ok());
}

// Two at once: one of them, and the keyset is under the key of the one that is stored.
TEST_F(AwsKmsThreads, TwoConfigurationsAtOnceMakeOne) {
  std::atomic<int> num_made{0};
  std::vector<std::jthread> threads;
  for (const char* key : {"key-1", "key-2", "key-1", "key-2"}) {
    threads.emplace_back([&, key] {
      const auto made = service_->aws_kms().create(kName, key, settings(), caller());
      num_made += made.ok() ? 1 : 0;
      EXPECT_EQ(made.reason(), made.ok() ? Reason::kNone : Reason::kAlreadyConfigured);
    });
  }
  threads.clear();
  EXPECT_EQ(num_made, 1);
  const std::string used = ok_value(service_->aws_kms().get_for_keyset(kName)).key_id;
  std::filesystem::remove(directory_.path() + (used == "key-1" ? "/key-2.aws" : "/key-1.aws"));
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
}

// The credentials are on the disk before the keyset depends on them.
TEST_F(AwsKmsThreads, AKeysetIsNotMovedIfItsConfigurationCannotBeStored) {
  {
    const FailingSyncs failing("/service.db-wal", 0, 1);
    EXPECT_EQ(service_->aws_kms().create(kName, "key-1", settings(), caller()).reason(),
              Reason::kStorageFailed);
  }
  EXPECT_TRUE(ok_value(service_->aws_kms().list()).empty());
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
  create();
}

// The service's database was lost, and with it the configuration: it is made anew, if it opens the KEKs.
TEST_F(AwsKmsThreads, ALostConfigurationIsMadeAnew) {
  create();
  stop();
  {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    ASSERT_TRUE(
        db->write([](Database& database) { return database.run("DELETE FROM aws_kms"); }).ok());
  }
  start();
  EXPECT_EQ(service_->keysets().check_root(kName).reason(), Reason::kRootBlocked);
  AwsKmsSettings another = settings();
  another.host = "elsewhere";
  EXPECT_FALSE(service_->aws_kms().create(kName, "key-1", std::move(another), caller()).ok());
  EXPECT_TRUE(ok_value(service_->aws_kms().list()).empty());
  create();
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
}

// Exchanging the sealed secrets of two rows must not go unnoticed: they are bound to their rows.
TEST_F(AwsKmsThreads, ExchangedSecretsAreDetected) {
  create();
  create("svm1");
  stop();
  const auto exchange = [&] {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    const Status status = db->write([](Database& database) -> Status {
      REWRAP_TRY(database.run(
          "CREATE TEMP TABLE t AS SELECT uuid, sealed_secret_access_key AS s FROM aws_kms"));
      REWRAP_TRY(
          database.run("UPDATE aws_kms SET sealed_secret_access_key ="
                       " (SELECT s FROM t WHERE t.uuid != aws_kms.uuid)"));
      return database.run("DROP TABLE t");
    });
    EXPECT_TRUE(status.ok()) << status.describe();
  };
  exchange();
  start();
  for (const char* keyset : {kName, "svm1"}) {
    const auto checked = service_->keysets().check_root(keyset);
    EXPECT_EQ(checked.reason(), Reason::kRootBlocked);
    EXPECT_EQ(checked.status().code(), Errc::kIntegrity);
  }
  stop();
  exchange();  // back again
  start();
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
}

TEST_F(AwsKmsThreads, SecretsAreNotInTheDatabaseInClear) {
  create();
  stop();
  for (const char* name : {"/service.db", "/service.db-wal"}) {
    const std::string path = options_.store_directory + name;
    if (!std::filesystem::exists(path)) continue;
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(bytes.find(kSecret), std::string::npos) << name;
    EXPECT_NE(bytes.find("AKIATEST"), std::string::npos) << "the search itself does not work";
  }
}

TEST_F(AwsKmsThreads, WithoutAServiceKeyNoSecretIsTaken) {
  options_.service_root_uri.clear();
  restart();
  EXPECT_EQ(service_->aws_kms().create(kName, "key-1", settings(), caller()).reason(),
            Reason::kNoServiceKey);
}

}  // namespace
}  // namespace rewrap
