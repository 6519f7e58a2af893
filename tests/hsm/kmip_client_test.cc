// The KMIP client against a server that does what it should not: at the TLS handshake, in the middle of
// an answer, and in what an answer says. Each ends as one clear error, and nothing is done twice.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include "hsm/kmip/client.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/kmip_scripted_server.h"

namespace rewrap {
namespace {

using kmip::Operation;
using std::chrono::milliseconds;
using test::Peer;
using test::ScriptedServer;
using test::ScriptedTerms;

const Bytes kKey(32, 0x6b);

bool says(const Status& status, const std::string& words) {
  return std::string(status.describe()).find(words) != std::string::npos;
}

bool hints(const Status& status, const std::string& words) {
  return std::string(status.hint()).find(words) != std::string::npos;
}

// sound answers every request as a sound server does.
Bytes sound(const Bytes& request) {
  switch (test::operation_of(request)) {
    case Operation::kDiscoverVersions:
      return test::versions_answer();
    case Operation::kQuery:
      return test::query_answer();
    case Operation::kGet:
      return test::key_answer("key-1", kKey);
    case Operation::kGetAttributes:
      return test::attributes_answer("key-1", KmipState::kActive);
    case Operation::kLocate:
      return test::locate_answer({"key-1"});
    default:
      return test::id_answer(test::operation_of(request), "key-1");
  }
}

void answer_soundly(Peer& peer) {
  while (const auto request = peer.request()) peer.send(sound(*request));
}

// first_then answers the first request of a connection, which asks for the versions, and hands the
// second to `then`.
ScriptedServer::Script first_then(const std::function<void(Peer&, const Bytes&)>& then) {
  return [then](Peer& peer) {
    const auto first = peer.request();
    if (!first || !peer.send(sound(*first))) return;
    if (const auto second = peer.request()) then(peer, *second);
  };
}

Status connect_to(const KmipEndpoint& server) { return KmipClient::connect(server).status(); }

TEST(KmipClientTest, DoesEveryOperation) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const ScriptedServer server(answer_soundly, {.tls_version = version});
    const auto client = KmipClient::connect(server.server());
    ASSERT_OK(client);
    KmipClient& it = *client.value();
    EXPECT_EQ(it.discover_versions().value().size(), 4U);
    EXPECT_EQ(it.query().value().vendor, "a scripted server");
    EXPECT_EQ(it.create("name").value(), "key-1");
    EXPECT_OK(it.activate("key-1"));
    EXPECT_EQ(it.locate("name", 3).value(), std::vector<std::string>{"key-1"});
    EXPECT_EQ(it.get_attributes("key-1")->state, KmipState::kActive);
    const auto key = it.get("key-1");
    ASSERT_OK(key);
    EXPECT_TRUE(secrets_equal(key->expose_secret(), kKey));
    EXPECT_OK(it.revoke("key-1"));
    EXPECT_OK(it.destroy("key-1"));
    EXPECT_EQ(it.tls().substr(0, 7), version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    EXPECT_EQ(server.num_connections(), 1);
  }
}

// --- who the server is

TEST(KmipTls, ServersNameMustBeTheOneAskedFor) {
  const ScriptedServer other(answer_soundly,
                             {.certificate = {.common_name = "127.0.0.1",  // the CN does not count
                                              .names = "DNS:other.example,IP:127.0.0.2"}});
  const Status refused = connect_to(other.server());
  EXPECT_CODE(refused, Errc::kDenied);
  EXPECT_TRUE(says(refused, "for another name")) << refused.describe();

  const ScriptedServer only_name(answer_soundly, {.certificate = {.names = "DNS:localhost"}});
  EXPECT_CODE(connect_to(only_name.server()), Errc::kDenied);  // asked for by its address
  KmipEndpoint by_name = only_name.server();
  by_name.host = "localhost";
  EXPECT_OK(connect_to(by_name));

  const ScriptedServer wild(answer_soundly, {.certificate = {.names = "DNS:l*st,DNS:*"}});
  by_name = wild.server();
  by_name.host = "localhost";
  EXPECT_CODE(connect_to(by_name), Errc::kDenied);
}

TEST(KmipTls, ServersCertificateMustBeSound) {
  const test::TestCa other_ca;
  const struct {
    ScriptedTerms terms;
    const char* words;
  } cases[] = {
      {{.certificate = {.from_days = -3, .to_days = -1}}, "has expired"},
      {{.certificate = {.from_days = 2, .to_days = 3}}, "is not valid yet"},
      {{.signer = &other_ca}, "not signed by the CA"},
      {{.certificate = {.use = test::CertUse::kClient}}, "certificate is refused"},
  };
  for (const auto& [terms, words] : cases) {
    const ScriptedServer server(answer_soundly, terms);
    const Status refused = connect_to(server.server());
    EXPECT_CODE(refused, Errc::kDenied);
    EXPECT_TRUE(says(refused, words)) << refused.describe();
    EXPECT_STRNE(refused.hint(), "");
  }
  const ScriptedServer server(answer_soundly);
  EXPECT_OK(connect_to(server.server()));  // control
  TlsIdentity trusts_other = server.identity();
  trusts_other.ca = other_ca.certificate();
  EXPECT_CODE(connect_to(server.server_for(std::move(trusts_other))), Errc::kDenied);
  TlsIdentity trusts_both = server.identity();
  trusts_both.ca = other_ca.certificate() + trusts_both.ca;
  EXPECT_OK(connect_to(server.server_for(std::move(trusts_both))));
}

// --- who the client is

TEST(KmipTls, RefusedClientCertificateIsToldSo) {
  const test::TestCa other_ca;
  test::CertTerms expired = test::client_terms("rewrap");
  expired.from_days = -3;
  expired.to_days = -1;
  const std::string trusted = ScriptedServer::ca().certificate();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const ScriptedServer server(answer_soundly, {.tls_version = version});
    const auto as = [&](const test::PemPair& pair) {
      return connect_to(server.server_for(test::identity_of(trusted, pair)));
    };
    const Status unknown = as(other_ca.issue(test::client_terms("rewrap")));
    EXPECT_CODE(unknown, Errc::kDenied);
    EXPECT_TRUE(says(unknown, "refused our client certificate")) << unknown.describe();
    EXPECT_TRUE(hints(unknown, "register")) << unknown.hint();
    const Status late = as(ScriptedServer::ca().issue(expired));
    EXPECT_CODE(late, Errc::kDenied);
    EXPECT_TRUE(says(late, "refused our client certificate")) << late.describe();
    EXPECT_TRUE(hints(late, "expired")) << late.hint();
    EXPECT_OK(as(ScriptedServer::ca().issue(test::client_terms("another"))));  // control
  }
}

