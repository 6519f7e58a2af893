// Server certificates: made once, never written over, and clear words for what is wrong with one.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "api/http/tls_certificate.h"
#include "tests/api/test_pki.h"

namespace rewrap {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_file(const std::string& path, const std::string& text, mode_t mode = 0600) {
  std::ofstream(path, std::ios::binary) << text;
  chmod(path.c_str(), mode);
}

mode_t mode_of(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

class HttpTlsCertificateTest : public ::testing::Test {
 protected:
  Status make() { return make_self_signed(certificate_, key_); }
  Status check() { return check_certificate(certificate_, key_).status(); }
  // expect_refusal wants this code, and a message with these words.
  void expect_refusal(const Status& status, Errc code, const std::string& words) {
    EXPECT_EQ(status.code(), code) << status.describe();
    EXPECT_NE(status.describe().find(words), std::string::npos) << status.describe();
  }

  test::TestPki pki_;
  const std::string certificate_ = pki_.path("tls.crt");
  const std::string key_ = pki_.path("tls.key");
};

TEST_F(HttpTlsCertificateTest, IsMadeOnceAndUsable) {
  const mode_t mask = umask(0);  // the modes must not be the umask's doing
  ASSERT_TRUE(make().ok());
  umask(mask);
  EXPECT_EQ(mode_of(key_), 0600U);
  EXPECT_EQ(mode_of(certificate_), 0644U);
  const auto info = check_certificate(certificate_, key_);
  ASSERT_TRUE(info.ok()) << info.status().describe();
  EXPECT_TRUE(info->subject.starts_with("CN="));
  EXPECT_EQ(info->sha256.size(), 64U);
  EXPECT_LT(info->not_before, std::time(nullptr));
  EXPECT_GT(info->not_after, std::time(nullptr) + 3'000L * 86'400);
  const std::string before = read_file(certificate_) + read_file(key_);
  ASSERT_TRUE(make().ok());
  EXPECT_EQ(read_file(certificate_) + read_file(key_), before);
}

TEST_F(HttpTlsCertificateTest, IsMadeForAKeyThatIsThere) {
  ASSERT_TRUE(make().ok());
  const std::string key = read_file(key_);
  std::filesystem::remove(certificate_);
  ASSERT_TRUE(make().ok());
  EXPECT_EQ(read_file(key_), key);
  EXPECT_TRUE(check().ok());
}

TEST_F(HttpTlsCertificateTest, IsNeverWrittenOver) {
  write_file(certificate_, "mine");
  expect_refusal(make(), Errc::kNotFound, "not its key");
  EXPECT_EQ(read_file(certificate_), "mine");
  EXPECT_FALSE(std::filesystem::exists(key_));
  std::filesystem::remove(certificate_);
  write_file(key_, "mine too");
  expect_refusal(make(), Errc::kInvalidArgument, "not a PEM private key");
  EXPECT_EQ(read_file(key_), "mine too");
  EXPECT_FALSE(std::filesystem::exists(certificate_));
  // Not through a link that leads nowhere either.
  std::filesystem::remove(key_);
  std::filesystem::create_symlink(pki_.path("elsewhere"), key_);
  EXPECT_FALSE(make().ok());
  EXPECT_FALSE(std::filesystem::exists(pki_.path("elsewhere")));
}

TEST_F(HttpTlsCertificateTest, SaysWhatIsWrong) {
  expect_refusal(check(), Errc::kNotFound, "cannot open");
  ASSERT_TRUE(make().ok());
  const std::string certificate = read_file(certificate_);
  const std::string key = read_file(key_);

  write_file(certificate_, "");
  expect_refusal(check(), Errc::kInvalidArgument, "empty");
  write_file(certificate_, "garbage");
  expect_refusal(check(), Errc::kInvalidArgument, "not PEM");
  write_file(certificate_, certificate.substr(0, certificate.size() / 2));
  expect_refusal(check(), Errc::kInvalidArgument, "not PEM");
  write_file(certificate_, certificate + "-----BEGIN CERTIFICATE-----\nbroken");
  expect_refusal(check(), Errc::kInvalidArgument, "not PEM");
  write_file(certificate_, std::string(300'000, 'x'));
  expect_refusal(check(), Errc::kInvalidArgument, "longer than");
  write_file(certificate_, certificate + certificate);
  EXPECT_TRUE(check().ok()) << "a chain is fine";
  std::filesystem::remove(certificate_);
  std::filesystem::create_directory(certificate_);
  expect_refusal(check(), Errc::kDenied, "not a regular file");
  std::filesystem::remove(certificate_);
  write_file(certificate_, certificate);

  for (const mode_t mode : {0604, 0602, 0620, 0666}) {
    chmod(key_.c_str(), mode);
    expect_refusal(check(), Errc::kDenied, "open to other users");
  }
  for (const mode_t mode : {0400, 0640, 0600}) {
    chmod(key_.c_str(), mode);
    EXPECT_TRUE(check().ok()) << mode;
  }
  write_file(key_, certificate);
  expect_refusal(check(), Errc::kInvalidArgument, "not a PEM private key");
  write_file(key_, read_file(pki_.make("other", {}).key));
  expect_refusal(check(), Errc::kInvalidArgument, "does not belong");
}

TEST_F(HttpTlsCertificateTest, SaysThatItHasExpiredOrIsEarly) {
  const auto check_made = [&](const test::CertificateOptions& options) {
    const test::TestCertificate made = pki_.make("dated", options);
    return check_certificate(made.certificate, made.key).status();
  };
  expect_refusal(check_made({.begins_in = -20, .ends_in = -10}), Errc::kInvalidArgument, "expired");
  expect_refusal(check_made({.begins_in = 100, .ends_in = 200}), Errc::kInvalidArgument,
                 "not valid yet");
  EXPECT_TRUE(check_made({}).ok());
}

TEST_F(HttpTlsCertificateTest, NeverAsksForAPassphrase) {
  ASSERT_TRUE(make().ok());
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  std::FILE* file = std::fopen(key_.c_str(), "w");
  ASSERT_NE(file, nullptr);
  unsigned char pass[] = "secret";
  EXPECT_EQ(PEM_write_PKCS8PrivateKey(file, key, EVP_aes_128_cbc(), reinterpret_cast<char*>(pass),
                                      6, nullptr, nullptr),
            1);
  std::fclose(file);
  EVP_PKEY_free(key);
  const Status status = check();
  expect_refusal(status, Errc::kInvalidArgument, "not a PEM private key");
  EXPECT_NE(std::string(status.hint()).find("encrypted"), std::string::npos);
}

TEST_F(HttpTlsCertificateTest, RefusesAWeakKey) {
  const std::string key_file = pki_.path("weak.key");
  const std::string certificate_file = pki_.path("weak.crt");
  const std::string command =
      "openssl req -x509 -newkey rsa:1024 -nodes -days 2 -subj /CN=weak -keyout " + key_file +
      " -out " + certificate_file + " 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);  // NOLINT(cert-env33-c,concurrency-mt-unsafe)
  chmod(key_file.c_str(), 0600);
  expect_refusal(check_certificate(certificate_file, key_file).status(), Errc::kInvalidArgument,
                 "too weak");
}

}  // namespace
}  // namespace rewrap
