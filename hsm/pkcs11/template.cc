// Attribute lists.
#include "hsm/pkcs11/template.h"

namespace rewrap {

Template& Template::bytes(CK_ATTRIBUTE_TYPE type, ByteView value) {
  Bytes& kept = values_.emplace_back(value.begin(), value.end());
  attributes_.push_back({.type = type, .pValue = kept.data(), .ulValueLen = kept.size()});
  return *this;
}

Template& Template::secret(CK_ATTRIBUTE_TYPE type, ByteView value) {
  // The C structure has one pointer for reading and writing; a template is only read.
  attributes_.push_back({.type = type,
                         .pValue = const_cast<std::uint8_t*>(value.data()),
                         .ulValueLen = value.size()});
  return *this;
}

Template& Template::flag(CK_ATTRIBUTE_TYPE type, bool value) {
  const CK_BBOOL flag = value ? kCkTrue : kCkFalse;
  return bytes(type, {&flag, 1});
}

Template& Template::number(CK_ATTRIBUTE_TYPE type, CK_ULONG value) {
  std::array<std::uint8_t, sizeof value> raw{};
  std::memcpy(raw.data(), &value, sizeof value);
  return bytes(type, raw);  // operator new aligns the copy for any CK_ULONG
}

void add_usage(Template& attributes, const KeyUse& use) {
  attributes.flag(CKA_ENCRYPT, use.encrypt)
      .flag(CKA_DECRYPT, use.decrypt)
      .flag(CKA_WRAP, use.wrap)
      .flag(CKA_UNWRAP, use.unwrap)
      .flag(CKA_SIGN, false)
      .flag(CKA_VERIFY, false)
      .flag(CKA_DERIVE, false);
}

}  // namespace rewrap
