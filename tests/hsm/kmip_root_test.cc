// The KMIP root against PyKMIP: a key's whole life, what an interrupted one leaves behind, and what
// PyKMIP's own client sees of it.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "hsm/file/aes_key_wrap.h"
#include "hsm/kmip/client.h"
#include "hsm/kmip/root_key.h"
#include "hsm/root.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/kmip_fixture.h"
#include "tests/hsm/memory_search.h"

namespace rewrap {
namespace {

using test::PyKmip;

const Bytes kContext = {1, 2, 3};

Bytes copy_of(const SecretBuffer& secret) {
  const ByteView bytes = secret.expose_secret();
  return {bytes.begin(), bytes.end()};
}

std::string id_of(const Protector& protector) { return protector.key_ref.substr(3); }

class KmipRootTest : public testing::Test {
 protected:
  [[nodiscard]] std::unique_ptr<KmipClient> connect() const {
    auto client = KmipClient::connect(server_.server());
    EXPECT_OK(client);
    return std::move(client).value();
  }

  // made gives a KEK under the root key that the URI names.
  [[nodiscard]] static ProtectedKek make_kek(const std::string& uri) {
    const auto root = open_root(uri, {});
    EXPECT_OK(root);
    auto made = root.value()->create(32, kContext);
    EXPECT_OK(made);
    return std::move(made).value();
  }

