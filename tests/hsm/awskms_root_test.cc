// The AWS KMS root beyond what every root does: interoperation with awscli, what is bound to a
// ciphertext, which key is used, what stays in memory.
#include <gtest/gtest.h>

#include "hsm/awskms/awskms_root.h"
#include "hsm/secret_file.h"
#include "tests/hsm/awskms_fixture.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/memory_search.h"

namespace rewrap {
namespace {

std::string text_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

class AwsKmsRootTest : public testing::Test {
 protected:
  void SetUp() override { kms_.command("reset"); }

  [[nodiscard]] std::unique_ptr<Root> open_it(const std::string& uri) const {
    auto root = open_root(uri, {});
    EXPECT_OK(root);
    return std::move(root).value();
  }

  test::KmsServer& kms_ = test::KmsServer::shared();
  const std::string arn_ = kms_.create_key();
  const std::string uri_ = kms_.uri(arn_);
  const Bytes context_ = {0xab, 0x01};
};

// What we encrypt awscli opens, and the other way round, under the context that we document.
TEST_F(AwsKmsRootTest, AwscliOpensOursAndWeOpenItsOwn) {
  const auto kek = SecretBuffer::copy_of(as_bytes("0123456789abcdef"));
  ASSERT_OK(kek);
  const auto root = open_it(uri_ + "&encryption-context=department=storage");
  const auto ours = root->protect(kek.value(), context_);
  ASSERT_OK(ours);
  EXPECT_EQ(ours->key_ref, arn_);
  const std::string context = "rewrap-context=0xab01,department=storage";
  const std::string blob = kms_.write_file("blob", text_of(ours->blob));
  EXPECT_EQ(kms_.aws({"decrypt", "--ciphertext-blob", "fileb://" + blob, "--encryption-context",
                      context, "--query", "Plaintext"}),
            encode_base64(as_bytes("0123456789abcdef")));
  const std::string plain = kms_.write_file("plain", "fedcba9876543210");
  Protector theirs = ours.value();
  ASSERT_TRUE(
      decode_base64(kms_.aws({"encrypt", "--key-id", arn_, "--plaintext", "fileb://" + plain,
                              "--encryption-context", context, "--query", "CiphertextBlob"}),
                    &theirs.blob));
  theirs.check = check_value(as_bytes("fedcba9876543210"), theirs, context_).value();
  const auto opened = root->open(theirs, context_);
  ASSERT_OK(opened);
  EXPECT_EQ(text_of(opened->expose_secret()), "fedcba9876543210");
}

TEST_F(AwsKmsRootTest, EveryRequestNamesTheKeyAndTheContext) {
  const auto root = open_it(uri_ + "&encryption-context=a=b%20c");
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  const std::string decrypt = kms_.command("last_request");
  EXPECT_NE(decrypt.find(R"(\"KeyId\":\")" + arn_), std::string::npos) << decrypt;
  EXPECT_NE(decrypt.find(R"(\"EncryptionContext\":{\"a\":\"b c\",\"rewrap-context\":\"0xab01\"})"),
            std::string::npos)
      << decrypt;
  EXPECT_EQ(kms_.count(R"(num_calls ["DescribeKey"])"), 1);
  EXPECT_EQ(kms_.count(R"(num_calls ["Encrypt"])"), 1);
  EXPECT_EQ(kms_.count(R"(num_calls ["Decrypt"])"), 1);  // it was opened before it was given out
}

// KMS itself refuses another context: the check value is not what saves us.
TEST_F(AwsKmsRootTest, TheOperatorsPairsAreBoundToo) {
  const auto made = open_it(uri_ + "&encryption-context=a=1")->create(32, context_);
  ASSERT_OK(made);
  for (const char* pairs : {"", "&encryption-context=a=2", "&encryption-context=a=1,b=1"}) {
    EXPECT_CODE(open_it(uri_ + pairs)->open(made->protector, context_), Errc::kCorruption);
  }
  EXPECT_OK(open_it(uri_ + "&encryption-context=a=1")->open(made->protector, context_));
  EXPECT_CODE(open_it(uri_)->create(32, Bytes(1025)), Errc::kInvalidArgument);
}

TEST_F(AwsKmsRootTest, KeysAreFoundByEveryNameAndNoneIsGuessed) {
  kms_.command("set_alias {\"name\":\"alias/a/b\",\"key\":\"" + arn_ + "\"}");
  const std::string id = arn_.substr(arn_.rfind('/') + 1);
  const std::string prefix = arn_.substr(0, arn_.rfind(':') + 1);
  const auto made = open_it(uri_)->create(32, context_);
  ASSERT_OK(made);
  for (const std::string& name : {id, std::string("alias/a/b"), prefix + "alias/a/b"})
    EXPECT_OK(open_it(kms_.uri(name))->open(made->protector, context_)) << name;
  EXPECT_CODE(open_root(kms_.uri("alias/c"), {}), Errc::kNotFound);
  EXPECT_CODE(open_root(kms_.uri(id.substr(1)), {}), Errc::kNotFound);
  const std::string no_key = "awskms:" + kms_.uri("").substr(7);
  EXPECT_CODE(open_root(no_key, {}), Errc::kInvalidArgument);
}

TEST_F(AwsKmsRootTest, DisabledKeyIsUnavailableUntilItIsEnabled) {
  const auto made = open_it(uri_)->create(32, context_);
  ASSERT_OK(made);
  const auto root = open_it(uri_);
  const auto set_state = [&](const std::string& state) {
    kms_.command("set_key {\"key\":\"" + arn_ + R"(","state":")" + state + "\"}");
  };
  set_state("Disabled");
  const auto refused = root->open(made->protector, context_);
  EXPECT_CODE(refused, Errc::kUnavailable);
  EXPECT_NE(std::string(refused.status().hint()).find("enable-key"), std::string::npos);
  EXPECT_CODE(open_root(uri_, {}), Errc::kUnavailable);
  set_state("PendingDeletion");
  EXPECT_NE(std::string(open_root(uri_, {}).status().hint()).find("cancel-key-deletion"),
            std::string::npos);
  set_state("Enabled");
  EXPECT_OK(root->open(made->protector, context_));
  EXPECT_OK(root->destroy(made->protector));  // leaves the key as it is: others may use it
  EXPECT_OK(open_it(uri_)->open(made->protector, context_));
}

// A KMS that gives another KEK back is caught when the protector is made, and when it is opened.
TEST_F(AwsKmsRootTest, AnotherPlaintextIsNeverTakenForTheKek) {
  const auto root = open_it(uri_);
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  for (const std::size_t len : {1U, 16U, 32U, 4096U}) {
    kms_.fail(
        R"("action":"Decrypt","replace":{"Plaintext":")" + encode_base64(Bytes(len, 5)) + "\"}", 2);
    EXPECT_CODE(root->open(made->protector, context_), Errc::kCorruption) << len;
    EXPECT_CODE(root->create(32, context_), Errc::kUnavailable) << len;
  }
  kms_.fail(R"("action":"Encrypt","replace":{"CiphertextBlob":"AAAA"})");
  EXPECT_CODE(root->create(32, context_), Errc::kUnavailable);
  EXPECT_OK(root->open(made->protector, context_));  // control
}

// The record says our key, the blob is another's: exchanged, and KMS says so.
TEST_F(AwsKmsRootTest, BlobOfAnotherKeyIsCorruption) {
  const auto root = open_it(uri_);
  auto made = root->create(32, context_);
  const auto other = open_it(kms_.uri(kms_.create_key()))->create(32, context_);
  ASSERT_OK(made);
  ASSERT_OK(other);
  EXPECT_CODE(root->open(other->protector, context_), Errc::kDenied);  // an honest stranger
  made->protector.blob = other->protector.blob;
  EXPECT_CODE(root->open(made->protector, context_), Errc::kCorruption);
}

// Bytes of an answer changed at random, whatever they are: an error or the right KEK, nothing else.
TEST_F(AwsKmsRootTest, GarbledAnswersGiveAnErrorOrTheRightKek) {
  const auto root = open_it(uri_);
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  constexpr int kTimes = 40;
  kms_.fail(R"("garble":1)", kTimes);
  int num_errors = 0;
  for (int i = 0; i < kTimes; ++i) {
    const auto opened = root->open(made->protector, context_);
    num_errors += opened.ok() ? 0 : 1;
    if (!opened.ok()) continue;
    EXPECT_TRUE(secrets_equal(opened->expose_secret(), made->kek.expose_secret()));
  }
  EXPECT_GT(num_errors, 0);  // control: it did garble
  EXPECT_OK(root->open(made->protector, context_));
}

// Credentials are read for each request, so a renewed token is used at once.
TEST_F(AwsKmsRootTest, RenewedCredentialsAreUsedAtOnce) {
  const auto temporary = [&](const std::string& key, const std::string& token) {
    kms_.command(R"(credentials {"file":"c","key_id":")" + key + R"(","secret":"s","token":")" +
                 token + "\"}");
  };
  temporary("ASIA1", "one");
  const auto root = open_it(kms_.uri(arn_, "", "c"));
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  kms_.command(R"(expire ["ASIA1"])");
  EXPECT_CODE(root->open(made->protector, context_), Errc::kDenied);
  temporary("ASIA2", "two");
  EXPECT_OK(root->open(made->protector, context_));
}

