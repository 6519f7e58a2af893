// What the AWS KMS root does when the KMS, or the way to it, fails: which errors are tried again, what
// each means, and what is never believed.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "hsm/awskms/awskms_root.h"
#include "hsm/awskms/client.h"
#include "tests/hsm/awskms_fixture.h"
#include "tests/hsm/expect_code.h"

namespace rewrap {
namespace {

using std::chrono::milliseconds;

class KmsClientTest : public testing::Test {
 protected:
  void SetUp() override { kms_.command("reset"); }

  [[nodiscard]] AwsKmsConfig config() const {
    AwsKmsConfig config;
    config.key_id = arn_;
    config.region = test::kKmsRegion;
    config.endpoint = kms_.endpoint();
    config.ca_file = kms_.path("ca.pem");
    config.first_pause = milliseconds(1);
    return config;
  }

  [[nodiscard]] KmsClient client() const { return client(config()); }
  [[nodiscard]] KmsClient client(const AwsKmsConfig& config,
                                 const std::string& credentials = "credentials") const {
    return {config, credentials_from_file(kms_.path(credentials), "default")};
  }

  // code_of is how describe_key ends under this config.
  Status describe(const AwsKmsConfig& config,
                  const std::string& credentials = "credentials") const {
    return client(config, credentials).describe_key().status();
  }

  [[nodiscard]] int num_calls(const std::string& action) const {
    return kms_.count("num_calls [\"" + action + "\"]");
  }

  // num_tries_of gives how many requests one describe_key makes, and in `*status` how it ends.
  int num_tries_of(Status* status) const {
    const int before = num_calls("DescribeKey");
    *status = describe(config());
    return num_calls("DescribeKey") - before;
  }

