// What rewrap makes under a token, opened by others who are given the same key: another vendor's
// token, OpenSSL, pkcs11-tool. And the choice that `root create` makes for each token.
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <fstream>
#include <iterator>
#include <map>
#include <tuple>
#include <vector>

#include "hsm/file/aes_key_wrap.h"
#include "hsm/root.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/nss_fixture.h"
#include "tests/hsm/raw_token.h"
#include "tests/hsm/softhsm_fixture.h"

namespace rewrap {
namespace {

const Bytes kRootKey(32, 0x42);  // RawKey's
const Bytes kContext = {1, 2, 3};

Bytes copy_of(const SecretBuffer& secret) {
  const ByteView bytes = secret.expose_secret();
  return {bytes.begin(), bytes.end()};
}

Bytes read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

test::RawKey known_key(Mechanism mechanism) {
  const bool wraps = mechanism == Mechanism::kAesKeyWrap;
  return {.label = "root",
          .value = kRootKey,
          .encrypt = !wraps,
          .decrypt = !wraps,
          .wrap = wraps,
          .unwrap = wraps};
}

// open_gcm_by_openssl opens IV | ciphertext | tag; empty if it does not.
Bytes open_gcm_by_openssl(const Bytes& blob, const Bytes& aad) {
  const Bytes sealed(blob.begin() + 12, blob.end() - 16);
  Bytes tag(blob.end() - 16, blob.end());
  Bytes out(sealed.size());
  int len = 0;
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  const bool opened =
      EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), nullptr, kRootKey.data(), blob.data()) == 1 &&
      EVP_DecryptUpdate(context, nullptr, &len, aad.data(), static_cast<int>(aad.size())) == 1 &&
      EVP_DecryptUpdate(context, out.data(), &len, sealed.data(),
                        static_cast<int>(sealed.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, 16, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context, out.data() + len, &len) == 1;
  EVP_CIPHER_CTX_free(context);
  return opened ? out : Bytes();
}

// oaep_by_openssl encrypts `key` to the RSA key of this modulus and the exponent 65537.
Bytes oaep_by_openssl(const Bytes& modulus, const Bytes& key) {
  BIGNUM* n = BN_bin2bn(modulus.data(), static_cast<int>(modulus.size()), nullptr);
  OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n);
  OSSL_PARAM_BLD_push_uint(builder, OSSL_PKEY_PARAM_RSA_E, 65537);
  OSSL_PARAM* params = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY_CTX* reader = EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr);
  EVP_PKEY* public_key = nullptr;
  EXPECT_EQ(EVP_PKEY_fromdata_init(reader), 1);
  EXPECT_EQ(EVP_PKEY_fromdata(reader, &public_key, EVP_PKEY_PUBLIC_KEY, params), 1);
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new(public_key, nullptr);
  Bytes out(modulus.size());
  std::size_t len = out.size();
  EXPECT_EQ(EVP_PKEY_encrypt_init(context), 1);
  EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING), 1);
  EXPECT_EQ(EVP_PKEY_encrypt(context, out.data(), &len, key.data(), key.size()), 1);
  EVP_PKEY_CTX_free(context);
  EVP_PKEY_free(public_key);
  EVP_PKEY_CTX_free(reader);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(builder);
  BN_free(n);
  return out;
}

TEST(Interop, NssOpensWhatSoftHsmSealedAndTheOtherWayRound) {
  for (const Mechanism mechanism : {Mechanism::kAesKeyWrap, Mechanism::kAesGcm}) {
    const test::SoftHsmToken softhsm;
    const test::NssToken nss;
    ASSERT_OK(test::import_key(softhsm.uri(), known_key(mechanism)));
    ASSERT_OK(test::import_key(nss.uri(), known_key(mechanism)));
    const auto root_a = open_root(softhsm.uri("root"), {});
    const auto root_b = open_root(nss.uri("root"), {});
    ASSERT_OK(root_a);
    ASSERT_OK(root_b);
    for (auto* maker : {root_a.value().get(), root_b.value().get()}) {
      Root& opener = maker == root_a.value().get() ? *root_b.value() : *root_a.value();
      const auto made = maker->create(32, kContext);
      ASSERT_OK(made);
      EXPECT_EQ(made->protector.mechanism, mechanism);
      const auto opened = opener.open(made->protector, kContext);
      ASSERT_OK(opened);
      EXPECT_EQ(copy_of(opened.value()), copy_of(made->kek));
      const auto protector = maker->protect(made->kek, kContext);
      ASSERT_OK(protector);
      EXPECT_OK(opener.open(protector.value(), kContext));
    }
  }
}

