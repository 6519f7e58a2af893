// What the conformance suite needs of a kind of root. A new kind is one class here and one line in
// kCandidates; the suite then asks of it all that it asks of the others.
#ifndef REWRAP_TESTS_HSM_CONFORMANCE_ROOT_H_
#define REWRAP_TESTS_HSM_CONFORMANCE_ROOT_H_

#include <memory>
#include <ostream>
#include <string>

#include "hsm/root.h"

namespace rewrap::test {

class RootUnderTest {
 public:
  RootUnderTest() = default;
  RootUnderTest(const RootUnderTest&) = delete;
  RootUnderTest& operator=(const RootUnderTest&) = delete;
  virtual ~RootUnderTest() = default;

  // make makes the root key; called once, before anything else.
  virtual Status make() = 0;

  [[nodiscard]] virtual std::string uri() const = 0;
  [[nodiscard]] virtual RootOptions options() const { return {}; }
  [[nodiscard]] virtual Mechanism mechanism() const = 0;

  // has_canary says whether protectors carry a canary; else the root knows by itself whose they are.
  [[nodiscard]] virtual bool has_canary() const { return true; }

  // wrong_auth_uri names the same root with a wrong PIN; where there is none, a root key that
  // others can read, or the same root on a machine that was changed until mend_auth: kDenied.
  // num_auth_tries counts how often the root was shown a secret since; always 0 where it is never
  // shown one.
  virtual std::string wrong_auth_uri() = 0;
  virtual Status mend_auth() { return {}; }
  [[nodiscard]] virtual int num_auth_tries() const = 0;
  [[nodiscard]] virtual int tries_of_a_wrong_one() const { return 1; }

  // delete_root_key takes the root key away; replace_root_key puts another one in its place, under
  // the same name in every respect.
  virtual Status delete_root_key() = 0;
  virtual Status replace_root_key() = 0;

  // make_other makes a second root of the same kind with a key of its own, and gives its URI.
  virtual Result<std::string> make_other() = 0;

  // counted_uri names the same root on a way on which num_held counts what the root's holder keeps
  // for the roots that are open there: sessions and objects.
  virtual std::string counted_uri() { return uri(); }
  virtual Result<std::size_t> num_held() = 0;

  // num_cycles is how often the suite opens and closes this root in a row.
  [[nodiscard]] virtual int num_cycles() const { return 1000; }
};

// Candidate is one line in the list of roots that the suite is run against.
struct Candidate {
  const char* name;
  std::unique_ptr<RootUnderTest> (*make)();

  friend std::ostream& operator<<(std::ostream& out, const Candidate& candidate) {
    return out << candidate.name;
  }
};

std::unique_ptr<RootUnderTest> make_file_root();
std::unique_ptr<RootUnderTest> make_softhsm_root();           // SoftHSM with all it has
std::unique_ptr<RootUnderTest> make_softhsm_root_for_gcm();   // without AES key wrap
std::unique_ptr<RootUnderTest> make_softhsm_root_for_oaep();  // without AES-GCM either
std::unique_ptr<RootUnderTest> make_nss_root();
std::unique_ptr<RootUnderTest> make_nss_root_for_gcm();   // a root key of that kind, as NSS
std::unique_ptr<RootUnderTest> make_nss_root_for_oaep();  // cannot be made to lack a mechanism

std::unique_ptr<RootUnderTest> make_tpm2_root_with_pin();
std::unique_ptr<RootUnderTest> make_tpm2_root_with_pcrs();
std::unique_ptr<RootUnderTest> make_tpm2_root_with_both();
std::unique_ptr<RootUnderTest> make_awskms_root_under_test();

std::unique_ptr<RootUnderTest> make_kmip_root();

inline constexpr Candidate kCandidates[] = {
    {"File", make_file_root},
    {"SoftHsm", make_softhsm_root},
    {"SoftHsmByGcm", make_softhsm_root_for_gcm},
    {"SoftHsmByOaep", make_softhsm_root_for_oaep},
    {"Nss", make_nss_root},
    {"NssByGcm", make_nss_root_for_gcm},
    {"NssByOaep", make_nss_root_for_oaep},
    {"Tpm2WithPin", make_tpm2_root_with_pin},
    {"Tpm2WithPcrs", make_tpm2_root_with_pcrs},
    {"Tpm2WithBoth", make_tpm2_root_with_both},
    {"AwsKms", make_awskms_root_under_test},
    {"Kmip", make_kmip_root},
};

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_CONFORMANCE_ROOT_H_
