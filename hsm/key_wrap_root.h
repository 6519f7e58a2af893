// What every root has in common whose root key guards KEKs by a blob: by AES key wrap, AES-GCM or
// RSA-OAEP. How a protector is made, opened and judged. A root of this kind keeps nothing of its
// own per KEK. Lengths are bytes. One thread at a time.
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
  Result<Protector> protect(const SecretBuffer& kek, ByteView context) final;
  Status destroy(const Protector& protector) override;

 protected:
  explicit KeyWrapRoot(std::string uri) : uri_(std::move(uri)) {}

  // ready says whether the root key can be used at all; asked before each operation, after the fork
  // guard.
  virtual Status ready() = 0;

  // key_ref names the root key in the root's own terms, and mechanism is the one way in which that
  // key guards KEKs; may be asked for only when ready() is ok.
  [[nodiscard]] virtual const std::string& key_ref() const = 0;
  [[nodiscard]] virtual Mechanism mechanism() const = 0;

  // seal_new_key makes a random AES key of `len` bytes and gives only its blob under the root key.
  // A mechanism that knows associated data binds `binding` into the blob; the others ignore it, and
  // the protector's check value does that work for all of them.
  virtual Result<Bytes> seal_new_key(std::size_t len, ByteView binding) = 0;

  // seal_key does the same to a key that exists.
  virtual Result<Bytes> seal_key(const SecretBuffer& key, ByteView binding) = 0;

  // open_key gives the AES key inside `blob`.
  // Errors: kIntegrity    it does not open under the root key, which works
  //         anything else the root does not work
  virtual Result<SecretBuffer> open_key(ByteView blob, ByteView binding) = 0;

  // try_key opens `blob` and forgets what was inside. Errors as open_key.
  virtual Status try_key(ByteView blob, ByteView binding) = 0;

  // check_process is the fork guard, kUnavailable in a child.
  [[nodiscard]] Status check_process() const { return guard_.check(); }
  [[nodiscard]] const std::string& uri() const { return uri_; }

 private:
  // finish adds the canary and the check value to a protector that has its blob, and gives the KEK
  // that the blob opens to.
  Result<SecretBuffer> finish(Protector* made, std::size_t kek_len, ByteView context);

  [[nodiscard]] Protector begin() const;
  Status try_canary(const Protector& protector);

  // judge_damage finds out, by the canary, what a blob that did not open means; judge_mechanism the
  // same for a protector that says it was made in another way.
  Status judge_damage(const Protector& protector);
  Status judge_mechanism(const Protector& protector);

  std::string uri_;
  ProcessGuard guard_;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_KEY_WRAP_ROOT_H_