TEST(Interop, OpensslOpensWhatNssSealed) {
  const test::NssToken nss;
  test::RawKey wrapper = known_key(Mechanism::kAesKeyWrap);
  wrapper.label = "wrapper";
  test::RawKey sealer = known_key(Mechanism::kAesGcm);
  sealer.label = "sealer";
  sealer.id = {2};
  ASSERT_OK(test::import_key(nss.uri(), wrapper));
  ASSERT_OK(test::import_key(nss.uri(), sealer));
  const auto by_wrap = open_root(nss.uri("wrapper"), {});
  ASSERT_OK(by_wrap);
  const auto wrapped = by_wrap.value()->create(32, kContext);
  ASSERT_OK(wrapped);
  const auto unwrapped = openssl_unwrap(kRootKey, wrapped->protector.blob);
  ASSERT_OK(unwrapped);
  EXPECT_EQ(copy_of(unwrapped.value()), copy_of(wrapped->kek));
  const auto by_gcm = open_root(nss.uri("sealer"), {});
  ASSERT_OK(by_gcm);
  const auto sealed = by_gcm.value()->create(32, kContext);
  ASSERT_OK(sealed);
  EXPECT_EQ(open_gcm_by_openssl(sealed->protector.blob, kContext), copy_of(sealed->kek));
  EXPECT_EQ(open_gcm_by_openssl(sealed->protector.blob, {9}), Bytes());  // control
  EXPECT_NE(by_gcm.value()->create(32, kContext).value().protector.blob, sealed->protector.blob);
}

TEST(Interop, TokenOpensWhatOpensslEncryptedToItsPublicKey) {
  const test::SoftHsmToken softhsm;
  ASSERT_OK(test::make_rsa_pair(softhsm.uri(), "root", {1}));
  const auto modulus = test::read_modulus(softhsm.uri(), "root");
  ASSERT_OK(modulus);
  const auto root = open_root(softhsm.uri("root"), {});
  ASSERT_OK(root);
  const auto made = root.value()->create(32, kContext);
  ASSERT_OK(made);
  const Bytes kek(32, 0x77);
  Protector theirs = made->protector;
  theirs.blob = oaep_by_openssl(modulus.value(), kek);
  theirs.check = check_value(kek, theirs, kContext).value();
  const auto opened = root.value()->open(theirs, kContext);
  ASSERT_OK(opened);
  EXPECT_EQ(copy_of(opened.value()), kek);
}

TEST(Interop, Pkcs11ToolUnwrapsWhatSoftHsmWrapped) {
  const test::SoftHsmToken token;
  ASSERT_OK(test::import_key(token.uri(), known_key(Mechanism::kAesKeyWrap)));
  Bytes kek;
  Bytes blob;
  {
    const auto root = open_root(token.uri("root"), {});
    ASSERT_OK(root);
    const auto made = root.value()->create(32, kContext);
    ASSERT_OK(made);
    kek = copy_of(made->kek);
    blob = made->protector.blob;
  }
  const std::string wrapped = token.write_file("wrapped", std::string(blob.begin(), blob.end()));
  const std::string out = token.folder() + "/out";
  const std::vector<std::string> to_token = {REWRAP_PKCS11_TOOL,
                                             "--module",
                                             test::SoftHsmToken::module_path(),
                                             "--token-label",
                                             token.label(),
                                             "--login",
                                             "--pin",
                                             token.pin()};
  std::vector<std::string> unwrap = to_token;
  unwrap.insert(unwrap.end(), {"--unwrap", "--mechanism", "AES-KEY-WRAP", "--id", "01",
                               "--input-file", wrapped, "--key-type", "AES:", "--application-id",
                               "77", "--application-label", "back", "--extractable"});
  ASSERT_EQ(test::run_quietly(unwrap), 0);
  std::vector<std::string> read = to_token;
  read.insert(read.end(),
              {"--read-object", "--type", "secrkey", "--label", "back", "--output-file", out});
  ASSERT_EQ(test::run_quietly(read), 0);
  EXPECT_EQ(read_file(out), kek);
}

// What create_root_key chooses where the token lacks something, and that the key is for that alone.
TEST(RootCreate, TakesTheFirstMechanismThatWorks) {
  using Flags = std::map<std::string, bool>;
  const auto uses_of = [](const Flags& flags) {
    std::string uses;
    for (const char* use : {"CKA_ENCRYPT", "CKA_DECRYPT", "CKA_WRAP", "CKA_UNWRAP", "CKA_SIGN",
                            "CKA_DERIVE", "CKA_EXTRACTABLE"}) {
      if (flags.at(use)) uses += std::string(uses.empty() ? "" : " ") + (use + 4);
    }
    return uses;
  };
  for (const auto& [mechanisms, expected, uses] :
       {std::tuple{"ALL", Mechanism::kAesKeyWrap, "WRAP UNWRAP"},
        std::tuple{test::kWithoutKeyWrap, Mechanism::kAesGcm, "ENCRYPT DECRYPT"}}) {
    const test::SoftHsmToken token("t", mechanisms);
    Mechanism made{};
    ASSERT_OK(create_root_key(token.uri("root"), {}, &made));
    EXPECT_EQ(made, expected);
    const auto flags = test::read_flags(token.uri(), "root");
    ASSERT_OK(flags);
    EXPECT_EQ(uses_of(flags.value()), uses);
    EXPECT_TRUE(flags->at("CKA_SENSITIVE"));
    EXPECT_CODE(create_root_key(token.uri("root"), {}), Errc::kAlreadyExists);
  }
}

