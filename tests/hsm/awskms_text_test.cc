// The parts of the AWS KMS root that need no KMS: URIs, credentials files, JSON, base64, error names.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "hsm/awskms/credentials.h"
#include "hsm/awskms/error.h"
#include "hsm/awskms/json.h"
#include "hsm/awskms/secret_text.h"
#include "hsm/awskms/uri.h"
#include "tests/hsm/expect_code.h"

namespace rewrap {
namespace {

constexpr char kArn[] = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234";

std::string text_of(const SecretBuffer& secret) {
  const ByteView bytes = secret.expose_secret();
  return {bytes.begin(), bytes.end()};
}

// ---- URIs ----

const std::string kCredentials = "credentials=file:/etc/rewrap/aws";

TEST(AwsKmsUri, ReadsEveryAttribute) {
  const auto uri = parse_awskms_uri(
      "awskms:alias/rewrap?region=eu-central-1&" + kCredentials +
      "&profile=prod&endpoint=https://vpce-1.kms.eu-central-1.vpce.amazonaws.com:8443"
      "&ca=file:/etc/ca.pem&proxy=http://proxy:3128&timeout=5"
      "&encryption-context=department=storage,purpose=a%20b");
  ASSERT_OK(uri);
  const AwsKmsConfig& config = uri->config;
  EXPECT_EQ(config.key_id, "alias/rewrap");
  EXPECT_EQ(config.region, "eu-central-1");
  EXPECT_EQ(endpoint_of(config), "https://vpce-1.kms.eu-central-1.vpce.amazonaws.com:8443");
  EXPECT_EQ(config.ca_file, "/etc/ca.pem");
  EXPECT_EQ(config.proxy, "http://proxy:3128");
  EXPECT_EQ(config.request_timeout, std::chrono::seconds(5));
  EXPECT_EQ(config.encryption_context,
            (EncryptionContext{{"department", "storage"}, {"purpose", "a b"}}));
  EXPECT_EQ(uri->credentials_file, "/etc/rewrap/aws");
  EXPECT_EQ(uri->profile, "prod");
}

TEST(AwsKmsUri, AnArnSaysItsRegion) {
  const auto uri = parse_awskms_uri("awskms:" + std::string(kArn) + "?" + kCredentials);
  ASSERT_OK(uri);
  EXPECT_EQ(uri->config.region, "eu-central-1");
  EXPECT_EQ(endpoint_of(uri->config), "https://kms.eu-central-1.amazonaws.com");
  EXPECT_EQ(uri->profile, "default");
  const auto china =
      parse_awskms_uri("awskms:arn:aws-cn:kms:cn-north-1:111122223333:alias/a?" + kCredentials);
  ASSERT_OK(china);
  EXPECT_EQ(endpoint_of(china->config), "https://kms.cn-north-1.amazonaws.com.cn");
}

TEST(AwsKmsUri, CredentialsOfTheServiceManager) {
  unsetenv("CREDENTIALS_DIRECTORY");  // NOLINT(concurrency-mt-unsafe)
  const std::string uri = "awskms:" + std::string(kArn) + "?credentials=credential:aws";
  EXPECT_CODE(parse_awskms_uri(uri), Errc::kNotFound);
  setenv("CREDENTIALS_DIRECTORY", "/run/credentials/a", 1);  // NOLINT(concurrency-mt-unsafe)
  EXPECT_EQ(parse_awskms_uri(uri).value().credentials_file, "/run/credentials/a/aws");
}

TEST(AwsKmsUri, RefusesWhatItDoesNotKnow) {
  const std::string arn = "awskms:" + std::string(kArn) + "?" + kCredentials;
  EXPECT_OK(parse_awskms_uri(arn));  // control
  for (const std::string& uri : {
           std::string("awskms:"),
           "awskms:" + std::string(kArn),          // no credentials
           "awskms:alias/a?" + kCredentials,       // no region
           "awskms:?region=eu-1&" + kCredentials,  // no key: none is guessed
           "awskms:a b?region=eu-1&" + kCredentials,
           "awskms:a%20b?region=eu-1&" + kCredentials,
           "awskms:alias/?region=eu-1&" + kCredentials,
           "awskms:key/a?region=eu-1&" + kCredentials,
           "awskms:arn:aws:s3:eu-1:111122223333:key/a?" + kCredentials,
           "awskms:arn:aws:kms:eu-1:111122223333:a?" + kCredentials,
           "awskms:arn:aws:kms:eu-1:key/a?" + kCredentials,
           arn + "&region=eu-west-1",  // another one than the ARN's
           arn + "&region=eu-central-1&region=eu-central-1",
           arn + "&region=EU",
           arn + "&endpoint=http://127.0.0.1",  // a KEK in clear
           arn + "&endpoint=https://host/path",
           arn + "&endpoint=https://user:word@host",
           arn + "&endpoint=https://host:123456",
           arn + "&endpoint=https://host:",
           arn + "&endpoint=https://[::1]8443",
           arn + "&endpoint=",
           arn + "&ca=/etc/ca.pem",
           arn + "&ca=file:ca.pem",
           arn + "&proxy=socks5://host:1",
           arn + "&proxy=http://user:word@host:1",
           arn + "&timeout=0",
           arn + "&timeout=301",
           arn + "&timeout=5s",
           arn + "&encryption-context=a",
           arn + "&encryption-context=a=1,a=2",
           arn + "&encryption-context==1",
           arn + "&encryption-context=a=%22",
           arn + "&encryption-context=rewrap-context=1",
           arn + "&encryption-context=aws:a=1",
           arn + "&verify=false",  // there is no such switch
           arn + "&a%3db",
           arn + "&profile=%4",
           arn + "&",
           arn + "#a",
       }) {
    const auto parsed = parse_awskms_uri(uri);
    EXPECT_CODE(parsed, Errc::kInvalidArgument) << uri;
  }
  EXPECT_OK(parse_awskms_uri(arn + "&endpoint=https://[::1]:8443"));
}

TEST(AwsKmsUri, AccessKeysInTheUriAreRefusedByName) {
  for (const char* name : {"secret-access-key", "aws_secret_access_key", "session-token",
                           "access_key_id", "proxy-password"}) {
    const auto uri =
        parse_awskms_uri("awskms:" + std::string(kArn) + "?" + kCredentials + "&" + name + "=x");
    EXPECT_CODE(uri, Errc::kInvalidArgument);
    EXPECT_NE(std::string(uri.status().message()).find("access key"), std::string::npos) << name;
  }
}

TEST(AwsKmsConfig, ArnsAreComparedWithWhatWasAskedFor) {
  const std::string arn = kArn;
  EXPECT_TRUE(is_key_arn(arn, "eu-central-1"));
  EXPECT_FALSE(is_key_arn(arn, "eu-west-1"));
  EXPECT_FALSE(is_key_arn("arn:aws:kms:eu-central-1:111122223333:alias/a", "eu-central-1"));
  EXPECT_TRUE(is_arn_of(arn, arn));
  EXPECT_TRUE(is_arn_of(arn, "1234abcd-12ab-34cd-56ef-1234"));
  EXPECT_TRUE(is_arn_of(arn, "alias/anything"));
  EXPECT_FALSE(is_arn_of(arn, "34cd-56ef-1234"));
  EXPECT_FALSE(is_arn_of(arn, arn + "5"));
}

// ---- credentials ----

Result<AwsCredentials> parse(const std::string& text, const std::string& profile = "default") {
  return parse_credentials(as_bytes(text), profile);
}

TEST(AwsCredentials, ReadsTheSectionThatIsAskedFor) {
  const std::string file =
      "# comment\r\n[other]\naws_access_key_id=AKIDOTHER\naws_secret_access_key=other\n\n"
      "[ default ]\r\nregion = eu\n aws_access_key_id = AKID\r\naws_secret_access_key\t=\tab/c+d=\n"
      "; aws_session_token = no\n[third]\naws_session_token=third\n";
  const auto found = parse(file);
  ASSERT_OK(found);
  EXPECT_EQ(found->access_key_id, "AKID");
  EXPECT_EQ(text_of(found->secret_access_key), "ab/c+d=");
  EXPECT_TRUE(found->session_token.empty());
  EXPECT_EQ(parse(file, "other").value().access_key_id, "AKIDOTHER");
  EXPECT_CODE(parse(file, "third"), Errc::kInvalidArgument);
  EXPECT_CODE(parse(file, "fourth"), Errc::kNotFound);
  const auto temporary =
      parse("[default]\naws_access_key_id=A\naws_secret_access_key=s\naws_session_token=Fwo//x==");
  ASSERT_OK(temporary);
  EXPECT_EQ(text_of(temporary->session_token), "Fwo//x==");
}

TEST(AwsCredentials, RefusesWhatCannotBeOne) {
  const std::string id = "[default]\naws_access_key_id=A\n";
  const std::string secret = "aws_secret_access_key=s\n";
  EXPECT_OK(parse(id + secret));  // control
  EXPECT_CODE(parse(""), Errc::kNotFound);
  for (const std::string& text :
       {id, "[default]\n" + secret, id + secret + secret, id + secret + "[default]\n",
        id + "aws_secret_access_key=a b\n", id + "aws_secret_access_key=a\x01\n",
        id + "aws_secret_access_key=" + std::string(257, 'a'),
        id + secret + "aws_session_token=" + std::string(8193, 'a'),
        "[default]\naws_access_key_id=A/B\n" + secret,
        "[default]\naws_access_key_id=" + std::string(129, 'A') + "\n" + secret,
        "[default]\ncredential_process=/bin/key\n" + std::string()}) {
    EXPECT_CODE(parse(text), Errc::kInvalidArgument) << text;
  }
}

TEST(AwsCredentials, MemoryGivesTheSameEachTime) {
  auto credentials = parse("[default]\naws_access_key_id=A\naws_secret_access_key=s\n");
  ASSERT_OK(credentials);
  credentials->proxy_user = "p";
  const auto source = credentials_from_memory(std::move(credentials).value());
  for (int i = 0; i < 2; ++i) {
    const auto copy = source();
    ASSERT_OK(copy);
    EXPECT_EQ(copy->access_key_id + copy->proxy_user, "Ap");
    EXPECT_EQ(text_of(copy->secret_access_key), "s");
    EXPECT_TRUE(copy->session_token.empty() && copy->proxy_password.empty());
  }
}

// ---- JSON ----

TEST(KmsJson, FindsMembersAndUndoesEscapes) {
  const std::string text =
      " {\"a\" : \"x\\/y\\u002b\\\"\\\\\\n\",\"n\":[1,-0.5e+7,{\"a\":\"inner\"},[]],\r\n"
      "\"o\":{\"a\":\"b\",\"e\":{}},\"t\":true,\"f\":false,\"z\":null,\"empty\":\"\"} ";
  const auto object = JsonObject::parse(as_bytes(text));
  ASSERT_TRUE(object.has_value());
  EXPECT_EQ(object->text("a"), "x/y+\"\\\n");
  EXPECT_EQ(text_of(object->secret("a").value()), "x/y+\"\\\n");
  EXPECT_EQ(object->object("o")->text("a"), "b");
  EXPECT_TRUE(object->object("o")->object("e").has_value());
  EXPECT_FALSE(object->object("o")->object("e")->text("a").has_value());
  EXPECT_EQ(object->text("empty"), "");
  EXPECT_CODE(object->secret("empty"), Errc::kNotFound);
  for (const char* name : {"t", "n", "o", "z", "b", ""}) {
    EXPECT_FALSE(object->text(name).has_value()) << name;
    EXPECT_CODE(object->secret(name), Errc::kNotFound);
  }
  EXPECT_FALSE(object->object("a").has_value());
}

TEST(KmsJson, ANameThatIsThereTwiceIsNotFound) {
  const std::string text = R"({"Plaintext":"YQ==","Plaintext":"Yg==","KeyId":"k"})";
  const auto object = JsonObject::parse(as_bytes(text));
  ASSERT_TRUE(object.has_value());
  EXPECT_FALSE(object->string("Plaintext").has_value());
  EXPECT_EQ(object->text("KeyId"), "k");
}

TEST(KmsJson, RefusesWhatIsNotOneObject) {
  const std::string deep = std::string(40, '[') + std::string(40, ']');
  for (const std::string& text : {std::string(),
                                  std::string("null"),
                                  std::string("[]"),
                                  std::string("\"a\""),
                                  std::string("{"),
                                  std::string("{}{}"),
                                  std::string("{\"a\"}"),
                                  std::string("{\"a\":}"),
                                  std::string("{\"a\":1,}"),
                                  std::string("{,}"),
                                  std::string("{\"a\":01}"),
                                  std::string("{\"a\":-}"),
                                  std::string("{\"a\":1.}"),
                                  std::string("{\"a\":1e}"),
                                  std::string("{\"a\":tru}"),
                                  std::string("{a:1}"),
                                  std::string("{'a':1}"),
                                  std::string("{\"a\":\"\\x\"}"),
                                  std::string("{\"a\":\"\\u12g4\"}"),
                                  std::string("{\"a\":\"\\u12"),
                                  std::string("{\"a\":\"\\"),
                                  std::string("{\"a\":\"b}"),
                                  std::string("{\"a\":\"\n\"}"),
                                  std::string("{\"a\":1 \"b\":2}"),
                                  std::string("{\"a\":[1,]}"),
                                  std::string("{\"a\":[1 2]}"),
                                  "{\"a\":" + deep + "}",
                                  std::string("<html></html>")}) {
    EXPECT_FALSE(JsonObject::parse(as_bytes(text)).has_value()) << text;
  }
  const auto foreign = JsonObject::parse(as_bytes("{\"a\":\"\xc3\xa4\",\"b\":\"\\u00e4\"}"));
  ASSERT_TRUE(foreign.has_value());
  EXPECT_FALSE(foreign->text("a").has_value());  // nothing that KMS names is outside ASCII
  EXPECT_FALSE(foreign->text("b").has_value());
}

// Every text cut short, and texts with bytes changed at random: no crash, nothing read outside.
TEST(KmsJson, DamagedTextsDoNoHarm) {
  const std::string text =
      R"({"KeyMetadata":{"Arn":"arn:aws:kms:a:1:key\/b","n":[1,2.5e3,null,{"x":"\u0041"}]},)"
      R"("KeyId":"k","Plaintext":"MDEyMw=="})";
  ASSERT_TRUE(JsonObject::parse(as_bytes(text)).has_value());
  for (std::size_t len = 0; len < text.size(); ++len) {
    const SecretBuffer exact =  // ends at a guard page
        len == 0 ? SecretBuffer() : SecretBuffer::copy_of(as_bytes(text).first(len)).value();
    EXPECT_FALSE(JsonObject::parse(exact.expose_secret()).has_value()) << len;
  }
  constexpr std::string_view kBytes = "{}[]\",:\\u0aeE+-.19 tfn\n\x80\xff";
  std::mt19937 random(5489);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same texts each time
  int num_parsed = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = text;
    for (unsigned n = random() % 4; n < 4; ++n)
      changed[random() % changed.size()] = kBytes[random() % kBytes.size()];
    const auto object = JsonObject::parse(as_bytes(changed));
    if (!object.has_value()) continue;
    ++num_parsed;
    const auto inner = object->object("KeyMetadata");
    if (inner.has_value()) static_cast<void>(inner->text("Arn"));
    static_cast<void>(object->secret("Plaintext"));
  }
  EXPECT_GT(num_parsed, 100);
}

// ---- base64 ----

std::string encode(ByteView bytes) {
  auto writer = SecretWriter::create(16384);
  EXPECT_OK(writer);
  writer->text("<");
  writer->base64(bytes);
  writer->text(">");
  const auto text = std::move(writer).value().take();
  EXPECT_OK(text);
  return text_of(text.value());
}

TEST(SecretBase64, AgreesWithTheOtherOne) {
  std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same bytes each time
  for (std::size_t len = 0; len < 200; ++len) {
    Bytes bytes(len);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    const std::string text = encode_base64(bytes);
    EXPECT_EQ(encode(bytes), "<" + text + ">");
    const auto back = decode_secret_base64(as_bytes(text));
    EXPECT_EQ(back.ok(), len > 0);
    EXPECT_EQ(back.ok() ? text_of(back.value()) : "", std::string(bytes.begin(), bytes.end()));
  }
}

// Every character in every place of a quantum, judged by the decoder that others test.
TEST(SecretBase64, RefusesWhatTheOtherOneRefuses) {
  const std::string right = "QUJDREVG";
  int num_right = 0;
  for (std::size_t place = 0; place < right.size(); ++place) {
    for (int c = 0; c < 256; ++c) {
      for (const char* tail : {"", "=", "=="}) {
        std::string text = right;
        text[place] = static_cast<char>(c);
        text.replace(text.size() - std::string(tail).size(), std::string(tail).size(), tail);
        Bytes expected;
        const bool is_right = decode_base64(text, &expected);
        num_right += is_right ? 1 : 0;
        const auto decoded = decode_secret_base64(as_bytes(text));
        EXPECT_EQ(decoded.ok(), is_right) << text;
        if (!is_right || !decoded.ok()) continue;
        EXPECT_EQ(text_of(decoded.value()), std::string(expected.begin(), expected.end()));
      }
    }
  }
  EXPECT_GT(num_right, 500);
  for (const char* text : {"", "A", "AA", "AAA", "AAAAA", "====", "A===", "AA=A", "=AAA"})
    EXPECT_CODE(decode_secret_base64(as_bytes(text)), Errc::kInvalidArgument) << text;
}

TEST(SecretWriter, SaysWhenItIsFull) {
  auto writer = SecretWriter::create(4);
  ASSERT_OK(writer);
  writer->base64(Bytes(4, 1));
  writer->text("a");
  EXPECT_CODE(std::move(writer).value().take(), Errc::kExhausted);
}

// ---- error names ----

TEST(KmsError, TakesTheNameOutOfItsWrapping) {
  for (const char* name : {"NotFoundException", "com.amazonaws.kms#NotFoundException",
                           "NotFoundException:http://internal.amazon.com/coral/"}) {
    const KmsFailure failure = judge_kms_error(name, 400, "Decrypt");
    EXPECT_CODE(failure.status, Errc::kNotFound);
    EXPECT_EQ(failure.status.describe(),
              "the KMS has no such key (Decrypt: NotFoundException, 400)");
  }
  EXPECT_CODE(judge_kms_error("NotFound", 400, "Decrypt").status, Errc::kUnsupported);
}

TEST(KmsError, WhatHasNoNameGoesByItsHttpStatus) {
  for (const int status : {301, 400, 403, 404}) {
    const KmsFailure failure = judge_kms_error("", status, "Decrypt");
    EXPECT_CODE(failure.status, Errc::kUnsupported);
    EXPECT_FALSE(failure.is_transient);
  }
  for (const int status : {429, 500, 502, 503, 504}) {
    const KmsFailure failure = judge_kms_error("SomethingNew", status, "Decrypt");
    EXPECT_CODE(failure.status, Errc::kUnavailable);
    EXPECT_TRUE(failure.is_transient);
  }
}

TEST(KmsError, ClockIsBlamedOnlyForSignatures) {
  const auto words = [](const char* name, std::int64_t kms_time) {
    const KmsFailure failure =
        judge_clock(judge_kms_error(name, 400, "Decrypt"), kms_time, 1'000'000);
    EXPECT_CODE(failure.status, Errc::kDenied);
    return std::string(failure.status.message());
  };
  const std::string clock = "this machine's clock and the KMS's are more than five minutes apart";
  EXPECT_EQ(words("InvalidSignatureException", 1'000'301), clock);
  EXPECT_EQ(words("SignatureDoesNotMatch", 999'699), clock);
  EXPECT_NE(words("InvalidSignatureException", 1'000'300), clock);
  EXPECT_NE(words("InvalidSignatureException", -1), clock);
  EXPECT_NE(words("AccessDeniedException", 2'000'000), clock);
}

}  // namespace
}  // namespace rewrap
