// A root with a counter, as a TPM has (hsm/tpm2/tpm2_root.h), in memory: what it holds outlives every
// Root, and it can be told to fail.
#ifndef REWRAP_TESTS_REKEY_COUNTING_ROOT_H_
#define REWRAP_TESTS_REKEY_COUNTING_ROOT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "rekey/keyring.h"

namespace rewrap::test {

struct CountingTpm {
  struct Sealed {
    Bytes kek;
    std::uint64_t value;  // of the counter at which it opens
  };
  std::uint64_t counter = 0;  // 0: there is none yet
  std::vector<Sealed> sealed;
  bool spoils = false;  // what is sealed from now on opens as another KEK
  bool does_not_rise = false;
  int num_pins_tried = 0;
  bool has_wrong_pin = false;  // open_root fails
};

// opener gives roots of `tpm` for URIs that begin with "counting:", and open_root's own for others.
RootOpener opener(CountingTpm* tpm);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_REKEY_COUNTING_ROOT_H_