TEST(RootCreate, MakesAnRsaPairWhereThereIsNothingElse) {
  const test::SoftHsmToken token("t", test::kOnlyOaep);
  Mechanism made{};
  ASSERT_OK(create_root_key(token.uri("root"), {}, &made));
  EXPECT_EQ(made, Mechanism::kRsaOaep);
  EXPECT_EQ(test::read_modulus(token.uri(), "root").value().size() * 8, std::size_t{3072});
  const auto root = open_root(token.uri("root"), {});
  ASSERT_OK(root);
  EXPECT_OK(root.value()->create(32, kContext));
  EXPECT_CODE(create_root_key(token.uri("root"), {}), Errc::kAlreadyExists);
}

TEST(RootCreate, TokenThatGuardsNothingIsToldSo) {
  const test::SoftHsmToken token("t", test::kNoGuard);
  const Status status = create_root_key(token.uri("root"), {});
  EXPECT_CODE(status, Errc::kUnsupported);
  EXPECT_NE(std::string(status.hint()).find("CKM_AES_KEY_WRAP"), std::string::npos);
  const auto root = open_root_for_probe(token.uri("root"), {});
  ASSERT_OK(root);
  const auto report = root.value()->probe();
  ASSERT_OK(report);
  EXPECT_FALSE(report->chosen.has_value());
  for (const Capability& protector : report->protectors) EXPECT_FALSE(protector.works);
  ASSERT_EQ(report->custody.size(), std::size_t{3});
  EXPECT_FALSE(report->custody[0].works);  // host
  EXPECT_TRUE(report->custody[1].works);   // kek-in-token needs no protector
  EXPECT_FALSE(report->custody[2].works);  // in-token
  EXPECT_NE(report->custody[2].detail.find("CKM_AES_KEY_WRAP"), std::string::npos);
}

// A root key made for one mechanism, after the token lost it.
TEST(RootCreate, MechanismThatIsLostIsUnsupportedNotCorruption) {
  const test::SoftHsmToken token("t", test::kWithoutKeyWrap);
  ASSERT_OK(test::import_key(token.uri(), known_key(Mechanism::kAesKeyWrap)));
  const auto root = open_root_for_probe(token.uri("root"), {});
  ASSERT_OK(root);
  EXPECT_CODE(root.value()->create(32, kContext), Errc::kUnsupported);
  const auto report = root.value()->probe();
  ASSERT_OK(report);
  EXPECT_EQ(report->chosen, Mechanism::kAesKeyWrap);
  EXPECT_FALSE(report->custody[0].works);
}

// A protector and the root key must be of one kind, whatever the record says.
TEST(RootCreate, KeyOfAnotherKindUnderTheNameIsDenied) {
  const test::SoftHsmToken token;
  ASSERT_OK(test::import_key(token.uri(), known_key(Mechanism::kAesGcm)));
  const auto made = open_root(token.uri("root"), {}).value()->create(32, kContext);
  ASSERT_OK(made);
  ASSERT_OK(test::destroy_keys(token.uri(), "root"));
  ASSERT_OK(test::import_key(token.uri(), known_key(Mechanism::kAesKeyWrap)));
  const auto root = open_root(token.uri("root"), {});
  ASSERT_OK(root);
  EXPECT_CODE(root.value()->open(made->protector, kContext), Errc::kDenied);
  Protector renamed = made->protector;
  renamed.mechanism = Mechanism::kAesKeyWrap;
  EXPECT_CODE(root.value()->open(renamed, kContext), Errc::kCorruption);
  renamed.mechanism = Mechanism::kTpm2Seal;
  EXPECT_CODE(root.value()->open(renamed, kContext), Errc::kUnsupported);
}

TEST(RootCreate, RootKeyOfBothFamiliesIsRefused) {
  const test::SoftHsmToken token;
  test::RawKey both = known_key(Mechanism::kAesGcm);
  both.unwrap = true;
  ASSERT_OK(test::import_key(token.uri(), both));
  EXPECT_CODE(open_root(token.uri("root"), {}), Errc::kRefused);
}

}  // namespace
}  // namespace rewrap
