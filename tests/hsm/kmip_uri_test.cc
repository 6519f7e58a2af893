// kmip: URIs, the good and the bad.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "hsm/kmip/uri.h"
#include "tests/hsm/expect_code.h"

namespace rewrap {
namespace {

const std::string kFiles = "ca=file:/a&cert=file:/b&key=file:/c";

TEST(KmipUriTest, ReadsWhatItHolds) {
  const auto uri =
      parse_kmip_uri("kmip://kms.example:5697?name=rewrap%20root%2Fone&" + kFiles + "&timeout=30");
  ASSERT_OK(uri);
  EXPECT_EQ(uri->host, "kms.example");
  EXPECT_EQ(uri->port, 5697);
  EXPECT_EQ(uri->name, "rewrap root/one");
  EXPECT_EQ(uri->id, "");
  EXPECT_EQ(uri->ca_file, "/a");
  EXPECT_EQ(uri->cert_file, "/b");
  EXPECT_EQ(uri->key_file, "/c");
  EXPECT_FALSE(uri->key_is_credential);
  EXPECT_EQ(uri->timeout.count(), 30);
}

TEST(KmipUriTest, DefaultsAndAddresses) {
  const auto uri = parse_kmip_uri("kmip://[2001:db8::1]?id=abc-1&" + kFiles);
  ASSERT_OK(uri);
  EXPECT_EQ(uri->host, "2001:db8::1");
  EXPECT_EQ(uri->port, 5696);
  EXPECT_EQ(uri->id, "abc-1");
  EXPECT_EQ(uri->timeout.count(), 10);
  EXPECT_EQ(parse_kmip_uri("kmip://10.0.0.1?" + kFiles)->host, "10.0.0.1");
  EXPECT_EQ(parse_kmip_uri("kmip://[::1]:99?" + kFiles)->port, 99);
}

TEST(KmipUriTest, CredentialsComeFromTheServiceManager) {
  const std::string uri = "kmip://h?ca=file:/a&cert=file:/b&key=credential:kmip";
  unsetenv("CREDENTIALS_DIRECTORY");  // NOLINT(concurrency-mt-unsafe): one thread
  EXPECT_CODE(parse_kmip_uri(uri), Errc::kNotFound);
  setenv("CREDENTIALS_DIRECTORY", "/run/creds", 1);  // NOLINT(concurrency-mt-unsafe)
  const auto parsed = parse_kmip_uri(uri);
  unsetenv("CREDENTIALS_DIRECTORY");  // NOLINT(concurrency-mt-unsafe)
  ASSERT_OK(parsed);
  EXPECT_EQ(parsed->key_file, "/run/creds/kmip");
  EXPECT_TRUE(parsed->key_is_credential);
}

TEST(KmipUriTest, RefusesWhatItDoesNotKnow) {
  const std::string longest(255, 'n');
  EXPECT_OK(parse_kmip_uri("kmip://h?" + kFiles + "&name=" + longest));  // control
  const std::vector<std::string> bad = {
      std::string("kmip:h?") + kFiles,
      "kmip://?" + kFiles,
      "kmip://h",
      std::string("kmip://h?"),
      "kmip://h:?" + kFiles,
      "kmip://h:0?" + kFiles,
      "kmip://h:65536?" + kFiles,
      "kmip://h:5696x?" + kFiles,
      "kmip://h:-1?" + kFiles,
      "kmip://user@h?" + kFiles,
      "kmip://h/path?" + kFiles,
      "kmip://-h?" + kFiles,
      "kmip://[::1?" + kFiles,
      "kmip://[h]?" + kFiles,
      "kmip://[]?" + kFiles,
      "kmip://[::1]5696?" + kFiles,
      "kmip://2001:db8::1?" + kFiles,
      "kmip://h?ca=file:/a&cert=file:/b",
      "kmip://h?" + kFiles + "&",
      "kmip://h?" + kFiles + "&name",
      "kmip://h?" + kFiles + "&name=",
      "kmip://h?" + kFiles + "&name=a&name=b",
      "kmip://h?" + kFiles + "&name=a&id=b",
      "kmip://h?" + kFiles + "&name=a%0Ab",
      "kmip://h?" + kFiles + "&name=a%00b",
      "kmip://h?" + kFiles + "&name=a%2",
      "kmip://h?" + kFiles + "&name=n" + longest,
      "kmip://h?" + kFiles + "&id=a%20b",
      "kmip://h?" + kFiles + "&timeout=0",
      "kmip://h?" + kFiles + "&timeout=601",
      "kmip://h?" + kFiles + "&timeout=1s",
      "kmip://h?" + kFiles + "&verify=no",
      "kmip://h?" + kFiles + "#x",
      "kmip://h?" + kFiles + "&name=a b",
      std::string("kmip://h?ca=/a&cert=file:/b&key=file:/c"),
      std::string("kmip://h?ca=file:a&cert=file:/b&key=file:/c"),
      std::string("kmip://h?ca=file:/a&cert=file:/b&key=credential:../x"),
      "kmip://h?" + kFiles + "&name=" + std::string(2048, 'x'),
  };
  for (const std::string& uri : bad) {
    const auto parsed = parse_kmip_uri(uri);
    EXPECT_CODE(parsed, Errc::kInvalidArgument) << uri;
  }
}

}  // namespace
}  // namespace rewrap
