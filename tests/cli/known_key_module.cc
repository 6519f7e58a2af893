// A PKCS#11 module that passes calls on to SoftHSM, but gives the token keys that it is asked to
// generate the value in REWRAP_TEST_KEK (64 hexadecimal digits), and says that they were made at
// random. So that a test can open, without a token, what a KEK wrapped that never leaves one.
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "hsm/pkcs11/cryptoki.h"
#include "tests/hsm/real_module.h"

namespace {

constexpr std::size_t kKeyLen = 32;
using KeyValue = std::array<unsigned char, kKeyLen>;

CK_FUNCTION_LIST real;
CK_FUNCTION_LIST changed;

bool read_test_key(KeyValue* value) {
  const char* text = std::getenv("REWRAP_TEST_KEK");
  if (text == nullptr || std::string(text).size() != 2 * kKeyLen) return false;
  for (std::size_t i = 0; i < kKeyLen; ++i) {
    const std::string digits = std::string(text).substr(2 * i, 2);
    (*value)[i] = static_cast<unsigned char>(std::stoul(digits, nullptr, 16));
  }
  return true;
}

bool is_token_key(const CK_ATTRIBUTE* attributes, CK_ULONG num) {
  for (CK_ULONG i = 0; i < num; ++i) {
    if (attributes[i].type == CKA_TOKEN)
      return *static_cast<const unsigned char*>(attributes[i].pValue) != 0;
  }
  return false;
}

bool is_history(CK_ATTRIBUTE_TYPE type) {
  return type == CKA_LOCAL || type == CKA_NEVER_EXTRACTABLE || type == CKA_ALWAYS_SENSITIVE;
}

}  // namespace

extern "C" {

static CK_RV generate_key(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                          CK_ATTRIBUTE* attributes, CK_ULONG num, CK_OBJECT_HANDLE* key) {
  KeyValue value{};
  if (!is_token_key(attributes, num) || !read_test_key(&value))
    return real.C_GenerateKey(session, mechanism, attributes, num, key);
  CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  std::vector<CK_ATTRIBUTE> all = {{CKA_CLASS, &object_class, sizeof object_class},
                                   {CKA_KEY_TYPE, &type, sizeof type},
                                   {CKA_VALUE, value.data(), value.size()}};
  for (CK_ULONG i = 0; i < num; ++i) {
    const CK_ATTRIBUTE_TYPE given = attributes[i].type;
    if (given != CKA_CLASS && given != CKA_KEY_TYPE && given != CKA_VALUE_LEN)
      all.push_back(attributes[i]);
  }
  return real.C_CreateObject(session, all.data(), all.size(), key);
}

static CK_RV get_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                            CK_ATTRIBUTE* attributes, CK_ULONG num) {
  const CK_RV rv = real.C_GetAttributeValue(session, object, attributes, num);
  for (CK_ULONG i = 0; rv == CKR_OK && i < num; ++i) {
    if (is_history(attributes[i].type) && attributes[i].pValue != nullptr)
      *static_cast<unsigned char*>(attributes[i].pValue) = CK_TRUE;
  }
  return rv;
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  if (rewrap::test::load_softhsm(&real) != CKR_OK) return CKR_GENERAL_ERROR;
  changed = real;
  changed.C_GenerateKey = generate_key;
  changed.C_GetAttributeValue = get_attributes;
  *list = &changed;
  return CKR_OK;
}

}  // extern "C"
