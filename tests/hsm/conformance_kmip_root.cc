// The KMIP root, on one server for all of the conformance suite.
#include <string>

#include "hsm/kmip/client.h"
#include "tests/hsm/conformance_root.h"
#include "tests/hsm/kmip_fixture.h"

namespace rewrap::test {
namespace {

class KmipUnderTest final : public RootUnderTest {
 public:
  Status make() override { return create_root_key(uri(), {}); }
  [[nodiscard]] std::string uri() const override { return server_.uri("name=" + name_); }
  [[nodiscard]] Mechanism mechanism() const override { return Mechanism::kAesKeyWrap; }

  // A client that the server does not know; no secret is shown to it.
  std::string wrong_auth_uri() override {
    const TestCa other_ca;
    server_.save_client("unknown", other_ca.issue(client_terms("rewrap")));
    return server_.uri_as("unknown", "name=" + name_);
  }
  [[nodiscard]] int num_auth_tries() const override { return 0; }
  [[nodiscard]] int tries_of_a_wrong_one() const override { return 0; }

  Status delete_root_key() override {
    REWRAP_ASSIGN(const auto client, KmipClient::connect(server_.server()));
    REWRAP_ASSIGN(const auto ids, client->locate(name_, 2));
    for (const std::string& id : ids) {
      REWRAP_TRY(client->revoke(id));
      REWRAP_TRY(client->destroy(id));
    }
    return {};
  }
  Status replace_root_key() override {
    REWRAP_TRY(delete_root_key());
    return make();
  }

  Result<std::string> make_other() override {
    const std::string other = server_.uri("name=" + PyKmip::unique_name("other"));
    REWRAP_TRY(create_root_key(other, {}));
    return other;
  }

  // The server keeps nothing for a root that is open: the connection ended when the key was here.
  Result<std::size_t> num_held() override { return std::size_t{0}; }
  [[nodiscard]] int num_cycles() const override { return 10; }  // tens of milliseconds each

 private:
  PyKmip& server_ = PyKmip::shared();
  std::string name_ = PyKmip::unique_name("root");
};

}  // namespace

std::unique_ptr<RootUnderTest> make_kmip_root() { return std::make_unique<KmipUnderTest>(); }

}  // namespace rewrap::test
