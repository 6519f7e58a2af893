// The reader of GCM vector files.
#include "tests/vectors/gcm_vector_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <optional>

#include "tests/unit/test_keys.h"

namespace rewrap::test {
namespace {

Bytes* member_for(const std::string& field, GcmVector* vector) {
  if (field == "Key") return &vector->kek;
  if (field == "IV") return &vector->iv;
  if (field == "AAD") return &vector->aad;
  if (field == "CT") return &vector->ciphertext;
  if (field == "PT") return &vector->plaintext;
  if (field == "Tag") return &vector->tag;
  return nullptr;
}

// split cuts "NAME = VALUE"; an empty value may have lost its blank.
bool split(const std::string& line, std::string* name, std::string* value) {
  const std::size_t equals = line.find(" =");
  if (equals == std::string::npos) return false;
  *name = line.substr(0, equals);
  *value = equals + 3 <= line.size() ? line.substr(equals + 3) : "";
  return true;
}

bool parse_line(const std::string& line, GcmVector* vector) {
  if (line == "FAIL") {
    vector->must_fail = true;
    return true;
  }
  std::string name;
  std::string hex;
  if (!split(line, &name, &hex)) return false;
  Bytes* member = member_for(name, vector);
  const std::optional<Bytes> value = decode_hex(hex);
  if (member == nullptr || !value) return false;
  *member = *value;
  return true;
}

using Lens = std::map<std::string, std::size_t>;  // what the section states, in bits

// has_lens tells a case that was read whole from one that was not.
bool has_lens(const GcmVector& vector, const Lens& lens) {
  const auto is = [&lens](const char* name, const Bytes& bytes) {
    const auto at = lens.find(name);
    return at != lens.end() && at->second == 8 * bytes.size();
  };
  const bool plaintext_fits =
      vector.must_fail ? vector.plaintext.empty() : is("PTlen", vector.plaintext);
  return is("Keylen", vector.kek) && is("IVlen", vector.iv) && is("AADlen", vector.aad) &&
         is("Taglen", vector.tag) && is("PTlen", vector.ciphertext) && plaintext_fits;
}

}  // namespace

std::vector<GcmVector> read_gcm_vector_file(const std::string& name) {
  std::ifstream file(std::string(REWRAP_GCM_VECTORS_DIR) + "/" + name);
  EXPECT_TRUE(file.is_open()) << name << ": install the package python3-cryptography-vectors";
  std::vector<GcmVector> vectors;
  Lens lens;
  std::size_t number = 0;
  bool open = false;  // a case is being read
  const auto end_case = [&] {
    EXPECT_TRUE(!open || has_lens(vectors.back(), lens)) << name << ":" << number;
    open = false;
  };
  for (std::string line; std::getline(file, line);) {
    ++number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    std::string field;
    std::string value;
    if (line[0] == '[') {
      end_case();
      EXPECT_TRUE(split(line.substr(1, line.size() - 2), &field, &value)) << name << ":" << number;
      lens[field] = std::stoul(value);
    } else if (line.rfind("Count = ", 0) == 0) {
      end_case();
      open = true;
      vectors.emplace_back();
      vectors.back().where = name + ":" + std::to_string(number);
    } else {
      EXPECT_TRUE(open && parse_line(line, &vectors.back())) << name << ":" << number;
    }
  }
  end_case();
  return vectors;
}

}  // namespace rewrap::test
