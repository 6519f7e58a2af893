// The making of a root key, cut off at every step: before the server does it, and after it did it but
// before its answer is there. Whatever was cut, the next run ends with one root key.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <string>

#include "hsm/root.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/kmip_scripted_server.h"
#include "tests/hsm/softhsm_fixture.h"

namespace rewrap {
namespace {

using kmip::Operation;
using test::Peer;
using test::ScriptedServer;

enum class Cut { kNever, kBefore, kAfter };

// KeyServer keeps keys of one name, and can be made to cut the connection at the nth request.
class KeyServer {
 public:
  KeyServer() : folder_(test::make_private_folder()), server_([this](Peer& peer) { serve(peer); }) {
    static const test::PemPair client = ScriptedServer::ca().issue(test::client_terms("rewrap"));
    write("ca.pem", ScriptedServer::ca().certificate());
    write("client.pem", client.certificate);
    write("client.key", client.key);
  }
  KeyServer(const KeyServer&) = delete;
  KeyServer& operator=(const KeyServer&) = delete;
  ~KeyServer() { test::remove_folder(folder_); }

  [[nodiscard]] std::string uri() const {
    return "kmip://127.0.0.1:" + std::to_string(server_.port()) + "?name=root&ca=file:" + folder_ +
           "/ca.pem&cert=file:" + folder_ + "/client.pem&key=file:" + folder_ + "/client.key";
  }

  void cut_at(int nth, Cut cut) {
    num_left_ = nth;
    cut_ = cut;
  }
  [[nodiscard]] bool was_cut() const { return num_left_ < 0; }

  std::map<std::string, KmipState> keys;
  bool tells_state = true;

 private:
  void write(const std::string& name, const std::string& text) const {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::trunc) << text;
    EXPECT_EQ(chmod(path.c_str(), 0600), 0);
  }

  void serve(Peer& peer) {
    while (const auto request = peer.request()) {
      const bool now = num_left_-- == 0 && cut_ != Cut::kNever;
      if (now && cut_ == Cut::kBefore) return peer.cut();
      const Bytes answer = answer_to(*request);
      if (now) return peer.cut();
      peer.send(answer);
    }
  }

  Bytes answer_to(const Bytes& request) {
    const Operation operation = test::operation_of(request);
    const std::string id = test::id_in(request);
    switch (operation) {
      case Operation::kDiscoverVersions:
        return test::versions_answer();
      case Operation::kCreate: {
        const std::string made = "key-" + std::to_string(++num_made_);
        keys[made] = KmipState::kPreActive;
        return test::id_answer(operation, made);
      }
      case Operation::kLocate:
        return test::answer(operation, [this](TtlvWriter& out) {
          for (const auto& [found, state] : keys) out.text(kmip::kUniqueIdentifier, found);
        });
      case Operation::kGetAttributes:
        return tells_state ? test::attributes_answer(id, keys.at(id))
                           : test::stateless_attributes_answer(id);
      case Operation::kGet:
        return test::key_answer(id, Bytes(32, 7));
      default:
        break;
    }
    if (operation == Operation::kDestroy) {
      keys.erase(id);
    } else if (keys.at(id) != KmipState::kPreActive) {
      return test::failure(operation, 0x0B);
    } else {
      keys.at(id) = KmipState::kActive;
    }
    return test::id_answer(operation, id);
  }

  std::string folder_;
  int num_made_ = 0;
  std::atomic<int> num_left_ = -1;
  Cut cut_ = Cut::kNever;
  ScriptedServer server_;  // last, since it serves from the rest
};

TEST(KmipCrash, CreateCutOffAnywhereIsFinishedByTheNext) {
  for (const Cut cut : {Cut::kBefore, Cut::kAfter}) {
    int nth = 0;
    for (bool cut_something = true; cut_something; ++nth) {
      SCOPED_TRACE("request " + std::to_string(nth) + (cut == Cut::kBefore ? " before" : " after"));
      KeyServer server;
      server.cut_at(nth, cut);
      const Status first = create_root_key(server.uri(), {});
      cut_something = server.was_cut();
      server.cut_at(-1, Cut::kNever);
      // What only asks is asked again, so a cut need not be seen.
      EXPECT_TRUE(first.ok() || first.code() == Errc::kUnavailable) << first.describe();
      const Status second = create_root_key(server.uri(), {});
      EXPECT_TRUE(second.ok() || second.code() == Errc::kAlreadyExists) << second.describe();
      EXPECT_EQ(server.keys.size(), 1U);
      EXPECT_EQ(server.keys.begin()->second, KmipState::kActive);
      EXPECT_OK(open_root(server.uri(), {}));
      ASSERT_LT(nth, 20);
    }
    EXPECT_GE(nth, 8);  // versions, Locate, Create, Locate, Get Attributes, Activate, Get; and none
  }
}

TEST(KmipCrash, DestroyedKeysAreStillListedAndDoNotCount) {
  KeyServer server;
  server.keys["old-1"] = KmipState::kDestroyed;
  server.keys["old-2"] = KmipState::kDestroyedCompromised;
  EXPECT_CODE(open_root(server.uri(), {}), Errc::kNotFound);
  EXPECT_OK(create_root_key(server.uri(), {}));
  const auto root = open_root(server.uri(), {});
  ASSERT_OK(root);
  EXPECT_EQ(root.value()->create(32, {})->protector.key_ref, "id=key-1");
}

TEST(KmipCrash, TooManyKeysOfOneNameAreAConflict) {
  KeyServer server;
  for (int i = 0; i < 64; ++i) server.keys["old-" + std::to_string(i)] = KmipState::kDestroyed;
  EXPECT_CODE(open_root(server.uri(), {}), Errc::kConflict);
}

TEST(KmipCrash, ServerThatDoesNotTellTheStateIsUnsupported) {
  KeyServer server;
  server.keys["key-1"] = KmipState::kActive;
  EXPECT_OK(open_root(server.uri(), {}));  // control
  server.tells_state = false;
  EXPECT_CODE(open_root(server.uri(), {}), Errc::kUnsupported);
}

}  // namespace
}  // namespace rewrap
