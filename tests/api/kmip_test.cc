// KMIP providers, servers and certificates, with a stand-in for the key server.
#include "api/service/kmip.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>
#include <utility>

#include "tests/api/service_fixture.h"
#include "tests/api/stand_in_root.h"

namespace rewrap {
namespace {

using Pem = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

// sign_request makes a certificate of a request, signed by a key that nobody keeps.
std::string sign_request(const std::string& request_pem) {
  const Pem in(BIO_new_mem_buf(request_pem.data(), static_cast<int>(request_pem.size())),
               BIO_free_all);
  X509_REQ* request = PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr);
  EVP_PKEY* signer = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  EXPECT_EQ(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_subject_name(certificate, X509_REQ_get_subject_name(request));
  X509_set_issuer_name(certificate, X509_REQ_get_subject_name(request));
  X509_set_pubkey(certificate, X509_REQ_get0_pubkey(request));
  EXPECT_GT(X509_sign(certificate, signer, EVP_sha256()), 0);
  const Pem out(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_X509(out.get(), certificate);
  char* data = nullptr;
  const long len = BIO_get_mem_data(out.get(), &data);
  std::string pem(data, static_cast<std::size_t>(len));
  X509_free(certificate);
  X509_REQ_free(request);
  EVP_PKEY_free(signer);
  return pem;
}

class KmipThreads : public ServiceFixture {
 protected:
  void SetUp() override {
    ServiceFixture::SetUp();
    ASSERT_TRUE(create_root_key(server_uri(), root_options()).ok());
    options_.service_root_uri = root_uri_;
    options_.element_keyset = kName;
    options_.internal_root_uri = root_uri_;
    options_.access.test_kmip = [this](const KmipTarget& target) {
      const ByteView pem = target.private_key_pem.expose_secret();
      private_pem_.assign(pem.begin(), pem.end());
      if (const auto meanwhile = std::exchange(meanwhile_, nullptr)) meanwhile();
      return answer_;
    };
    options_.access.open_kmip = [this](
                                    const KmipTarget& target,
                                    const RootOptions& options) -> Result<std::unique_ptr<Root>> {
      entered_ = true;
      while (held_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      REWRAP_TRY(answer_);
      if (!target.key_name.empty()) key_name_ = target.key_name;
      EXPECT_EQ(target.hosts, std::vector<std::string>{"kmip.example"});
      REWRAP_ASSIGN(auto inner, open_root(server_uri(), options));
      return std::unique_ptr<Root>(std::make_unique<StandInRoot>(target.uri, std::move(inner)));
    };
    start();
    CertificateSubject subject;
    subject.common_name = "rewrap";
    subject.country = "DE";
    ok_value(service_->kmip().create_key_pair(subject, caller()));
    certificate_ = sign_request(ok_value(service_->kmip().certificate_request()));
  }
  [[nodiscard]] std::string server_uri() const { return "file:" + directory_.path() + "/kmip.key"; }
  [[nodiscard]] KmipServerSettings settings() const {
    KmipServerSettings settings;
    settings.name = "server";
    settings.hosts = {"kmip.example"};
    settings.ca_pem = certificate_;
    settings.certificate_pem = certificate_;
    return settings;
  }
  KmipServer add_server() { return ok_value(service_->kmip().create_server(settings(), caller())); }

  std::string certificate_;
  Status answer_;                   // of the key server
  std::atomic<bool> held_ = false;  // it keeps whoever connects waiting
  std::atomic<bool> entered_ = false;
  std::string private_pem_;          // that it was last given, by test_kmip
  std::function<void()> meanwhile_;  // done once while it tests
  std::string key_name_;             // that it was last told, by a job's thread
};

TEST_F(KmipThreads, TheRequestIsForTheKeyPairAndForTlsClients) {
  const std::string text = ok_value(service_->kmip().certificate_request());
  const Pem in(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free_all);
  X509_REQ* request = PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr);
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(EVP_PKEY_get_bits(X509_REQ_get0_pubkey(request)), 2048);
  const std::unique_ptr<char, void (*)(char*)> name(
      X509_NAME_oneline(X509_REQ_get_subject_name(request), nullptr, 0),
      [](char* text_made) { OPENSSL_free(text_made); });
  EXPECT_STREQ(name.get(), "/CN=rewrap/C=DE");
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request);
  EXPECT_GE(X509v3_get_ext_by_NID(extensions, NID_ext_key_usage, -1), 0);
  EXPECT_GE(X509v3_get_ext_by_NID(extensions, NID_key_usage, -1), 0);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  X509_REQ_free(request);
  CertificateSubject wrong;
  wrong.country = "Germany";
  EXPECT_EQ(service_->kmip().create_key_pair(wrong, caller()).reason(), Reason::kInvalidInput);
  EXPECT_EQ(ok_value(service_->kmip().certificate_request()), text);
}

TEST_F(KmipThreads, ProvidersAndServers) {
  Kmip& kmip = service_->kmip();
  const KmipProvider provider = ok_value(kmip.create_provider("p", caller()));
  EXPECT_FALSE(provider.is_active);
  EXPECT_EQ(kmip.test_provider(provider.id).reason(), Reason::kProviderHasNoServer);
  const KmipServer server = add_server();
  EXPECT_EQ(server.port, kKmipPort);
  EXPECT_FALSE(server.provider_id.has_value());
  EXPECT_FALSE(server.provider_is_active.has_value());

  answer_ = Status(Errc::kUnavailable, "no connection");
  EXPECT_EQ(kmip.add_server(provider.id, server.id, caller()).reason(), Reason::kRootUnreachable);
  answer_ = Status(Errc::kDenied, "not this certificate");
  EXPECT_EQ(kmip.test_server(server.id).reason(), Reason::kCredentialsRejected);
  answer_ = {};
  ok_value(kmip.add_server(provider.id, server.id, caller()));
  ok_value(kmip.add_server(provider.id, server.id, caller()));  // no error
  EXPECT_TRUE(kmip.test_provider(provider.id).ok());
  EXPECT_EQ(ok_value(kmip.provider(provider.id)).server_ids, std::vector{server.id});
  EXPECT_EQ(ok_value(kmip.server(server.id)).provider_is_active, false);
  EXPECT_EQ(ok_value(kmip.providers({}, true)).size(), 1U);
  EXPECT_TRUE(ok_value(kmip.providers({}, false)).empty());
  EXPECT_TRUE(ok_value(kmip.providers(true, {})).empty());
  EXPECT_EQ(ok_value(kmip.servers(provider.id, {}, {})).size(), 1U);
  EXPECT_TRUE(ok_value(kmip.servers({}, {}, false)).empty());
  const KmipServer second = add_server();
  EXPECT_EQ(kmip.add_server(provider.id, second.id, caller()).reason(), Reason::kServerAssigned);

  KmipServerSettings change;
  EXPECT_EQ(ok_value(kmip.modify_server(server.id, change, caller())).name, "server");
  change.hosts = {"a.example", "b.example"};
  change.port = 5697;
  const KmipServer changed = ok_value(kmip.modify_server(server.id, change, caller()));
  EXPECT_EQ(changed.hosts, *change.hosts);
  EXPECT_EQ(changed.port, 5697);

  ok_value(kmip.remove_server(server.id, caller()));
  ok_value(kmip.remove_server(server.id, caller()));  // no error
  ok_value(kmip.delete_server(second.id, caller()));
  EXPECT_EQ(kmip.server(second.id).reason(), Reason::kNoSuchServer);
  ok_value(kmip.delete_provider(provider.id, caller()));
  EXPECT_EQ(kmip.provider(provider.id).reason(), Reason::kNoSuchProvider);
  EXPECT_GT(ok_value(kmip.create_provider("p", caller())).id, provider.id);  // never used again
  EXPECT_GT(add_server().id, second.id);
}

// A key that is about to be made needs its provider as one that is there.
TEST_F(KmipThreads, ARekeyUnderWayKeepsItsProvider) {
  Kmip& kmip = service_->kmip();
  const KmipProvider provider = ok_value(kmip.create_provider("p", caller()));
  const KmipServer server = add_server();
  ok_value(kmip.add_server(provider.id, server.id, caller()));
  held_ = true;
  const JobStart start =
      ok_value(service_->element().rekey(KeyManagement::kExternal, provider.id, caller()));
  while (!entered_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(ok_value(kmip.provider(provider.id)).is_active);
  EXPECT_EQ(kmip.delete_provider(provider.id, caller()).reason(), Reason::kProviderActive);
  EXPECT_EQ(kmip.remove_server(server.id, caller()).reason(), Reason::kLastServer);
  EXPECT_EQ(kmip.delete_server(server.id, caller()).reason(), Reason::kLastServer);
  held_ = false;
  EXPECT_EQ(finish(start.job.uuid).state, JobState::kSucceeded);
}

// While a server is tried out, another may take its place.
TEST_F(KmipThreads, TwoServersForOneProviderAtOnce) {
  Kmip& kmip = service_->kmip();
  const KmipProvider provider = ok_value(kmip.create_provider("p", caller()));
  const KmipServer first = add_server();
  const KmipServer second = add_server();
  std::optional<Answer<Done>> in_between;
  meanwhile_ = [&] { in_between = kmip.add_server(provider.id, second.id, caller()); };
  EXPECT_EQ(kmip.add_server(provider.id, first.id, caller()).reason(), Reason::kServerAssigned);
  EXPECT_TRUE(in_between && in_between->ok());
  EXPECT_EQ(ok_value(kmip.provider(provider.id)).server_ids, std::vector{second.id});
}

TEST_F(KmipThreads, ThePrivateKeyIsSealed) {
  Kmip& kmip = service_->kmip();
  ok_value(kmip.test_server(add_server().id));
  ASSERT_GT(private_pem_.size(), 1000U);
  std::string stored;
  for (const auto& file : std::filesystem::directory_iterator(options_.store_directory)) {
    std::ifstream in(file.path(), std::ios::binary);
    stored.append(std::istreambuf_iterator<char>(in), {});
  }
  EXPECT_NE(stored.find("BEGIN CERTIFICATE REQUEST"), std::string::npos);  // control
  EXPECT_EQ(stored.find("PRIVATE KEY"), std::string::npos);
  std::istringstream lines(private_pem_);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() != 64) continue;
    EXPECT_EQ(stored.find(line), std::string::npos);
  }
}

TEST_F(KmipThreads, WhatCannotBeAServer) {
  const auto reason = [&](const std::function<void(KmipServerSettings*)>& change) {
    KmipServerSettings given = settings();
    change(&given);
    return service_->kmip().create_server(given, caller()).reason();
  };
  using Given = KmipServerSettings*;
  EXPECT_EQ(reason([](Given g) { g->hosts.reset(); }), Reason::kInvalidInput);
  EXPECT_EQ(reason([](Given g) { g->hosts = {"a b"}; }), Reason::kInvalidInput);
  EXPECT_EQ(reason([](Given g) { g->port = 0; }), Reason::kInvalidInput);
  EXPECT_EQ(reason([](Given g) { g->ca_pem = "none"; }), Reason::kCertificate);
  EXPECT_EQ(reason([](Given g) { g->certificate_pem.reset(); }), Reason::kCertificate);
  ok_value(service_->kmip().create_key_pair({}, caller()));
  EXPECT_EQ(reason([](Given) {}), Reason::kCertificate);  // it is for the pair before
}

TEST_F(KmipThreads, ElementGoesToExternalKeysAndBack) {
  Kmip& kmip = service_->kmip();
  Element& element = service_->element();
  const KmipProvider provider = ok_value(kmip.create_provider("p", caller()));
  const auto move = [&](KeyManagement management, std::optional<std::int64_t> id) {
    return finish(ok_value(element.rekey(management, id, caller())).job.uuid);
  };
  const Job without = move(KeyManagement::kExternal, provider.id);
  EXPECT_EQ(without.state, JobState::kFailed);  // it has no server
  EXPECT_EQ(without.error.reason, Reason::kProviderHasNoServer);
  const KmipServer server = add_server();
  ok_value(kmip.add_server(provider.id, server.id, caller()));

  const Job out = move(KeyManagement::kExternal, provider.id);
  ASSERT_EQ(out.state, JobState::kSucceeded) << out.error.message;
  EXPECT_EQ(key_name_, format_uuid(out.to_key));
  const RekeyKeys keys = ok_value(element.keys_of(out));
  EXPECT_TRUE(keys.moves);
  EXPECT_EQ(keys.key_to_decommission.management, KeyManagement::kInternal);
  EXPECT_EQ(keys.new_key->provider_id, provider.id);
  EXPECT_EQ(ok_value(element.info()).master_key->management, KeyManagement::kExternal);
  EXPECT_TRUE(ok_value(kmip.provider(provider.id)).is_active);
  EXPECT_EQ(kmip.delete_provider(provider.id, caller()).reason(), Reason::kProviderActive);
  EXPECT_EQ(kmip.remove_server(server.id, caller()).reason(), Reason::kLastServer);
  EXPECT_EQ(kmip.delete_server(server.id, caller()).reason(), Reason::kLastServer);

  // In place means: where the present key is.
  const Job again = finish(ok_value(element.rekey({}, {}, caller())).job.uuid);
  ASSERT_EQ(again.state, JobState::kSucceeded) << again.error.message;
  EXPECT_EQ(ok_value(element.info()).master_key->provider_id, provider.id);
  answer_ = Status(Errc::kUnavailable, "no connection");
  EXPECT_EQ(element.rekey({}, {}, caller()).reason(), Reason::kRootBlocked);
  answer_ = {};

  const Job back = move(KeyManagement::kInternal, {});
  ASSERT_EQ(back.state, JobState::kSucceeded) << back.error.message;
  const RekeyKeys then = ok_value(element.keys_of(back));
  EXPECT_EQ(then.key_to_decommission.provider_id, provider.id);  // though it is destroyed
  EXPECT_EQ(then.new_key->management, KeyManagement::kInternal);
  EXPECT_FALSE(ok_value(kmip.provider(provider.id)).is_active);
  expect_keyset(4);
}

}  // namespace
}  // namespace rewrap