// A program that keeps its settings elsewhere needs no files.
TEST_F(AwsKmsRootTest, IsMadeFromAConfigAndCredentialsInMemory) {
  AwsKmsConfig config;
  config.key_id = arn_;
  config.region = test::kKmsRegion;
  config.endpoint = kms_.endpoint();
  config.ca_file = kms_.path("ca.pem");
  config.encryption_context = {{"a", "1"}};
  auto credentials = credentials_from_file(kms_.path("credentials"), "default")();
  ASSERT_OK(credentials);
  const auto source = credentials_from_memory(std::move(credentials).value());
  const auto root = make_awskms_root("awskms:" + arn_, config, source, KmsKeyNeed::kUsable);
  ASSERT_OK(root);
  const auto made = root.value()->create(32, context_);
  ASSERT_OK(made);
  EXPECT_EQ(made->protector.root_uri, "awskms:" + arn_);
  EXPECT_OK(open_it(uri_ + "&encryption-context=a=1")->open(made->protector, context_));
  config.key_id.clear();
  EXPECT_CODE(make_awskms_root("awskms:", config, source, KmsKeyNeed::kNone),
              Errc::kInvalidArgument);
}

TEST_F(AwsKmsRootTest, ThereIsNothingToMakeOrToFlush) {
  const Status status = create_root_key(uri_, {});
  EXPECT_CODE(status, Errc::kUnsupported);
  EXPECT_NE(std::string(status.hint()).find("aws kms create-key"), std::string::npos);
  EXPECT_CODE(flush_root(uri_), Errc::kUnsupported);
}

