// Which way serves a spec, by where its KEKs are.
#include "engine/make_transform.h"

#include <utility>

#include "engine/batched_gcm.h"
#include "engine/in_token.h"
#include "engine/step_sliced.h"
#include "engine/two_step.h"
#include "hsm/random.h"

namespace rewrap {
namespace {

using Side = std::optional<WrapSide>;

bool is_in_token(const Side& side) { return side && rewrap::is_in_token(*side->kek); }
bool is_by_token_ecb(const Side& side) {
  return side && side->kek->token() != nullptr && !is_in_token(side);
}

// in_two_steps serves each side on its own.
Result<std::unique_ptr<Transform>> in_two_steps(const Implementation& implementation,
                                                const TransformSpec& spec) {
  return make_in_two_steps(
      spec, [&](const TransformSpec& side) { return make_transform(implementation, side); });
}

Result<std::unique_ptr<Transform>> make_with_in_token(const Implementation& implementation,
                                                      const TransformSpec& spec) {
  if (is_in_token(spec.from) && spec.to && !is_in_token(spec.to)) {
    return Status(Errc::kRefused, "in this custody the DEKs never leave their token",
                  "export them as they are, wrapped under the token's own KEK");
  }
  if (spec.from && !is_in_token(spec.from)) return in_two_steps(implementation, spec);
  return make_in_token(spec);
}

Result<std::optional<SlicedSide>> sliced(const Side& side) {
  if (!side) return std::optional<SlicedSide>();
  REWRAP_ASSIGN(auto cipher, make_ecb(*side->kek));
  return std::optional<SlicedSide>(SlicedSide{side->algorithm, std::move(cipher)});
}

// HeldRun lets one thread at a time through a whole run: see TokenKek::calls.
class HeldRun final : public Transform {
 public:
  HeldRun(std::unique_ptr<Transform> transform, std::shared_ptr<TokenKek> token)
      : transform_(std::move(transform)), token_(std::move(token)) {}

  [[nodiscard]] std::size_t in_len() const override { return transform_->in_len(); }
  [[nodiscard]] std::size_t out_len() const override { return transform_->out_len(); }

 private:
  Status transform(const Batch& batch) override {
    const std::lock_guard lock(token_->calls());
    return transform_->run(batch);
  }

  std::unique_ptr<Transform> transform_;
  std::shared_ptr<TokenKek> token_;
};

// hold wraps a transform into a HeldRun, but where it needs two tokens: held in either order by two
// threads, they would wait for each other.
std::unique_ptr<Transform> hold(std::unique_ptr<Transform> transform, const TransformSpec& spec) {
  const auto token_of = [](const Side& side) {
    return side ? side->kek->token() : std::shared_ptr<TokenKek>();
  };
  const auto from = token_of(spec.from);
  const auto to = token_of(spec.to);
  if (from != nullptr && to != nullptr && &from->calls() != &to->calls()) return transform;
  return std::make_unique<HeldRun>(std::move(transform), from != nullptr ? from : to);
}

Result<std::unique_ptr<Transform>> make_by_token_ecb(const Implementation& implementation,
                                                     const TransformSpec& spec) {
  if (!has_gcm(spec)) {
    REWRAP_ASSIGN(auto from, sliced(spec.from));
    REWRAP_ASSIGN(auto to, sliced(spec.to));
    REWRAP_ASSIGN(auto transform,
                  make_step_sliced(spec.key_len, std::move(from), std::move(to), spec.check_only));
    return hold(std::move(transform), spec);
  }
  if (spec.from && spec.to) return in_two_steps(implementation, spec);
  return make_batched_gcm(spec, make_token_ecb((spec.from ? spec.from : spec.to)->kek->token()));
}

}  // namespace

Result<std::unique_ptr<Transform>> make_transform(const Implementation& implementation,
                                                  const TransformSpec& spec) {
  REWRAP_TRY(validate(spec));
  if (is_in_token(spec.from) || is_in_token(spec.to))
    return make_with_in_token(implementation, spec);
  if (is_by_token_ecb(spec.from) || is_by_token_ecb(spec.to))
    return make_by_token_ecb(implementation, spec);
  return implementation.make(spec);
}

Status make_wrapped_keys(const Implementation& implementation, const WrapSide& to,
                         std::size_t key_len, const AadColumn& aad, ByteSpan wraps) {
  REWRAP_ASSIGN(auto wrap, make_transform(implementation, {key_len, std::nullopt, to, false}));
  const std::size_t wrap_len = wrap->out_len();
  const std::size_t num_keys = wraps.size() / wrap_len;
  if (is_in_token(to))
    return generate_in_token(*to.kek->token(), wrap_len, wraps.first(num_keys * wrap_len));
  REWRAP_ASSIGN(SecretBuffer keys, SecretBuffer::create(num_keys * key_len));
  REWRAP_TRY(random_bytes(keys.expose_secret()));
  Bytes verdicts(num_keys);  // wrapping cannot fail for one key
  return wrap->run({keys.expose_secret(), wraps, verdicts, {}, aad});
}

}  // namespace rewrap
