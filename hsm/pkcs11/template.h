// Template builds the attribute lists that PKCS#11 takes, and keeps the values alive. Belongs to
// one thread.
#ifndef REWRAP_HSM_PKCS11_TEMPLATE_H_
#define REWRAP_HSM_PKCS11_TEMPLATE_H_

#include <deque>
#include <vector>

#include "engine/base/bytes.h"
#include "hsm/pkcs11/cryptoki.h"

namespace rewrap {

class Template {
 public:
  Template() = default;
  // The list points into the values, so a copy would point into the original.
  Template(const Template&) = delete;
  Template& operator=(const Template&) = delete;
  Template(Template&&) = default;  // a deque's elements stay where they are
  Template& operator=(Template&&) = default;
  ~Template() = default;

  Template& flag(CK_ATTRIBUTE_TYPE type, bool value);
  Template& number(CK_ATTRIBUTE_TYPE type, CK_ULONG value);
  Template& bytes(CK_ATTRIBUTE_TYPE type, ByteView value);
  // secret refers to `value`, which must stay where it is, and copies nothing.
  Template& secret(CK_ATTRIBUTE_TYPE type, ByteView value);

  [[nodiscard]] CK_ATTRIBUTE* data() { return attributes_.data(); }
  [[nodiscard]] CK_ULONG size() const { return attributes_.size(); }

 private:
  std::vector<CK_ATTRIBUTE> attributes_;
  std::deque<Bytes> values_;  // public values only: labels, ids, lengths, flags
};

// KeyUse is the usage flags of a key. All of them are always stated, because their defaults differ
// between tokens.
struct KeyUse {
  bool encrypt = false;
  bool decrypt = false;
  bool wrap = false;
  bool unwrap = false;
};

// add_usage states ENCRYPT, DECRYPT, WRAP and UNWRAP as `use` says, and SIGN, VERIFY and DERIVE as
// false.
void add_usage(Template& attributes, const KeyUse& use);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_TEMPLATE_H_