TEST_F(AwsKmsRootTest, ProbeTellsWhatIsMissing) {
  const auto probe = [&](const std::string& uri) {
    const auto root = open_root_for_probe(uri, {});
    EXPECT_OK(root);
    return root.value()->probe().value();
  };
  const auto works = [](const RootReport& report, const std::string& name) {
    for (const Capability& capability : report.capabilities) {
      if (capability.name == name) return capability.works;
    }
    ADD_FAILURE() << "no line " << name;
    return false;
  };
  EXPECT_TRUE(works(probe(uri_), "Decrypt refuses another encryption context"));
  kms_.command(R"(deny ["Decrypt"])");
  const RootReport denied = probe(uri_);
  EXPECT_TRUE(works(denied, "Encrypt"));
  EXPECT_FALSE(works(denied, "Decrypt"));
  EXPECT_FALSE(denied.custody.at(0).works);
  kms_.command("deny []");
  kms_.command("set_key {\"key\":\"" + arn_ + R"(","state":"Disabled"})");
  EXPECT_FALSE(works(probe(uri_), "key is fit for use"));
  const RootReport none = probe(kms_.uri("alias/none"));
  EXPECT_FALSE(works(none, "DescribeKey"));
  EXPECT_EQ(none.key_ref, "");
}

// ---- what stays in memory ----

// SecretForms is one secret in the forms in which a copy may lie about, masked for the search.
struct SecretForms {
  explicit SecretForms(ByteView secret) : raw(test::masked(secret)) {
    std::string text = encode_base64(secret);
    base64 = test::masked(as_bytes(text));
    wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  }
  [[nodiscard]] std::size_t count() const {
    return test::count_in_process(raw) + test::count_in_process(base64);
  }
  Bytes raw;
  Bytes base64;
};

TEST_F(AwsKmsRootTest, NoKekAndNoAccessKeyStaysInMemory) {
  Bytes secret;
  Bytes token;
  kms_.command(R"(random_credentials ["r"])");
  {
    auto credentials = credentials_from_file(kms_.path("r"), "default")();
    ASSERT_OK(credentials);
    const AwsCredentials& read = credentials.value();
    secret = test::masked(read.secret_access_key.expose_secret());
    token = test::masked(read.session_token.expose_secret());
    EXPECT_GE(test::count_in_process(secret), 1U) << "control: the search finds what is there";
    EXPECT_GE(test::count_in_process(token), 1U);
  }
  const auto root = open_it(kms_.uri(arn_, "", "r"));
  Protector protector;
  Bytes kek;
  {
    const auto made = root->create(32, context_);
    ASSERT_OK(made);
    const SecretForms forms(made->kek.expose_secret());
    EXPECT_EQ(forms.count(), 1U) << "control: the KEK that is out, and nothing else";
    protector = made->protector;
    kek = forms.raw;
  }
  { ASSERT_OK(root->open(protector, context_)); }
  EXPECT_EQ(test::count_in_process(kek), 0U);
  EXPECT_EQ(test::count_in_process(secret), 0U);
  EXPECT_EQ(test::count_in_process(token), 0U);
}

}  // namespace
}  // namespace rewrap