TEST(KmipTls, BrokenIdentityNeverConnects) {
  const ScriptedServer server(answer_soundly);
  const test::PemPair other = ScriptedServer::ca().issue(test::client_terms("other"));
  const auto refused = [&](const std::function<void(TlsIdentity*)>& spoil) {
    TlsIdentity identity = server.identity();
    spoil(&identity);
    const Status status = connect_to(server.server_for(std::move(identity)));
    EXPECT_CODE(status, Errc::kInvalidArgument);
    return std::string(status.hint());
  };
  const auto key_of = [](const std::string& text) {
    return SecretBuffer::copy_of(as_bytes(text)).value();
  };
  const std::string sealed =
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
      "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgAAAAAAAAAAAICCAAw\n"
      "-----END ENCRYPTED PRIVATE KEY-----\n";
  EXPECT_NE(refused([](TlsIdentity* it) { it->ca.clear(); }).find("ca="), std::string::npos);
  EXPECT_NE(refused([](TlsIdentity* it) { it->ca += "-----BEGIN CERTIFICATE-----\nAAAA\n"; }), "");
  EXPECT_NE(refused([](TlsIdentity* it) { it->certificate = "no PEM"; }).find("cert="),
            std::string::npos);
  EXPECT_NE(refused([&](TlsIdentity* it) { it->key = key_of(other.key); }).find("together"),
            std::string::npos);
  EXPECT_NE(refused([&](TlsIdentity* it) { it->key = key_of("no PEM"); }).find("key="),
            std::string::npos);
  EXPECT_NE(refused([&](TlsIdentity* it) { it->key = key_of(sealed); }).find("passphrase"),
            std::string::npos);
  EXPECT_NE(refused([](TlsIdentity* it) { it->key = SecretBuffer(); }), "");
  EXPECT_EQ(server.num_connections(), 0);
}

