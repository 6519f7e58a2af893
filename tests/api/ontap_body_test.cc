// Bodies: what is taken, what is refused and with which code, and hostile ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "api/ontap/body.h"
#include "api/ontap/choices.h"
#include "api/ontap/resources.h"

namespace rewrap::ontap {
namespace {

std::int64_t parse_code(std::string_view text) {
  const auto body = Body::parse(text);
  return body.ok() ? 0 : body.status().code;
}

// check gives the code for a body of aws-kms.
std::int64_t check(std::string_view text, Change change) {
  const auto body = Body::parse(text);
  if (!body.ok()) return body.status().code;
  const auto error = check_body(aws_kms_fields(), body.value(), change);
  return error ? error->code : 0;
}

TEST(OntapBody, NothingAndAnEmptyObjectAreTheSame) {
  for (const char* text : {"", " \r\n", "{}", " { } \n", R"({"svm":{}})"}) {
    const auto body = Body::parse(text);
    ASSERT_TRUE(body.ok()) << text;
    EXPECT_TRUE(body.value().empty()) << text;
  }
}

TEST(OntapBody, ObjectsBecomeDottedPaths) {
  const auto body = Body::parse(
      R"({"a":"x","b":{"c":{"d":7,"e":true},"f":null},"g.h":"\u0041\n","i":-1,"j":1.5,
          "k":99999999999999999999,"l":18446744073709551615})");
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(body.value().text_of("a"), "x");
  EXPECT_EQ(body.value().find("b.c.d")->integer, 7);
  EXPECT_TRUE(body.value().find("b.c.e")->flag);
  EXPECT_EQ(body.value().find("b.f")->kind, BodyField::Kind::kNull);
  EXPECT_EQ(body.value().text_of("g.h"), "A\n");
  EXPECT_EQ(body.value().find("i")->integer, -1);
  for (const char* path : {"j", "k", "l"})
    EXPECT_EQ(body.value().find(path)->kind, BodyField::Kind::kNumber) << path;
  EXPECT_EQ(body.value().find("nothing"), nullptr);
}

TEST(OntapBody, DropsLinks) {
  const auto body = Body::parse(R"({"_links":{"self":{"href":"/x"}},"svm":{"_links":{"a":1}}})");
  ASSERT_TRUE(body.ok());
  EXPECT_TRUE(body.value().empty());
}

TEST(OntapBody, HostileJsonIsRefused) {
  for (const char* text : {"{",
                           "}",
                           "[",
                           "x",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{'a':1}",
                           "{\"a\":1}{",
                           "{} x",
                           "{\"a\":01}",
                           "{\"a\":+1}",
                           "{\"a\":NaN}",
                           "{\"a\":\"\n\"}",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":\"\xff\"}",
                           "{\"a\":\"\\ud800\"}",
                           "1",
                           "\"a\"",
                           "null",
                           "[]",
                           "[{}]",
                           "// c\n{}"})
    EXPECT_EQ(parse_code(text), 262199) << text;
  EXPECT_EQ(parse_code(std::string(100'000, '[')), 262199);
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "{\"a\":";
  EXPECT_EQ(parse_code(deep), 262199);
  EXPECT_EQ(parse_code("{\"a\":\"" + std::string(kMaxBodyLen, 'x') + "\"}"), 262199);
  EXPECT_EQ(parse_code(R"({"a":[1]})"), 262255);
  EXPECT_EQ(parse_code(R"({"records":[{}]})"), 262255);
  EXPECT_EQ(parse_code(R"({"a":1,"a":2})"), 262188);
  EXPECT_EQ(parse_code(R"({"a":{"b":1},"a":{"b":2}})"), 262188);
  EXPECT_EQ(parse_code(R"({"a":{"b":1},"a.b":2})"), 262188);
  EXPECT_EQ(parse_code(R"({"":{"region":"x"}})"), 262179);
  std::string many = "{\"x\":1";
  for (int i = 0; i < 200; ++i) many += ",\"f" + std::to_string(i) + "\":1";
  EXPECT_EQ(parse_code(many + "}"), 262199);
}

constexpr const char* kWhole =
    R"("region":"r","key_id":"k","access_key_id":"a","secret_access_key":"s")";

TEST(OntapBody, CreateNeedsWhatIsRequired) {
  EXPECT_EQ(check(std::string("{") + kWhole + "}", Change::kCreate), 0);
  EXPECT_EQ(check(std::string("{") + kWhole + R"(,"svm":{"name":"x"}})", Change::kCreate), 0);
  EXPECT_EQ(check(R"({"key_id":"k","access_key_id":"a","secret_access_key":"s"})", Change::kCreate),
            262212);
  EXPECT_EQ(check(R"({"region":"r","access_key_id":"a","secret_access_key":"s"})", Change::kCreate),
            262212);
  EXPECT_EQ(check(R"({"region":"r","key_id":"k","secret_access_key":"s"})", Change::kCreate),
            262212);
  EXPECT_EQ(check(R"({"region":"r","key_id":"k","access_key_id":"a"})", Change::kCreate), 262212);
}

TEST(OntapBody, EachFieldKeepsToItsAccess) {
  struct Row {
    const char* field;
    std::int64_t create;
    std::int64_t modify;
  };
  const Row rows[] = {
      {R"("uuid":"ab000000-0000-0000-0000-000000000001")", 262196, 262203},
      {R"("scope":"svm")", 262196, 262203},
      {R"("svm":{"name":"x"})", 0, 262203},
      {R"("region":"r")", 0, 0},
      {R"("key_id":"k")", 0, 262203},
      {R"("access_key_id":"a")", 0, 0},
      {R"("secret_access_key":"s")", 0, 0},
      {R"("service":"KMS")", 0, 0},
      {R"("default_domain":"amazonaws.com")", 0, 0},
      {R"("host":"h")", 0, 0},
      {R"("port":443)", 0, 0},
      {R"("polling_period":60)", 0, 0},
      {R"("timeout":10)", 262196, 0},
      {R"("verify":true)", 262196, 0},
      {R"("verify_host":true)", 262196, 0},
      {R"("verify_ip":true)", 262196, 0},
      {R"("skip_verify":true)", 262196, 0},
      {R"("proxy_type":"https")", 0, 0},
      {R"("proxy_host":"h")", 0, 0},
      {R"("proxy_port":8080)", 0, 0},
      {R"("proxy_username":"u")", 0, 0},
      {R"("proxy_password":"p")", 0, 0},
      {R"("encryption_context":"{\n\"a\":\"b\"}")", 0, 0},
      {R"("state":{"code":"0"})", 262196, 262203},
      {R"("amazon_reachability":{"reachable":true})", 262196, 262203},
      {R"("nothing":1)", 262179, 262179},
      {R"("name":"x")", 262179, 262179},
      {R"("enabled":true)", 262179, 262179},
      {R"("region":{"x":1})", 262179, 262179},
  };
  for (const Row& row : rows) {
    const std::string body = std::string("{") + row.field + "}";
    const std::int64_t create = check(body, Change::kCreate);
    EXPECT_EQ(create == 262212 ? 0 : create, row.create) << body;
    EXPECT_EQ(check(body, Change::kModify), row.modify) << body;
  }
}

TEST(OntapBody, WrongTypesAndRanges) {
  for (const char* field : {R"("region":1)",
                            R"("region":null)",
                            R"("region":true)",
                            R"("port":"443")",
                            R"("port":0)",
                            R"("port":65536)",
                            R"("port":-1)",
                            R"("port":1.5)",
                            R"("port":99999999999999999999)",
                            R"("verify":1)",
                            R"("verify":"true")",
                            R"("verify":null)",
                            R"("proxy_type":"ftp")",
                            R"("proxy_type":"HTTP")",
                            R"("polling_period":0)",
                            R"("timeout":4294967296)",
                            R"("region":"a\u0000b")",
                            R"("host":"a\nb")",
                            R"("secret_access_key":7)",
                            R"("secret_access_key":"a\u0000b")",
                            R"("proxy_password":true)"})
    EXPECT_EQ(check(std::string("{") + field + "}", Change::kModify), 262197) << field;
  EXPECT_NE(check(R"({"port":1e400})", Change::kModify), 0);
  EXPECT_EQ(check(R"({"region":")" + std::string(kMaxTextLen + 1, 'x') + "\"}", Change::kModify),
            262197);
  EXPECT_EQ(check(R"({"svm":"x"})", Change::kModify), 262197);
}

TEST(OntapBody, AnErrorNeverHoldsASecret) {
  for (const std::string text :
       {R"({"secret_access_key":"topsecret\u0000"})", R"({"secret_access_key":["topsecret"]})",
        R"({"proxy_password":"topsecret\u0000"})"}) {
    const auto body = Body::parse(text);
    std::string message;
    if (!body.ok()) {
      message = body.status().message + body.status().target;
    } else if (const auto error = check_body(aws_kms_fields(), body.value(), Change::kModify)) {
      message = error->message;
    }
    ASSERT_FALSE(message.empty()) << text;
    EXPECT_EQ(message.find("topsecret"), std::string::npos) << message;
  }
}

TEST(OntapBody, SecretsGoIntoLockedMemory) {
  const auto body = Body::parse(R"({"secret_access_key":"abc","proxy_password":""})");
  ASSERT_TRUE(body.ok());
  const auto secret = secret_of(*body.value().find("secret_access_key"));
  ASSERT_TRUE(secret.ok());
  EXPECT_TRUE(secrets_equal(secret.value().expose_secret(), as_bytes("abc")));
  const auto empty = secret_of(*body.value().find("proxy_password"));
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE(empty.value().empty());
}

// Damaged, cut and joined pieces of good bodies: an error or a body, never a crash. The sanitizers
// look on.
TEST(OntapBody, FuzzGivesABodyOrAnError) {
  const std::string good = std::string("{") + kWhole +
                           R"(,"svm":{"name":"x","uuid":"u"},"port":443,"verify":true,"x":[1,{}]})";
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same every time
  int bodies = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good.substr(0, random() % (good.size() + 1));
    for (unsigned changes = random() % 4; changes > 0 && !text.empty(); --changes)
      text[random() % text.size()] =
          static_cast<char>(random() % 2 ? random() : "{}[]\",:\\"[random() % 8]);
    const auto body = Body::parse(text);
    bodies += body.ok() ? 1 : 0;
    if (!body.ok()) {
      EXPECT_GE(body.status().code, 262145);
      EXPECT_FALSE(body.status().message.empty());
    } else {
      (void)check_body(aws_kms_fields(), body.value(), Change::kCreate);
    }
  }
  EXPECT_GT(bodies, 0);
  EXPECT_LT(bodies, 20'000);
}

}  // namespace
}  // namespace rewrap::ontap