  test::KmsServer& kms_ = test::KmsServer::shared();
  const std::string arn_ = kms_.create_key();
  const EncryptionContext context_ = {{"a", "1"}};
};

TEST_F(KmsClientTest, SealsAndOpensUpToItsLimits) {
  KmsClient kms = client();
  for (const std::size_t len : {1U, 32U, 4096U}) {
    const Bytes plaintext(len, 7);
    const auto blob = kms.encrypt(arn_, plaintext, context_);
    ASSERT_OK(blob);
    const auto opened = kms.decrypt(arn_, blob.value(), context_);
    ASSERT_OK(opened);
    EXPECT_TRUE(secrets_equal(opened->expose_secret(), plaintext));
    EXPECT_CODE(kms.decrypt(arn_, blob.value(), {{"a", "2"}}), Errc::kIntegrity);
    EXPECT_CODE(kms.decrypt(arn_, blob.value(), {}), Errc::kIntegrity);
    EXPECT_CODE(kms.decrypt(kms_.create_key(), blob.value(), context_), Errc::kConflict);
  }
  EXPECT_CODE(kms.encrypt(arn_, Bytes(4097), context_), Errc::kInvalidArgument);
  EXPECT_CODE(kms.encrypt(arn_, {}, context_), Errc::kInvalidArgument);
  EXPECT_CODE(kms.decrypt(arn_, Bytes(6145), context_), Errc::kIntegrity);
  EXPECT_CODE(kms.encrypt(arn_, Bytes(1), {{"a", std::string(5000, 'x')}}), Errc::kInvalidArgument);
}

struct Row {
  const char* name;
  int http_status;
  Errc code;
};

// The rows of the errors that KMS documents, told by a KMS. Transient ones come twice and then not.
TEST_F(KmsClientTest, TransientErrorsAreTriedAgain) {
  for (const Row& row :
       {Row{"ThrottlingException", 400, Errc::kOk}, Row{"KMSInternalException", 500, Errc::kOk},
        Row{"KeyUnavailableException", 500, Errc::kOk},
        Row{"DependencyTimeoutException", 500, Errc::kOk}, Row{"NeverHeardOf", 503, Errc::kOk},
        Row{"", 429, Errc::kOk}}) {
    kms_.fail(
        std::string(R"("error":")") + row.name + R"(","status":)" + std::to_string(row.http_status),
        2);
    Status status;
    EXPECT_EQ(num_tries_of(&status), 3) << row.name;
    EXPECT_CODE(status, row.code) << row.name;
  }
}

TEST_F(KmsClientTest, OtherErrorsAreNot) {
  for (const Row& row : {Row{"AccessDeniedException", 400, Errc::kDenied},
                         Row{"UnrecognizedClientException", 400, Errc::kDenied},
                         Row{"ExpiredTokenException", 400, Errc::kDenied},
                         Row{"InvalidSignatureException", 400, Errc::kDenied},
                         Row{"MissingAuthenticationTokenException", 403, Errc::kDenied},
                         Row{"DisabledException", 400, Errc::kUnavailable},
                         Row{"KMSInvalidStateException", 400, Errc::kUnavailable},
                         Row{"NotFoundException", 400, Errc::kNotFound},
                         Row{"InvalidArnException", 400, Errc::kInvalidArgument},
                         Row{"InvalidKeyUsageException", 400, Errc::kInvalidArgument},
                         Row{"InvalidGrantTokenException", 400, Errc::kDenied},
                         Row{"ValidationException", 400, Errc::kInvalidArgument},
                         Row{"UnknownOperationException", 400, Errc::kUnsupported},
                         Row{"NeverHeardOf", 400, Errc::kUnsupported}}) {
    kms_.fail(std::string(R"("error":")") + row.name + R"(","status":)" +
              std::to_string(row.http_status));
    Status status;
    EXPECT_EQ(num_tries_of(&status), 1) << row.name;
    EXPECT_CODE(status, row.code) << row.name;
    EXPECT_NE(std::string(status.hint()), "") << row.name;
  }
  Status status;
  EXPECT_EQ(num_tries_of(&status), 1);
  EXPECT_OK(status);  // control: no fault is left over
}

TEST_F(KmsClientTest, TriesEndByNumberTimeOrStop) {
  kms_.fail(R"("error":"ThrottlingException")", 1000);
  Status status;
  EXPECT_EQ(num_tries_of(&status), 10);
  EXPECT_CODE(status, Errc::kUnavailable);
  AwsKmsConfig short_of_time = config();
  short_of_time.first_pause = milliseconds(60);
  short_of_time.retry_limit = milliseconds(100);
  int before = num_calls("DescribeKey");
  EXPECT_CODE(describe(short_of_time), Errc::kUnavailable);
  EXPECT_LE(num_calls("DescribeKey") - before, 3);
  AwsKmsConfig stopped = config();
  std::atomic<bool> stop = false;
  int num_waits = 0;
  stopped.stop = &stop;
  stopped.first_pause = std::chrono::minutes(30);
  stopped.retry_limit = std::chrono::hours(1);
  stopped.on_wait = [&](const Status& why) {
    EXPECT_CODE(why, Errc::kUnavailable);
    ++num_waits;
    stop = true;
  };
  before = num_calls("DescribeKey");
  EXPECT_CODE(describe(stopped), Errc::kUnavailable);
  EXPECT_EQ(num_calls("DescribeKey") - before, 1);
  EXPECT_EQ(num_waits, 1);
}

// The conditions themselves, where the stand-in has them, rather than their names.
TEST_F(KmsClientTest, KeysThatDoNotServe) {
  KmsClient kms = client();
  const auto blob = kms.encrypt(arn_, Bytes(32), context_);
  ASSERT_OK(blob);
  const auto set = [&](const std::string& what) {
    kms_.command("set_key {\"key\":\"" + arn_ + "\"," + what + "}");
  };
  for (const char* state : {"Disabled", "PendingDeletion", "PendingImport"}) {
    set(std::string(R"("state":")") + state + "\"");
    EXPECT_CODE(kms.decrypt(arn_, blob.value(), context_), Errc::kUnavailable) << state;
    EXPECT_CODE(kms.encrypt(arn_, Bytes(32), context_), Errc::kUnavailable) << state;
    EXPECT_CODE(check_key(kms.describe_key().value()), Errc::kUnavailable) << state;
    EXPECT_NE(std::string(check_key(kms.describe_key().value()).hint()), "");
  }
  set(R"("state":"Enabled")");
  EXPECT_OK(kms.decrypt(arn_, blob.value(), context_));  // control
  set(R"("usage":"SIGN_VERIFY","spec":"RSA_2048")");
  EXPECT_CODE(check_key(kms.describe_key().value()), Errc::kInvalidArgument);
  EXPECT_CODE(kms.encrypt(arn_, Bytes(32), context_), Errc::kInvalidArgument);
}

TEST_F(KmsClientTest, CredentialsThatDoNotServe) {
  EXPECT_OK(describe(config()));  // control
  const auto with = [&](const std::string& how) {
    kms_.command("credentials {\"file\":\"c\"," + how + "}");
    return describe(config(), "c");
  };
  EXPECT_CODE(with(R"("key_id":"AKIDTEST","secret":"wrong","known":false)"), Errc::kDenied);
  EXPECT_CODE(with(R"("key_id":"AKIDNONE","secret":"wrong","known":false)"), Errc::kDenied);
  EXPECT_OK(with(R"("key_id":"ASIATEST","secret":"s","token":"FwoGZXIvYXdzE/==")"));
  const Status wrong_token =
      with(R"("key_id":"ASIATEST","secret":"s","token":"another","known":false)");
  EXPECT_CODE(wrong_token, Errc::kDenied);
  kms_.command(R"(expire ["ASIATEST"])");
  const Status expired = with(R"("key_id":"ASIATEST","secret":"s","token":"FwoGZXIvYXdzE/==")");
  EXPECT_CODE(expired, Errc::kDenied);
  EXPECT_NE(std::string(expired.message()).find("expired"), std::string::npos);
  EXPECT_CODE(describe(config(), "missing"), Errc::kNotFound);
  EXPECT_CODE(describe(config(), "."), Errc::kDenied);
  kms_.write_file("long", std::string(70'000, '#'));
  EXPECT_CODE(describe(config(), "long"), Errc::kInvalidArgument);
  const std::string open_to_all = kms_.command(R"(credentials ["open","AKIDOPEN","s"])");
  EXPECT_OK(describe(config(), "open"));
  ASSERT_EQ(chmod(open_to_all.c_str(), 0644), 0);
  EXPECT_CODE(describe(config(), "open"), Errc::kDenied);
  kms_.command(R"(deny ["DescribeKey"])");
  EXPECT_CODE(describe(config()), Errc::kDenied);
}

TEST_F(KmsClientTest, AClockThatIsOffIsNamed) {
  for (const char* offset : {"3600", "-3600"}) {
    kms_.command("clock [" + std::string(offset) + "]");
    const Status status = describe(config());
    EXPECT_CODE(status, Errc::kDenied);
    EXPECT_NE(std::string(status.message()).find("clock"), std::string::npos);
  }
  kms_.command("clock [200]");
  EXPECT_OK(describe(config()));  // control
}

TEST_F(KmsClientTest, AnotherRegionsSignatureIsRefused) {
  AwsKmsConfig elsewhere = config();
  elsewhere.region = "us-test-1";
  elsewhere.key_id = "alias/a";
  EXPECT_CODE(describe(elsewhere), Errc::kDenied);
}

// ---- answers that are no answers ----

TEST_F(KmsClientTest, BrokenConnectionsAreTriedAgain) {
  AwsKmsConfig hurried = config();
  for (const char* how :
       {R"("truncate":0)", R"("truncate":30)", R"("close":true)", R"("slow":20)"}) {
    hurried.request_timeout = milliseconds(std::string(how) == R"("slow":20)" ? 150 : 10'000);
    const int before = num_calls("DescribeKey");
    kms_.fail(how);
    EXPECT_OK(describe(hurried)) << how;
    EXPECT_EQ(num_calls("DescribeKey") - before, 2) << how;
  }
  hurried.request_timeout = milliseconds(60);
  hurried.retry_limit = milliseconds(150);
  kms_.fail(R"("slow":20)", 100);
  const Status status = describe(hurried);
  EXPECT_CODE(status, Errc::kUnavailable);
  EXPECT_NE(status.describe().find("in time"), std::string::npos) << status.describe();
}

TEST_F(KmsClientTest, AnswersOfSomethingElseAreNotBelieved) {
  for (const char* how :
       {R"("raw":"<html>Sign in</html>","type":"text/html")", R"("raw":"")", R"("raw":"[]")",
        R"("raw":"{\"KeyMetadata\":{")", R"("raw":"{}")", R"("replace":{"KeyMetadata":{}})",
        R"("replace":{"KeyMetadata":"arn"})", R"("pad":70000)",
        R"("status":302,"location":"https://127.0.0.1:1/","raw":"")",
        R"("status":403,"raw":"<html>Forbidden</html>")", R"("status":204,"raw":"")"}) {
    kms_.fail(how);
    Status status;
    EXPECT_EQ(num_tries_of(&status), 1) << how;
    EXPECT_CODE(status, Errc::kUnsupported) << how;
  }
  kms_.fail(R"("pad":60000)");  // control: long, but not too long
  EXPECT_OK(describe(config()));
}

TEST_F(KmsClientTest, AnswersForAnotherKeyAreRefused) {
  const std::string other = kms_.create_key();
  KmsClient kms = client();
  const auto blob = kms.encrypt(arn_, Bytes(32), context_);
  ASSERT_OK(blob);
  kms_.fail(R"("action":"DescribeKey","replace":{"KeyMetadata":{"Arn":")" + other + "\"}}");
  EXPECT_CODE(kms.describe_key(), Errc::kRefused);
  for (const std::string& key : {"\"" + other + "\"", std::string("null"), std::string("[]")}) {
    kms_.fail("\"replace\":{\"KeyId\":" + key + "}", 2);
    EXPECT_CODE(kms.encrypt(arn_, Bytes(32), context_), Errc::kRefused) << key;
    EXPECT_CODE(kms.decrypt(arn_, blob.value(), context_), Errc::kRefused) << key;
  }
}

TEST_F(KmsClientTest, AnswersWithoutTheirPayloadAreRefused) {
  KmsClient kms = client();
  const auto blob = kms.encrypt(arn_, Bytes(32, 255), context_);
  ASSERT_OK(blob);
  for (const char* payload : {"null", "\"\"", "\"A\"", "\"====\"", "\"AA\\nAA\"", "7", "{}"}) {
    const std::string value(payload);
    kms_.fail(R"("replace":{"CiphertextBlob":)" + value + R"(,"Plaintext":)" + value + "}", 2);
    EXPECT_CODE(kms.encrypt(arn_, Bytes(32), context_), Errc::kUnsupported) << value;
    EXPECT_CODE(kms.decrypt(arn_, blob.value(), context_), Errc::kUnsupported) << value;
  }
  kms_.fail(R"("escape":true)", 2);  // other ways to write the same are the same
  const auto escaped = kms.encrypt(arn_, Bytes(32, 255), context_);
  ASSERT_OK(escaped);
  const auto opened = kms.decrypt(arn_, escaped.value(), context_);
  ASSERT_OK(opened);
  EXPECT_TRUE(secrets_equal(opened->expose_secret(), Bytes(32, 255)));
}

// ---- the way there ----

TEST_F(KmsClientTest, OnlyTheRightCertificateIsTrusted) {
  EXPECT_OK(describe(config()));  // control
  const int before = num_calls("DescribeKey");
  AwsKmsConfig other = config();
  other.ca_file = kms_.path("other-ca.pem");
  EXPECT_CODE(describe(other), Errc::kRefused);
  other.ca_file.clear();  // the system's
  EXPECT_CODE(describe(other), Errc::kRefused);
  other = config();  // the right CA, but a name that the certificate is not for
  other.endpoint.replace(other.endpoint.find("127.0.0.1"), 9, "localhost");
  EXPECT_CODE(describe(other), Errc::kRefused);
  other = config();
  other.ca_file = kms_.path("missing.pem");
  EXPECT_CODE(describe(other), Errc::kNotFound);
  EXPECT_EQ(num_calls("DescribeKey"), before);  // nothing was sent to any of them
}

TEST_F(KmsClientTest, NobodyThereIsUnavailable) {
  AwsKmsConfig nobody = config();
  nobody.retry_limit = milliseconds(50);
  nobody.endpoint = "https://127.0.0.1:1";
  EXPECT_CODE(describe(nobody), Errc::kUnavailable);
  nobody.endpoint = "https://kms.invalid";  // RFC 6761: never resolves
  EXPECT_CODE(describe(nobody), Errc::kUnavailable);
  // Somebody, but without TLS.
  nobody.endpoint = "https://127.0.0.1:" + kms_.command(R"(start_proxy ["user","pass"])");
  const Status status = describe(nobody);
  EXPECT_CODE(status, Errc::kUnavailable);
  EXPECT_NE(status.describe().find("no TLS"), std::string::npos) << status.describe();
}

TEST_F(KmsClientTest, ProxyIsTheConfigsAndNeverTheEnvironments) {
  const std::string proxy = "http://127.0.0.1:" + kms_.command(R"(start_proxy ["user","pass"])");
  setenv("https_proxy", "http://127.0.0.1:1", 1);  // NOLINT(concurrency-mt-unsafe)
  setenv("HTTPS_PROXY", "http://127.0.0.1:1", 1);  // NOLINT(concurrency-mt-unsafe)
  EXPECT_OK(describe(config()));
  kms_.command(R"(credentials {"file":"t","key_id":"ASIA","secret":"s","token":"TOKEN"})");
  AwsKmsConfig through = config();
  through.proxy = proxy;
  EXPECT_CODE(describe(through, "t"), Errc::kUnavailable);  // 407
  auto credentials = credentials_from_file(kms_.path("t"), "default")();
  ASSERT_OK(credentials);
  credentials->proxy_user = "user";
  credentials->proxy_password = SecretBuffer::copy_of(as_bytes("pass")).value();
  KmsClient kms(through, credentials_from_memory(std::move(credentials).value()));
  EXPECT_OK(kms.describe_key());
  const std::string seen = kms_.command("proxy_headers");
  EXPECT_NE(seen.find("Proxy-Authorization"), std::string::npos) << seen;  // control
  EXPECT_EQ(seen.find("TOKEN"), std::string::npos) << "the proxy is not told the session token";
  EXPECT_EQ(seen.find("AWS4"), std::string::npos);
  unsetenv("https_proxy");  // NOLINT(concurrency-mt-unsafe)
  unsetenv("HTTPS_PROXY");  // NOLINT(concurrency-mt-unsafe)
}

TEST_F(KmsClientTest, AFileForTlsKeysIsRefused) {
  const std::string file = kms_.path("keys.log");
  setenv("SSLKEYLOGFILE", file.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  EXPECT_CODE(describe(config()), Errc::kRefused);
  EXPECT_NE(access(file.c_str(), F_OK), 0);
  unsetenv("SSLKEYLOGFILE");  // NOLINT(concurrency-mt-unsafe)
  EXPECT_OK(describe(config()));
}

}  // namespace
}  // namespace rewrap