// --- what is spoken

TEST(KmipTls, NothingWeakIsSpoken) {
  const ScriptedServer old(answer_soundly, {.tls_version = TLS1_1_VERSION});
  EXPECT_CODE(connect_to(old.server()), Errc::kUnsupported);
  for (const char* suite : {"ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-NULL-SHA", "aNULL"}) {
    const ScriptedServer weak(answer_soundly, {.tls_version = TLS1_2_VERSION, .ciphers = suite});
    EXPECT_CODE(connect_to(weak.server()), Errc::kUnsupported) << suite;
  }
  for (const char* suite : {"ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"}) {
    const ScriptedServer fair(answer_soundly, {.tls_version = TLS1_2_VERSION, .ciphers = suite});
    EXPECT_OK(connect_to(fair.server())) << suite;  // control
  }
  for (const std::string greeting :
       {"SSH-2.0-OpenSSH_9.2p1\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n"}) {
    const ScriptedServer plain(
        [&](Peer& peer) { ::send(peer.fd(), greeting.data(), greeting.size(), MSG_NOSIGNAL); },
        {.speaks_tls = false});
    const Status status = connect_to(plain.server());
    EXPECT_CODE(status, Errc::kUnavailable);
    EXPECT_TRUE(says(status, "does not speak TLS")) << status.describe();
  }
}

TEST(KmipTls, NobodyThereIsUnavailable) {
  KmipEndpoint server;
  {
    const ScriptedServer gone(answer_soundly);
    server = gone.server();
  }
  const Status refused = connect_to(server);
  EXPECT_CODE(refused, Errc::kUnavailable);
  EXPECT_TRUE(says(refused, "cannot be reached")) << refused.describe();
  server.host = "no..such..host";
  const Status unknown = connect_to(server);
  EXPECT_CODE(unknown, Errc::kUnavailable);
  EXPECT_TRUE(says(unknown, "has no address")) << unknown.describe();
}

// --- servers that do not finish

TEST(KmipClientTest, SlowServersAreCutAtTheDeadline) {
  const ScriptedServer silent_tls([](Peer& peer) { peer.wait_until_gone(); },
                                  {.speaks_tls = false});
  const ScriptedServer silent([](Peer& peer) { peer.wait_until_gone(); });
  const ScriptedServer dripping([](Peer& peer) {
    const auto request = peer.request();
    if (request) peer.drip(sound(*request), milliseconds(10));  // more than 200 bytes
  });
  const ScriptedServer halting([](Peer& peer) {
    const auto request = peer.request();
    if (!request) return;
    peer.send(ByteView(sound(*request)).first(100));
    peer.wait_until_gone();
  });
  for (const ScriptedServer* server : {&silent_tls, &silent, &dripping, &halting}) {
    KmipEndpoint impatient = server->server();
    impatient.timeout = milliseconds(100);
    const Status status = connect_to(impatient);
    EXPECT_CODE(status, Errc::kUnavailable);
    EXPECT_TRUE(says(status, "did not answer in time")) << status.describe();
    EXPECT_EQ(server->num_connections(), 1);  // a slow server is not asked again
  }
}

