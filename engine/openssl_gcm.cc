// One EVP context per transform: it is given the key once, and an IV for each key of a batch.
#include "engine/openssl_gcm.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <climits>
#include <utility>

namespace rewrap {
namespace {

struct CtxDeleter {
  void operator()(EVP_CIPHER_CTX* ctx) const {
    EVP_CIPHER_CTX_free(ctx);
  }  // wipes the key schedule
};
using CtxPtr = std::unique_ptr<EVP_CIPHER_CTX, CtxDeleter>;

const EVP_CIPHER* cipher_for(std::size_t kek_len) {
  if (kek_len == 16) return EVP_aes_128_gcm();
  if (kek_len == 24) return EVP_aes_192_gcm();
  return EVP_aes_256_gcm();
}

// GcmContext is AES-GCM under one key in one direction, with IVs of kGcmIvLen bytes (the default).
class GcmContext {
 public:
  static Result<GcmContext> create(const Kek& kek, ByteView aad_prefix, bool encrypts) {
    CtxPtr ctx(EVP_CIPHER_CTX_new());
    const std::uint8_t* key = kek.expose_secret().data();
    if (!ctx || EVP_CipherInit_ex(ctx.get(), cipher_for(kek.len()), nullptr, key, nullptr,
                                  encrypts ? 1 : 0) != 1) {
      return Status(Errc::kInternal, "OpenSSL cannot set up AES-GCM");
    }
    return GcmContext(std::move(ctx), Bytes(aad_prefix.begin(), aad_prefix.end()));
  }

  // crypt sets the IV, takes the additional data, and puts `in` en- or decrypted to `out`.
  Status crypt(const std::uint8_t* iv, ByteView aad, ByteView in, std::uint8_t* out) {
    int written = 0;
    const int len = static_cast<int>(in.size());
    if (EVP_CipherInit_ex(ctx_.get(), nullptr, nullptr, nullptr, iv, -1) != 1 ||
        !authenticate(aad_prefix_) || !authenticate(aad) ||
        EVP_CipherUpdate(ctx_.get(), out, &written, in.data(), len) != 1 || written != len) {
      return failed();
    }
    return {};
  }

  // put_tag ends an encryption.
  Status put_tag(std::uint8_t* tag) {
    std::uint8_t none = 0;
    int written = 0;
    if (EVP_CipherFinal_ex(ctx_.get(), &none, &written) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx_.get(), EVP_CTRL_AEAD_GET_TAG, kGcmTagLen, tag) != 1) {
      return failed();
    }
    return {};
  }

  // tag_fits ends a decryption; OpenSSL compares in constant time.
  Result<bool> tag_fits(const std::uint8_t* tag) {
    std::array<std::uint8_t, kGcmTagLen> copy{};
    copy_bytes(copy, ByteView(tag, kGcmTagLen));
    if (EVP_CIPHER_CTX_ctrl(ctx_.get(), EVP_CTRL_AEAD_SET_TAG, kGcmTagLen, copy.data()) != 1)
      return failed();
    std::uint8_t none = 0;
    int written = 0;
    return EVP_CipherFinal_ex(ctx_.get(), &none, &written) == 1;
  }

 private:
  GcmContext(CtxPtr ctx, Bytes aad_prefix)
      : ctx_(std::move(ctx)), aad_prefix_(std::move(aad_prefix)) {}

  static Status failed() { return Status(Errc::kInternal, "OpenSSL failed to run AES-GCM"); }

  bool authenticate(ByteView aad) {
    int ignored = 0;
    return aad.empty() || EVP_CipherUpdate(ctx_.get(), nullptr, &ignored, aad.data(),
                                           static_cast<int>(aad.size())) == 1;
  }

  CtxPtr ctx_;
  Bytes aad_prefix_;
};

class GcmWrap final : public Transform {
 public:
  GcmWrap(std::size_t key_len, GcmContext context, IvSource* ivs)
      : key_len_(key_len), context_(std::move(context)), ivs_(ivs) {}

  [[nodiscard]] std::size_t in_len() const override { return key_len_; }
  [[nodiscard]] std::size_t out_len() const override {
    return wrapped_len(WrapAlgorithm::kGcm, key_len_);
  }

