// A test's own hands on a token: keys with any attributes, and what the token says about them.
#ifndef REWRAP_TESTS_HSM_RAW_TOKEN_H_
#define REWRAP_TESTS_HSM_RAW_TOKEN_H_

#include <map>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/status.h"

namespace rewrap::test {

// RawKey is a secret key to put into a token; the defaults are those of a safe root key.
struct RawKey {
  std::string label;
  Bytes id = {1};
  Bytes value = Bytes(32, 0x42);
  bool is_aes = true;
  bool sensitive = true;
  bool extractable = false;
  bool encrypt = false;
  bool decrypt = false;
  bool wrap = true;
  bool unwrap = true;
};

// import_key puts the key into the token that `uri` names (its object does not matter).
Status import_key(const std::string& uri, const RawKey& key);

// read_flags gives the Boolean attributes of the one key `label`, by name, e.g. "CKA_SENSITIVE".
Result<std::map<std::string, bool>> read_flags(const std::string& uri, const std::string& label);

// read_key_value tries to read CKA_VALUE, as an attacker with the PIN would.
Result<Bytes> read_key_value(const std::string& uri, const std::string& label);

// destroy_key removes the one key `label`.
Status destroy_key(const std::string& uri, const std::string& label);

// destroy_keys removes every secret, private and public key `label`.
Status destroy_keys(const std::string& uri, const std::string& label);

// make_rsa_pair makes a pair in the token that is fit to be a root key, shorter than rewrap's own.
Status make_rsa_pair(const std::string& uri, const std::string& label, const Bytes& id);

// read_modulus reads it from the pair's public half.
Result<Bytes> read_modulus(const std::string& uri, const std::string& label);

// num_session_objects counts the secret keys that are not token objects, as far as a new session
// sees them.
Result<std::size_t> num_session_objects(const std::string& uri);

// num_token_keys counts the secret keys that the token keeps.
Result<std::size_t> num_token_keys(const std::string& uri);

// token_serial gives the token's serial number.
Result<std::string> token_serial(const std::string& uri);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_RAW_TOKEN_H_
