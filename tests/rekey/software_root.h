// A root whose KEKs stay in a token of software (tests/unit/software_token.h): what the token holds
// outlives every Root, so that a test can open its keys after a crash, count them, and take it away.
#ifndef REWRAP_TESTS_REKEY_SOFTWARE_ROOT_H_
#define REWRAP_TESTS_REKEY_SOFTWARE_ROOT_H_

#include <map>
#include <memory>
#include <string>

#include "hsm/root.h"
#include "rekey/keyring.h"
#include "tests/unit/software_token.h"

namespace rewrap::test {

// SoftwareHsm is what is in the token.
struct SoftwareHsm {
  struct Key {
    TokenCustody custody;
    Bytes value;
  };
  std::shared_ptr<SoftwareToken> token = std::make_shared<SoftwareToken>();
  std::map<std::string, Key> keys;  // by Protector::key_ref
  int num_made = 0;
};

// opener gives roots over `hsms`, by URI; a URI that is not among them is kNotFound. Every use of a
// root is a call of its token, and fails when the token is to fail.
RootOpener opener(std::map<std::string, SoftwareHsm>* hsms);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_REKEY_SOFTWARE_ROOT_H_
