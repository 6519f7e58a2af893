// Reading of NIST's CAVP response files for AES-GCM (gcmDecrypt*.rsp, gcmEncryptExtIV*.rsp).
#ifndef REWRAP_TESTS_VECTORS_GCM_VECTOR_FILE_H_
#define REWRAP_TESTS_VECTORS_GCM_VECTOR_FILE_H_

#include <string>
#include <vector>

#include "engine/base/bytes.h"

namespace rewrap::test {

struct GcmVector {
  std::string where;  // "gcmDecrypt128.rsp:12", the line of its Count
  Bytes kek;
  Bytes iv;
  Bytes aad;
  Bytes ciphertext;
  Bytes plaintext;  // empty if must_fail
  Bytes tag;
  bool must_fail = false;
};

// read_gcm_vector_file reads `name` in the folder of GCM vectors. A case whose lengths are not
// those that its section states, lines that it does not know, and a file that cannot be read are
// reported as test failures.
std::vector<GcmVector> read_gcm_vector_file(const std::string& name);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_VECTORS_GCM_VECTOR_FILE_H_
