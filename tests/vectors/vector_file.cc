// The reader of vector files.
#include "tests/vectors/vector_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <optional>

#include "tests/unit/test_keys.h"

namespace rewrap::test {
namespace {

// member_for gives where a field goes: K, P and C are NIST's names, the others Botan's.
Bytes* member_for(const std::string& field, VectorCase* vector) {
  if (field == "K" || field == "Key") return &vector->kek;
  if (field == "P" || field == "Input") return &vector->key;
  if (field == "C" || field == "Output") return &vector->wrapped;
  return nullptr;
}

// parse_line takes one line of a case; false if it makes no sense.
bool parse_line(const std::string& line, VectorCase* vector) {
  if (line == "FAIL") {
    vector->must_fail = true;
    return true;
  }
  const std::size_t equals = line.find(" = ");
  if (equals == std::string::npos) return false;
  Bytes* member = member_for(line.substr(0, equals), vector);
  const std::optional<Bytes> value = decode_hex(line.substr(equals + 3));
  if (member == nullptr || !member->empty() || !value || value->empty()) return false;
  *member = *value;
  return true;
}

bool is_complete(const VectorCase& vector) {
  return !vector.kek.empty() && !vector.wrapped.empty() && vector.key.empty() == vector.must_fail;
}

}  // namespace

std::vector<VectorCase> read_vector_file(const std::string& name) {
  std::ifstream file(std::string(REWRAP_VECTORS_DIR) + "/" + name);
  EXPECT_TRUE(file.is_open()) << name << ": install the package python3-cryptography-vectors";
  std::vector<VectorCase> cases;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || line[0] == '#' || line[0] == '[') continue;
    if (line.rfind("COUNT = ", 0) == 0) {
      cases.emplace_back();
      cases.back().where = name + ":" + std::to_string(number);
    } else {
      EXPECT_TRUE(!cases.empty() && parse_line(line, &cases.back())) << name << ":" << number;
    }
  }
  for (const VectorCase& vector : cases) EXPECT_TRUE(is_complete(vector)) << vector.where;
  return cases;
}

}  // namespace rewrap::test
