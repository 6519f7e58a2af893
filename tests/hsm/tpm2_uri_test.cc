// tpm2: URIs: what is read, and what is refused rather than guessed.
#include <gtest/gtest.h>

#include "hsm/tpm2/uri.h"
#include "tests/hsm/expect_code.h"

namespace rewrap {
namespace {

TEST(Tpm2Uri, ReadsEveryAttribute) {
  const auto uri = parse_tpm2_uri(
      "tpm2:?tcti=swtpm:host=127.0.0.1,port=2321&handle=0x81000001&pcrs=sha384:0+7+22&"
      "pin-source=file:/etc/pin&counter=0x01800100");
  ASSERT_OK(uri);
  EXPECT_EQ(uri->tcti, "swtpm:host=127.0.0.1,port=2321");
  EXPECT_EQ(uri->handle, 0x81000001U);
  EXPECT_EQ(uri->pcrs.bank, PcrBank::kSha384);
  EXPECT_EQ(uri->pcrs.mask, 1U | 1U << 7 | 1U << 22);
  EXPECT_EQ(uri->pin_file, "/etc/pin");
  EXPECT_EQ(uri->counter, 0x01800100U);
}

TEST(Tpm2Uri, NothingIsRequired) {
  const auto uri = parse_tpm2_uri("tpm2:");
  ASSERT_OK(uri);
  EXPECT_EQ(uri->tcti + uri->pin_file, "");
  EXPECT_EQ(uri->handle + uri->counter + uri->pcrs.mask, 0U);
}

TEST(Tpm2Uri, PercentEscapesAreDecodedOnce) {
  const auto uri = parse_tpm2_uri("tpm2:?tcti=cmd:a%20b%26c%2541%23&handle=0x8100000%61");
  ASSERT_OK(uri);
  EXPECT_EQ(uri->tcti, "cmd:a b&c%41#");
  EXPECT_EQ(uri->handle, 0x8100000aU);
}

TEST(Tpm2Uri, RefusesWhatItDoesNotKnow) {
  for (const char* text : {
           "tpm2",
           "TPM2:",
           "tpm2:0x81000001",
           "tpm2:?",
           "tpm2:?&handle=0x81000001",
           "tpm2:?handle=0x81000001&",
           "tpm2:?handle",
           "tpm2:?handle=",
           "tpm2:?hande=0x81000001",
           "tpm2:?Handle=0x81000001",
           "tpm2:?pin-value=1234",
           "tpm2:?handle=0x81000001&handle=0x81000001",
           // numbers
           "tpm2:?handle=81000001",
           "tpm2:?handle=2164260865",
           "tpm2:?handle=0x",
           "tpm2:?handle=-1",
           "tpm2:?handle=0x81000001x",
           "tpm2:?handle=0x181000001",
           "tpm2:?handle=0x0000000081000001",
           "tpm2:?handle=0x80000001",
           "tpm2:?handle=0x81800000",
           "tpm2:?handle=0x-1",
           "tpm2:?counter=0x01500000",
           "tpm2:?counter=0x01c00000",
           "tpm2:?counter=0x81000001",
           "tpm2:?counter=1",
           // PCRs
           "tpm2:?pcrs=7",
           "tpm2:?pcrs=sha256",
           "tpm2:?pcrs=sha256:",
           "tpm2:?pcrs=sha1:7",
           "tpm2:?pcrs=md5:7",
           "tpm2:?pcrs=sha256:7+",
           "tpm2:?pcrs=sha256:+7",
           "tpm2:?pcrs=sha256:7,8",
           "tpm2:?pcrs=sha256:24",
           "tpm2:?pcrs=sha256:007",
           "tpm2:?pcrs=sha256:-1",
           "tpm2:?pcrs=sha256:7+7",
           "tpm2:?pcrs=sha256:16",
           "tpm2:?pcrs=sha256:7+23",
           "tpm2:?pcrs=sha256:99999999999999999999",
           // files, escapes and bytes
           "tpm2:?pin-source=/etc/pin",
           "tpm2:?pin-source=file:pin",
           "tpm2:?tcti=a%",
           "tpm2:?tcti=a%4",
           "tpm2:?tcti=%zz",
           "tpm2:?tcti=%00",
           "tpm2:?tcti=%+1",
           "tpm2:?tcti=a b",
           "tpm2:?tcti=a#b",
           "tpm2:?tcti=a\nb",
           "tpm2:?tcti=\xc3\xa4",
       }) {
    EXPECT_CODE(parse_tpm2_uri(text), Errc::kInvalidArgument) << text;
  }
  EXPECT_CODE(parse_tpm2_uri(std::string("tpm2:?tcti=a\0b", 14)), Errc::kInvalidArgument);
  EXPECT_CODE(parse_tpm2_uri("tpm2:?tcti=" + std::string(3000, 'a')), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace rewrap
