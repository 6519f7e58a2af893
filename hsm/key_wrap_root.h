// What every root that wraps KEKs by AES key wrap has in common: how a protector is made, opened
// and judged. A root of this kind keeps nothing of its own per KEK. Lengths are bytes. One thread
// at a time.
#ifndef REWRAP_HSM_KEY_WRAP_ROOT_H_
#define REWRAP_HSM_KEY_WRAP_ROOT_H_

#include <string>

#include "hsm/process_guard.h"
#include "hsm/root.h"

namespace rewrap {

class KeyWrapRoot : public Root {
 public:
  Result<ProtectedKek> create(std::size_t kek_len, ByteView context) final;
  Result<SecretBuffer> open(const Protector& protector, ByteView context) final;
  Status destroy(const Protector& protector) final;

 protected:
  explicit KeyWrapRoot(std::string uri) : uri_(std::move(uri)) {}

  // ready says whether the root key can be used at all; asked before each operation, after the fork
  // guard.
  virtual Status ready() = 0;

  // key_ref names the root key in the root's own terms; may be asked for only when ready() is ok.
  [[nodiscard]] virtual const std::string& key_ref() const = 0;

  // wrap_new_key makes a random AES key of `len` bytes and gives only its wrap (len + 8 bytes)
  // under the root key.
  virtual Result<Bytes> wrap_new_key(std::size_t len) = 0;

  // unwrap_key gives the AES key inside `blob`.
  // Errors: kIntegrity    it does not open under the root key, which works
  //         anything else the root does not work
  virtual Result<SecretBuffer> unwrap_key(ByteView blob) = 0;

  // try_canary opens `canary` and forgets what was inside. Errors as unwrap_key.
  virtual Status try_canary(ByteView canary) = 0;

  // check_process is the fork guard, kUnavailable in a child.
  [[nodiscard]] Status check_process() const { return guard_.check(); }
  [[nodiscard]] const std::string& uri() const { return uri_; }

 private:
  // judge_damage finds out, by the canary, what a blob that did not open means.
  Status judge_damage(const Protector& protector);

  std::string uri_;
  ProcessGuard guard_;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_KEY_WRAP_ROOT_H_