  PyKmip& server_ = PyKmip::shared();
  const std::string name_ = PyKmip::unique_name("root");
  const std::string uri_ = server_.uri("name=" + name_);
};

TEST_F(KmipRootTest, LivesFromCreateToDestroy) {
  EXPECT_CODE(open_root(uri_, {}), Errc::kNotFound);
  Mechanism made_by{};
  ASSERT_OK(create_root_key(uri_, {}, &made_by));
  EXPECT_EQ(made_by, Mechanism::kAesKeyWrap);
  EXPECT_CODE(create_root_key(uri_, {}), Errc::kAlreadyExists);
  const ProtectedKek made = make_kek(uri_);
  const std::string id = id_of(made.protector);
  const auto by_id = open_root(server_.uri("id=" + id), {});
  ASSERT_OK(by_id);
  EXPECT_EQ(copy_of(by_id.value()->open(made.protector, kContext).value()), copy_of(made.kek));

  // Revoked, it opens what it sealed and seals nothing new.
  const auto client = connect();
  ASSERT_OK(client->revoke(id));
  const auto revoked = open_root(uri_, {});
  ASSERT_OK(revoked);
  EXPECT_OK(revoked.value()->open(made.protector, kContext));
  EXPECT_CODE(revoked.value()->create(32, kContext), Errc::kRefused);
  EXPECT_CODE(revoked.value()->protect(made.kek, kContext), Errc::kRefused);

  ASSERT_OK(client->destroy(id));
  EXPECT_CODE(open_root(uri_, {}), Errc::kNotFound);
  EXPECT_CODE(open_root(server_.uri("id=" + id), {}), Errc::kNotFound);
}

TEST_F(KmipRootTest, StatesAreKept) {
  const auto client = connect();
  const auto id = client->create(name_);
  ASSERT_OK(id);
  EXPECT_EQ(client->get_attributes(id.value())->state, KmipState::kPreActive);
  ASSERT_OK(client->activate(id.value()));
  const auto attributes = client->get_attributes(id.value());
  ASSERT_OK(attributes);
  EXPECT_EQ(attributes->state, KmipState::kActive);
  EXPECT_EQ(attributes->length, 256);
  EXPECT_EQ(attributes->usage, 0x30);
  EXPECT_CODE(client->activate(id.value()), Errc::kDenied);
  EXPECT_CODE(client->destroy(id.value()), Errc::kDenied);  // an active key
  ASSERT_OK(client->revoke(id.value()));
  EXPECT_EQ(client->get_attributes(id.value())->state, KmipState::kDeactivated);
  ASSERT_OK(client->destroy(id.value()));
  const auto gone = client->get(id.value());
  EXPECT_CODE(gone, Errc::kNotFound);
  EXPECT_NE(gone.status().describe().find("(Get: Item Not Found, 0x1)"), std::string::npos);
  EXPECT_TRUE(client->locate(name_, 3)->empty());
}

// --- crashes and rivals

TEST_F(KmipRootTest, CreateFinishesWhatWasInterruptedBeforeActivate) {
  const auto id = connect()->create(name_);  // and the program ends here
  ASSERT_OK(id);
  const auto root = open_root(uri_, {});
  EXPECT_CODE(root, Errc::kNotFound);
  EXPECT_NE(std::string(root.status().hint()).find("root create"), std::string::npos);
  ASSERT_OK(create_root_key(uri_, {}));
  EXPECT_EQ(id_of(make_kek(uri_).protector), id.value());  // the same key, not another
  EXPECT_EQ(connect()->locate(name_, 3)->size(), 1U);
}

TEST_F(KmipRootTest, LeftoverBesideTheRootKeyDoesNotMatter) {
  ASSERT_OK(create_root_key(uri_, {}));
  ASSERT_OK(connect()->create(name_));
  EXPECT_OK(open_root(uri_, {}));
  EXPECT_CODE(create_root_key(uri_, {}), Errc::kAlreadyExists);
}

TEST_F(KmipRootTest, TwoKeysOfOneNameAreAConflict) {
  const auto client = connect();
  const auto one = client->create(name_);
  const auto two = client->create(name_);
  ASSERT_OK(one);
  ASSERT_OK(two);
  EXPECT_CODE(create_root_key(uri_, {}), Errc::kAlreadyExists);  // which of the two to take?
  ASSERT_OK(client->activate(one.value()));
  ASSERT_OK(client->activate(two.value()));
  const auto root = open_root(uri_, {});
  EXPECT_CODE(root, Errc::kConflict);
  EXPECT_NE(std::string(root.status().hint()).find("id="), std::string::npos);
  EXPECT_OK(open_root(server_.uri("id=" + two.value()), {}));
}

TEST_F(KmipRootTest, RivalsNeverMakeTwo) {
  for (int round = 0; round < 3; ++round) {
    const std::string name = PyKmip::unique_name("rivals");
    const std::string uri = server_.uri("name=" + name);
    Status statuses[2];
    std::thread other([&] { statuses[1] = create_root_key(uri, {}); });
    statuses[0] = create_root_key(uri, {});
    other.join();
    const auto ids = connect()->locate(name, 3);
    ASSERT_OK(ids);
    const bool one_made_it = statuses[0].ok() || statuses[1].ok();
    EXPECT_EQ(ids->size(), one_made_it ? 1U : 0U);
    for (const Status& status : statuses) {
      if (status.ok() || status.code() == Errc::kAlreadyExists) continue;
      EXPECT_CODE(status, Errc::kConflict);
    }
    EXPECT_EQ(open_root(uri, {}).ok(), one_made_it);
  }
}

// --- who may

TEST_F(KmipRootTest, AnotherClientSeesNothing) {
  ASSERT_OK(create_root_key(uri_, {}));
  const std::string id = id_of(make_kek(uri_).protector);
  server_.save_client("stranger", server_.ca().issue(test::client_terms("stranger")));
  EXPECT_CODE(open_root(server_.uri_as("stranger", "name=" + name_), {}), Errc::kNotFound);
  const auto refused = open_root(server_.uri_as("stranger", "id=" + id), {});
  EXPECT_CODE(refused, Errc::kDenied);
  EXPECT_NE(refused.status().describe().find("Permission Denied"), std::string::npos);
}

TEST_F(KmipRootTest, CertificatesThatTheServerRefusesAreDenied) {
  test::CertTerms for_servers = test::client_terms("rewrap");
  for_servers.use = test::CertUse::kServer;
  const test::TestCa other_ca;
  server_.save_client("wrong-use", server_.ca().issue(for_servers));
  server_.save_client("unknown", other_ca.issue(test::client_terms("rewrap")));
  for (const char* client : {"wrong-use", "unknown"})
    EXPECT_CODE(open_root(server_.uri_as(client, "name=" + name_), {}), Errc::kDenied) << client;
}

TEST_F(KmipRootTest, FilesAreLookedAtFirst) {
  server_.save_client("readable", server_.ca().issue(test::client_terms("rewrap")));
  const std::string uri = server_.uri_as("readable", "name=" + name_);
  ASSERT_EQ(chmod((server_.folder() + "/readable.key").c_str(), 0640), 0);
  EXPECT_CODE(open_root(uri, {}), Errc::kDenied);
  ASSERT_EQ(unlink((server_.folder() + "/readable.key").c_str()), 0);
  const auto no_key = open_root(uri, {});
  EXPECT_CODE(no_key, Errc::kNotFound);
  EXPECT_NE(std::string(no_key.status().hint()).find("key="), std::string::npos);
  ASSERT_EQ(unlink((server_.folder() + "/readable.pem").c_str()), 0);
  const auto no_cert = open_root(uri, {});
  EXPECT_CODE(no_cert, Errc::kNotFound);
  EXPECT_NE(std::string(no_cert.status().hint()).find("cert="), std::string::npos);
}

// --- a second opinion

TEST_F(KmipRootTest, PyKmipReadsTheKeyThatRewrapMade) {
  ASSERT_OK(create_root_key(uri_, {}));
  const ProtectedKek made = make_kek(uri_);
  const std::string digits = server_.python("get " + id_of(made.protector));
  Bytes key;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    key.push_back(static_cast<std::uint8_t>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  const auto opened = openssl_unwrap(key, made.protector.blob);  // RFC 3394, nothing of ours
  ASSERT_OK(opened);
  EXPECT_EQ(copy_of(opened.value()), copy_of(made.kek));
  EXPECT_EQ(server_.python("state " + id_of(made.protector)), "ACTIVE");
}

TEST_F(KmipRootTest, RewrapUsesTheKeyThatPyKmipMade) {
  const Bytes key(32, 0xa7);
  const std::string id = server_.python("register " + name_ + " " + encode_hex(key));
  const ProtectedKek made = make_kek(uri_);
  EXPECT_EQ(made.protector.key_ref, "id=" + id);
  const auto opened = openssl_unwrap(key, made.protector.blob);
  ASSERT_OK(opened);
  EXPECT_EQ(copy_of(opened.value()), copy_of(made.kek));

  // A key that PyKMIP's client revokes as compromised opens, and seals nothing new.
  server_.python("revoke " + id);
  const auto compromised = open_root(uri_, {});
  ASSERT_OK(compromised);
  EXPECT_OK(compromised.value()->open(made.protector, kContext));
  EXPECT_CODE(compromised.value()->create(32, kContext), Errc::kRefused);
}

TEST_F(KmipRootTest, KeysOfAnotherKindAreRefused) {
  server_.python("make " + name_ + " 128");
  const auto root = open_root(uri_, {});
  EXPECT_CODE(root, Errc::kRefused);
  EXPECT_NE(root.status().describe().find("AES-256"), std::string::npos);
  // What a root key wraps, the server would decrypt for whoever may use this one.
  const std::string cipher = PyKmip::unique_name("cipher");
  server_.python("make_cipher " + cipher);
  const auto by_cipher = open_root(server_.uri("name=" + cipher), {});
  EXPECT_CODE(by_cipher, Errc::kRefused);
  EXPECT_NE(by_cipher.status().describe().find("other things"), std::string::npos);
}

// --- what is left

TEST_F(KmipRootTest, NoKeyIsLeftInMemory) {
  ASSERT_OK(create_root_key(uri_, {}));
  Bytes key;
  {
    const auto client = connect();
    const auto ids = client->locate(name_, 2);
    ASSERT_OK(ids);
    const auto fetched = client->get(ids->front());
    ASSERT_OK(fetched);
    key = test::masked(fetched->expose_secret());
    EXPECT_GE(test::count_in_process(key), 1U) << "control: the search finds what is there";
  }
  EXPECT_EQ(test::count_in_process(key), 0U) << "after get";
  {
    const ProtectedKek made = make_kek(uri_);
    const Bytes kek = test::masked(made.kek.expose_secret());
    EXPECT_EQ(test::count_in_process(kek), 1U) << "made.kek, and no other";
  }
  EXPECT_EQ(test::count_in_process(key), 0U) << "after open";
}

TEST_F(KmipRootTest, ProbeTriesEverythingAndLeavesNothing) {
  ASSERT_OK(create_root_key(uri_, {}));
  const std::string num_keys = server_.python("count");
  for (const std::string& uri : {uri_, server_.uri(""), server_.uri("name=none")}) {
    const auto root = open_root_for_probe(uri, {});
    ASSERT_OK(root);
    const auto report = root.value()->probe();
    ASSERT_OK(report);
    EXPECT_NE(report->description.find("PyKMIP"), std::string::npos) << report->description;
    EXPECT_NE(report->description.find("TLSv1.2"), std::string::npos) << report->description;
    EXPECT_EQ(report->key_ref.empty(), uri != uri_);
    std::string names;
    for (const Capability& capability : report->capabilities) {
      EXPECT_TRUE(capability.works) << capability.name << ": " << capability.detail;
      names += capability.name + "; ";
    }
    EXPECT_EQ(names,
              "Discover Versions; Create; Locate by Name; Get Attributes; Activate; "
              "State after Activate; Get; Revoke; Destroy; ");
    EXPECT_EQ(root.value()->create(32, kContext).ok(), uri == uri_);
  }
  EXPECT_EQ(server_.python("count"), num_keys);
}

TEST_F(KmipRootTest, UrisThatCannotWorkAreRefused) {
  EXPECT_CODE(open_root(server_.uri(""), {}), Errc::kInvalidArgument);
  EXPECT_CODE(create_root_key(server_.uri(""), {}), Errc::kInvalidArgument);
  EXPECT_CODE(create_root_key(server_.uri("id=1"), {}), Errc::kInvalidArgument);
  EXPECT_CODE(flush_root(uri_), Errc::kUnsupported);
}

}  // namespace
}  // namespace rewrap