 private:
  Status transform(const Batch& batch) override {
    REWRAP_ASSIGN(const std::uint64_t first, ivs_->take(batch.verdicts.size()));
    for (std::size_t k = 0; k < batch.verdicts.size(); ++k) {
      std::uint8_t* wrap = batch.out.data() + k * out_len();
      store_be32(wrap, ivs_->fixed_field());
      store_be64(wrap + 4, first + k);
      store_be32(wrap + kGcmIvLen, 0);
      REWRAP_TRY(context_.crypt(wrap, batch.to_aad.of(k), batch.in.subspan(k * key_len_, key_len_),
                                wrap + kGcmIvFieldLen));
      REWRAP_TRY(context_.put_tag(wrap + kGcmIvFieldLen + key_len_));
      batch.verdicts[k] = kIntact;
    }
    return {};
  }

  std::size_t key_len_;
  GcmContext context_;
  IvSource* ivs_;
};

// GcmUnwrap opens, or with check_only opens into a scratch of one key.
class GcmUnwrap final : public Transform {
 public:
  GcmUnwrap(std::size_t key_len, GcmContext context, SecretBuffer scratch)
      : key_len_(key_len), context_(std::move(context)), scratch_(std::move(scratch)) {}

  [[nodiscard]] std::size_t in_len() const override {
    return wrapped_len(WrapAlgorithm::kGcm, key_len_);
  }
  [[nodiscard]] std::size_t out_len() const override { return check_only() ? 0 : key_len_; }

 private:
  [[nodiscard]] bool check_only() const { return !scratch_.empty(); }

  Status transform(const Batch& batch) override {
    Status status;
    for (std::size_t k = 0; status.ok() && k < batch.verdicts.size(); ++k) {
      const ByteSpan key =
          check_only() ? scratch_.expose_secret() : batch.out.subspan(k * key_len_, key_len_);
      status = open(batch.in.data() + k * in_len(), batch.from_aad.of(k), key, &batch.verdicts[k]);
    }
    if (check_only()) wipe(scratch_.expose_secret());
    return status;
  }

  Status open(const std::uint8_t* wrap, ByteView aad, ByteSpan key, std::uint8_t* verdict) {
    const std::uint8_t* body = wrap + kGcmIvFieldLen;
    REWRAP_TRY(context_.crypt(wrap, aad, {body, key_len_}, key.data()));
    REWRAP_ASSIGN(const bool fits, context_.tag_fits(body + key_len_));
    const unsigned padding =
        wrap[kGcmIvLen] | wrap[kGcmIvLen + 1] | wrap[kGcmIvLen + 2] | wrap[kGcmIvLen + 3];
    // One mask for the tag and the four zero bytes, so that every failure looks and costs the same.
    const unsigned damaged = static_cast<unsigned>(!fits) | ((padding + 0xff) >> 8);
    const auto keep = static_cast<std::uint8_t>(damaged - 1);
    for (std::uint8_t& byte : key) byte &= keep;
    *verdict = static_cast<std::uint8_t>(damaged);
    return {};
  }

  std::size_t key_len_;
  GcmContext context_;
  SecretBuffer scratch_;  // of one key if this only checks, else empty
};

}  // namespace

Result<std::unique_ptr<Transform>> make_openssl_gcm(const TransformSpec& spec) {
  REWRAP_TRY(validate(spec));
  const std::optional<WrapSide>& side = spec.from ? spec.from : spec.to;
  if ((spec.from && spec.to) || side->algorithm != WrapAlgorithm::kGcm) {
    return Status(Errc::kInvalidArgument, "this transform has one side, and that is GCM");
  }
  if (side->gcm.aad_prefix.size() > INT_MAX)
    return Status(Errc::kInvalidArgument, "the additional data is too long");
  REWRAP_ASSIGN(GcmContext context, GcmContext::create(*side->kek, side->gcm.aad_prefix,
                                                       /*encrypts=*/spec.to.has_value()));
  if (spec.to) {
    return std::unique_ptr<Transform>(
        std::make_unique<GcmWrap>(spec.key_len, std::move(context), side->gcm.ivs));
  }
  SecretBuffer scratch;
  if (spec.check_only) {
    REWRAP_ASSIGN(scratch, SecretBuffer::create(spec.key_len));
  }
  return std::unique_ptr<Transform>(
      std::make_unique<GcmUnwrap>(spec.key_len, std::move(context), std::move(scratch)));
}

}  // namespace rewrap
