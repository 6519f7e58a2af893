// What the reader of PKCS#11 URIs takes and refuses.
#include "hsm/pkcs11/uri.h"

#include <gtest/gtest.h>

#include "tests/hsm/expect_code.h"

namespace rewrap {
namespace {

constexpr char kRest[] = "?module-path=/m.so&pin-source=file:/run/pin";

TEST(Pkcs11Uri, ReadsEveryAttribute) {
  const auto uri =
      parse_pkcs11_uri(std::string("pkcs11:token=My%20HSM;serial=ab12;manufacturer=M;model=Mo;"
                                   "object=root%3b1;id=%00%ff;type=secret-key") +
                       kRest);
  ASSERT_OK(uri);
  EXPECT_EQ(uri->token, "My HSM");
  EXPECT_EQ(uri->serial, "ab12");
  EXPECT_EQ(uri->manufacturer, "M");
  EXPECT_EQ(uri->model, "Mo");
  EXPECT_EQ(uri->object, "root;1");
  EXPECT_EQ(uri->id, (Bytes{0x00, 0xff}));
  EXPECT_EQ(uri->module_path, "/m.so");
  EXPECT_EQ(uri->pin_file, "/run/pin");
}

TEST(Pkcs11Uri, TokenOrSerialIsEnough) {
  EXPECT_OK(parse_pkcs11_uri("pkcs11:token=t?module-path=/m.so"));
  const auto uri = parse_pkcs11_uri("pkcs11:serial=1?module-path=/m.so");
  ASSERT_OK(uri);
  EXPECT_TRUE(uri->token.empty());
  EXPECT_FALSE(uri->names_key());
}

TEST(Pkcs11Uri, RefusesWhatWouldMatchMoreThanMeant) {
  for (const char* path : {
           "pkcs11:object=k",                                       // no token
           "pkcs11:",                                               // nothing
           "pkcs11:token=",                                         // no value
           "pkcs11:token=t;object",                                 // no value
           "pkcs11:token=t;tokem=t",                                // unknown
           "pkcs11:token=t;x-vendor=1",                             // unknown
           "pkcs11:token=t;slot-id=1",                              // slot numbers change
           "pkcs11:token=t;token=u",                                // twice
           "pkcs11:token=t;type=public",                            // not a key of ours
           "pkcs11:token=t;type=nonsense",                          // p11-kit drops it
           "pkcs11:token=t;;object=k",                              // empty attribute
           "pkcs11:token=%zz",                                      // bad escape
           "pkcs11:token=a-label-that-is-longer-than-32-bytes-ok",  // p11-kit drops it
           "PKCS11:token=t",
           "http:token=t",
       }) {
    EXPECT_CODE(parse_pkcs11_uri(std::string(path) + kRest), Errc::kInvalidArgument) << path;
  }
}

TEST(Pkcs11Uri, RefusesBadQueries) {
  for (const char* query : {
           "",
           "?",
           "?module-path=",
           "?module-path=relative.so",
           "?module-name=softhsm",
           "?module-path=/m.so&x=1",
           "?module-path=/m.so&module-path=/n.so",
           "?module-path=/m.so&pin-source=/run/pin",
           "?module-path=/m.so&pin-source=file:relative",
           "?module-path=/m.so&pin-source=|/bin/askpin",
           "?module-path=/m.so&pin-source=http://x/pin",
           "?module-path=/m.so&pin-source=",
       }) {
    EXPECT_CODE(parse_pkcs11_uri(std::string("pkcs11:token=t;object=k") + query),
                Errc::kInvalidArgument)
        << query;
  }
}

TEST(Pkcs11Uri, RefusesAPinInTheUri) {
  const auto uri = parse_pkcs11_uri("pkcs11:token=t?module-path=/m.so&pin-value=1234");
  EXPECT_CODE(uri, Errc::kInvalidArgument);
  EXPECT_NE(std::string(uri.status().hint()).find("pin-source=file:"), std::string::npos);
  EXPECT_CODE(parse_pkcs11_uri("pkcs11:token=t;pin-value=1234?module-path=/m.so"),
              Errc::kInvalidArgument);
}

TEST(Pkcs11Uri, RefusesZeroBytesAndLongKeyNames) {
  EXPECT_CODE(parse_pkcs11_uri(std::string("pkcs11:token=t\0;object=k?module-path=/m.so", 42)),
              Errc::kInvalidArgument);
  const std::string label(kMaxKeyLabelLen + 1, 'k');
  EXPECT_CODE(parse_pkcs11_uri("pkcs11:token=t;object=" + label + kRest), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace rewrap
