// Reading of test vector files: NIST's CAVP response files, and the file of the same kind that came
// from Botan. Format: lines "NAME = VALUE", "FAIL" alone, comments, and sections in brackets; a
// line COUNT begins a case.
#ifndef REWRAP_TESTS_VECTORS_VECTOR_FILE_H_
#define REWRAP_TESTS_VECTORS_VECTOR_FILE_H_

#include <string>
#include <vector>

#include "engine/base/bytes.h"

namespace rewrap::test {

struct VectorCase {
  std::string where;  // "KW_AE_128.txt:12", the line of its COUNT
  Bytes kek;
  Bytes key;  // empty if must_fail
  Bytes wrapped;
  bool must_fail = false;
};

// read_vector_file reads `name` below the vectors' folder. Cases that lack a value, and lines that
// it does not know, are reported as test failures; so is a file that cannot be read.
std::vector<VectorCase> read_vector_file(const std::string& name);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_VECTORS_VECTOR_FILE_H_