TEST(KmipClientTest, AnswerCutAnywhereIsUnavailable) {
  const Bytes whole = test::key_answer("key-1", kKey);
  std::size_t len = 0;
  const ScriptedServer server([&](Peer& peer) {
    while (const auto request = peer.request()) {
      if (test::operation_of(*request) != Operation::kGet) {
        peer.send(sound(*request));
        continue;
      }
      peer.send(ByteView(whole).first(len));
      return;
    }
  });
  for (len = 0; len < whole.size(); len += 13) {
    const auto client = KmipClient::connect(server.server());
    ASSERT_OK(client);
    EXPECT_CODE(client.value()->get("key-1"), Errc::kUnavailable) << len;
  }
  len = whole.size();
  const auto client = KmipClient::connect(server.server());
  ASSERT_OK(client);
  EXPECT_OK(client.value()->get("key-1"));  // control
}

TEST(KmipClientTest, ConnectionCutWithoutGoodbyeIsUnavailable) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const ScriptedServer server(
        [](Peer& peer) {
          if (peer.request()) peer.cut();
        },
        {.tls_version = version});
    const Status status = connect_to(server.server());
    EXPECT_CODE(status, Errc::kUnavailable);
    EXPECT_TRUE(says(status, "closed the connection")) << status.describe();
  }
}

// --- once, twice, never more

TEST(KmipClientTest, IdleConnectionIsReplacedForWhatOnlyAsks) {
  // Each connection answers one request and closes.
  const ScriptedServer server([](Peer& peer) {
    if (const auto request = peer.request()) peer.send(sound(*request));
  });
  const auto client = KmipClient::connect(server.server());
  ASSERT_OK(client);
  EXPECT_OK(client.value()->get("key-1"));
  EXPECT_OK(client.value()->locate("name", 2));
  EXPECT_OK(client.value()->query());
  EXPECT_EQ(server.num_connections(), 4);
}

TEST(KmipClientTest, WhatChangesSomethingIsSentOnce) {
  std::mutex mutex;
  std::vector<Operation> seen;
  const ScriptedServer server([&](Peer& peer) {
    while (const auto request = peer.request()) {
      const std::lock_guard<std::mutex> lock(mutex);
      seen.push_back(test::operation_of(*request));
      if (seen.back() != Operation::kDiscoverVersions) return;  // done, but never answered
      peer.send(sound(*request));
    }
  });
  const auto client = KmipClient::connect(server.server());
  ASSERT_OK(client);
  KmipClient& it = *client.value();
  const Status statuses[] = {it.create("name").status(), it.activate("key-1"), it.revoke("key-1"),
                             it.destroy("key-1")};
  for (const Status& status : statuses) {
    EXPECT_CODE(status, Errc::kUnavailable);
    EXPECT_TRUE(hints(status, "may have done it or not")) << status.hint();
  }
  EXPECT_CODE(it.get("key-1"), Errc::kUnavailable);  // on a new connection: not tried again
  const std::lock_guard<std::mutex> lock(mutex);
  EXPECT_EQ(seen, (std::vector<Operation>{Operation::kDiscoverVersions, Operation::kCreate,
                                          Operation::kActivate, Operation::kRevoke,
                                          Operation::kDestroy, Operation::kGet}));
}

TEST(KmipClientTest, WhatOnlyAsksIsSentTwiceAtMost) {
  std::atomic<int> num_gets = 0;
  const ScriptedServer server([&](Peer& peer) {
    while (const auto request = peer.request()) {
      if (test::operation_of(*request) == Operation::kGet && ++num_gets > 0) return;
      peer.send(sound(*request));
    }
  });
  const auto client = KmipClient::connect(server.server());
  ASSERT_OK(client);
  EXPECT_CODE(client.value()->get("key-1"), Errc::kUnavailable);
  EXPECT_EQ(num_gets, 2);
}

