// The host's side of a KEK of known value.
#include "tests/hsm/known_kek.h"

#include <openssl/evp.h>

#include "hsm/file/aes_key_wrap.h"

namespace rewrap::test {

RawKey known_raw_key(TokenCustody custody, std::uint8_t fill) {
  const bool by_ecb = custody == TokenCustody::kKekInToken;
  return {.label = "rewrap-kek-" + std::to_string(fill),
          .id = Bytes(16, fill),
          .value = Bytes(32, fill),
          .encrypt = by_ecb,
          .decrypt = by_ecb,
          .wrap = !by_ecb,
          .unwrap = !by_ecb};
}

Protector protect_known(const RawKey& key, const std::string& serial, ByteView context) {
  const Bytes check_key(32, 0xc3);
  Protector protector;
  protector.root_uri = "pkcs11:";
  protector.mechanism = Mechanism::kTokenKey;
  protector.key_ref = "serial=" + serial + ";id=" + encode_hex(key.id) + ";label=" + key.label;
  protector.blob = openssl_wrap(key.value, check_key).value();
  protector.canary = openssl_wrap(key.value, Bytes(32, 0xc4)).value();
  protector.check = check_value(check_key, protector, context).value();
  return protector;
}

Bytes ecb_on_host(const Bytes& key, const Bytes& plain) {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  Bytes out(plain.size() + 16);
  int len = 0;
  const bool done =
      EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), nullptr, key.data(), nullptr) == 1 &&
      EVP_CIPHER_CTX_set_padding(context, 0) == 1 &&
      EVP_EncryptUpdate(context, out.data(), &len, plain.data(), static_cast<int>(plain.size())) ==
          1;
  EVP_CIPHER_CTX_free(context);
  out.resize(done ? static_cast<std::size_t>(len) : 0);
  return out;
}

Bytes pattern(std::size_t len, std::uint8_t start) {
  Bytes bytes(len);
  for (std::size_t i = 0; i < len; ++i)
    bytes[i] = static_cast<std::uint8_t>(start + i * 7 + i / 256 * 3);
  return bytes;
}

}  // namespace rewrap::test