// --- what answers say

Bytes with_batch_count(Bytes answer, std::uint8_t count) {
  const Bytes pattern = {0x42, 0x00, 0x0D, 0x02, 0, 0, 0, 4, 0, 0, 0};
  const auto at = std::search(answer.begin(), answer.end(), pattern.begin(), pattern.end());
  *(at + static_cast<std::ptrdiff_t>(pattern.size())) = count;
  return answer;
}

Bytes replaced(Bytes answer, const Bytes& from, const Bytes& to) {
  const auto at = std::search(answer.begin(), answer.end(), from.begin(), from.end());
  EXPECT_NE(at, answer.end());
  std::copy(to.begin(), to.end(), at);
  return answer;
}

Bytes text_bytes(const char* text) {
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

TEST(KmipClientTest, GarbledAnswersAreOneClearError) {
  const Bytes whole = test::key_answer("key-1", kKey);
  const Bytes broken[] = {
      text_bytes("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
      {0x42, 0x00, 0x7B, 0x01, 0xff, 0xff, 0xff, 0xff},  // 4 GiB
      {0x42, 0x00, 0x7B, 0x01, 0x00, 0x01, 0x00, 0x00},  // a bit too long
      {0x42, 0x00, 0x7B, 0x01, 0x00, 0x00, 0x00, 0x00},  // empty
      {0x42, 0x00, 0x78, 0x01, 0x00, 0x00, 0x00, 0x00},  // a request
      test::key_answer("key-2", kKey),
      test::id_answer(Operation::kActivate, "key-1"),
      with_batch_count(whole, 2),
      with_batch_count(whole, 0),
      replaced(whole, text_bytes("key-1"), text_bytes("k\ny-1")),
      replaced(whole, {0x42, 0x00, 0x43, 0x08}, {0x42, 0x00, 0x43, 0x07}),  // the key as a text
      replaced(whole, {0x42, 0x00, 0x43, 0x08}, {0x42, 0x00, 0x44, 0x08}),
  };
  Bytes now;
  std::atomic<int> num_gets = 0;
  const ScriptedServer server(first_then([&](Peer& peer, const Bytes&) {
    ++num_gets;
    peer.send(now);
    peer.wait_until_gone();
  }));
  for (const Bytes& bytes : broken) {
    now = bytes;
    const auto client = KmipClient::connect(server.server());
    ASSERT_OK(client);
    const auto key = client.value()->get("key-1");
    EXPECT_CODE(key, Errc::kUnavailable) << encode_hex(bytes);
    EXPECT_STRNE(key.status().hint(), "");
  }
  EXPECT_EQ(num_gets, static_cast<int>(std::size(broken)));  // none was asked for again
}

TEST(KmipClientTest, AnswersToSomethingElseAreNotTakenForAYes) {
  Bytes now;
  const ScriptedServer server(first_then([&](Peer& peer, const Bytes&) { peer.send(now); }));
  const auto activate = [&](const Bytes& answer) {
    now = answer;
    auto client = KmipClient::connect(server.server());
    EXPECT_OK(client);
    return client.value()->activate("key-1");
  };
  EXPECT_CODE(activate(test::id_answer(Operation::kRevoke, "key-1")), Errc::kUnavailable);
  EXPECT_CODE(activate(test::id_answer(Operation::kActivate, "key-2")), Errc::kUnavailable);
  EXPECT_CODE(activate(test::answer(Operation::kActivate, [](TtlvWriter&) {})), Errc::kUnavailable);
  EXPECT_OK(activate(test::id_answer(Operation::kActivate, "key-1")));  // control
}

// The state of another key must not be taken for that of the root key.
TEST(KmipClientTest, AttributesOfAnotherKeyAreNotBelieved) {
  Bytes now;
  const ScriptedServer server(first_then([&](Peer& peer, const Bytes&) { peer.send(now); }));
  const auto ask = [&](const Bytes& answer) {
    now = answer;
    auto client = KmipClient::connect(server.server());
    EXPECT_OK(client);
    return client.value()->get_attributes("key-1");
  };
  EXPECT_CODE(ask(test::attributes_answer("key-2", KmipState::kActive)), Errc::kUnavailable);
  EXPECT_OK(ask(test::attributes_answer("key-1", KmipState::kActive)));  // control
}

TEST(KmipClientTest, AfterAGarbledAnswerTheConnectionIsNotUsedAgain) {
  std::atomic<bool> garble = true;
  const ScriptedServer server([&](Peer& peer) {
    while (const auto request = peer.request()) {
      Bytes answer = sound(*request);
      if (test::operation_of(*request) == Operation::kGet && garble.exchange(false))
        answer = test::locate_answer({"key-1"});
      peer.send(answer);
    }
  });
  const auto client = KmipClient::connect(server.server());
  ASSERT_OK(client);
  EXPECT_CODE(client.value()->get("key-1"), Errc::kUnavailable);
  EXPECT_OK(client.value()->get("key-1"));
  EXPECT_EQ(server.num_connections(), 2);
}

TEST(KmipClientTest, KeysThatAreNoRootKeysAreRefused) {
  const Bytes whole = test::key_answer("key-1", kKey);
  const Bytes others[] = {
      test::key_answer("key-1", Bytes(16, 1)),
      test::key_answer("key-1", Bytes(64, 1)),
      test::key_answer("key-1", {}),
      replaced(whole, {0x42, 0x00, 0x28, 0x05, 0, 0, 0, 4, 0, 0, 0, 3},
               {0x42, 0x00, 0x28, 0x05, 0, 0, 0, 4, 0, 0, 0, 2}),  // Triple DES
      replaced(whole, {0x42, 0x00, 0x42, 0x05, 0, 0, 0, 4, 0, 0, 0, 1},
               {0x42, 0x00, 0x42, 0x05, 0, 0, 0, 4, 0, 0, 0, 7}),  // another format
      replaced(whole, {0x42, 0x00, 0x57, 0x05, 0, 0, 0, 4, 0, 0, 0, 2},
               {0x42, 0x00, 0x57, 0x05, 0, 0, 0, 4, 0, 0, 0, 7}),  // secret data
      // Wrapped: Key Wrapping Data in the place of the length, which nobody reads.
      replaced(whole, {0x42, 0x00, 0x2A, 0x02, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 0, 0},
               {0x42, 0x00, 0x46, 0x01, 0, 0, 0, 8, 0x42, 0x00, 0x9E, 0x07, 0, 0, 0, 0}),
  };
  Bytes now;
  const ScriptedServer server(first_then([&](Peer& peer, const Bytes&) { peer.send(now); }));
  for (const Bytes& bytes : others) {
    now = bytes;
    const auto client = KmipClient::connect(server.server());
    ASSERT_OK(client);
    EXPECT_CODE(client.value()->get("key-1"), Errc::kRefused) << encode_hex(bytes);
  }
}

TEST(KmipClientTest, EveryReasonHasACodeAndANextStep) {
  const struct {
    std::uint32_t reason;
    Errc code;
    const char* name;
  } reasons[] = {
      {0x01, Errc::kNotFound, "Item Not Found"},
      {0x02, Errc::kExhausted, "Response Too Large"},
      {0x03, Errc::kDenied, "Authentication Not Successful"},
      {0x04, Errc::kUnsupported, "Invalid Message"},
      {0x05, Errc::kUnsupported, "Operation Not Supported"},
      {0x06, Errc::kUnsupported, "Missing Data"},
      {0x07, Errc::kUnsupported, "Invalid Field"},
      {0x08, Errc::kUnsupported, "Feature Not Supported"},
      {0x09, Errc::kUnavailable, "Operation Canceled By Requester"},
      {0x0A, Errc::kUnavailable, "Cryptographic Failure"},
      {0x0B, Errc::kDenied, "Illegal Operation"},
      {0x0C, Errc::kDenied, "Permission Denied"},
      {0x0D, Errc::kUnavailable, "Object Archived"},
      {0x10, Errc::kUnsupported, "Key Format Type Not Supported"},
      {0x13, Errc::kNotFound, "Key Value Not Present"},
      {0x14, Errc::kUnsupported, "Attestation Required"},
      {0x15, Errc::kDenied, "Attestation Failed"},
      {0x16, Errc::kDenied, "Sensitive"},
      {0x17, Errc::kDenied, "Not Extractable"},
      {0x18, Errc::kAlreadyExists, "Object Already Exists"},
      {0x100, Errc::kUnavailable, "General Failure"},
      {0x7fffffff, Errc::kUnavailable, "an unknown reason"},
  };
  std::uint32_t now = 0;
  const ScriptedServer server([&](Peer& peer) {
    while (const auto request = peer.request()) {
      const Operation operation = test::operation_of(*request);
      peer.send(operation == Operation::kGet ? test::failure(operation, now) : sound(*request));
    }
  });
  const auto client = KmipClient::connect(server.server());
  ASSERT_OK(client);
  for (const auto& [reason, code, name] : reasons) {
    now = reason;
    const Status status = client.value()->get("key-1").status();
    EXPECT_CODE(status, code) << name;
    EXPECT_EQ(status.native(), Native::kKmip);
    EXPECT_EQ(status.native_number(), reason);
    EXPECT_TRUE(says(status, std::string("(Get: ") + name + ", 0x")) << status.describe();
    EXPECT_FALSE(says(status, "words of the server"));
    EXPECT_STRNE(status.hint(), "");
  }
  EXPECT_EQ(server.num_connections(), 1);  // a refusal is an answer: the connection is good
}

TEST(KmipClientTest, ServersWithoutVersion12AndAsynchronousOnesAreUnsupported) {
  const ScriptedServer old([](Peer& peer) {
    if (!peer.request()) return;
    peer.send(test::answer(Operation::kDiscoverVersions, [](TtlvWriter& out) {
      out.structure(kmip::kProtocolVersion, [&] {
        out.integer(kmip::kProtocolVersionMajor, 1);
        out.integer(kmip::kProtocolVersionMinor, 0);
      });
    }));
  });
  const Status status = connect_to(old.server());
  EXPECT_CODE(status, Errc::kUnsupported);
  EXPECT_TRUE(says(status, "KMIP 1.2")) << status.describe();
  const ScriptedServer ancient([](Peer& peer) {
    if (peer.request()) peer.send(test::failure(Operation::kDiscoverVersions, 0x05));
  });
  EXPECT_CODE(connect_to(ancient.server()), Errc::kUnsupported);
  const ScriptedServer later(first_then([](Peer& peer, const Bytes& request) {
    peer.send(replaced(sound(request), {0x42, 0x00, 0x7F, 0x05, 0, 0, 0, 4, 0, 0, 0, 0},
                       {0x42, 0x00, 0x7F, 0x05, 0, 0, 0, 4, 0, 0, 0, 2}));  // pending
  }));
  const auto client = KmipClient::connect(later.server());
  ASSERT_OK(client);
  EXPECT_CODE(client.value()->get("key-1"), Errc::kUnsupported);
}

TEST(KmipClientTest, ForkedChildNeitherUsesNorEndsTheConnection) {
  const ScriptedServer server(answer_soundly);
  auto client = KmipClient::connect(server.server());
  ASSERT_OK(client);
  const pid_t child = fork();
  if (child == 0) {
    const bool refused = client.value()->get("key-1").status().code() == Errc::kUnavailable;
    client.value().reset();
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_OK(client.value()->get("key-1"));
  EXPECT_EQ(server.num_connections(), 1);
}

}  // namespace
}  // namespace rewrap
