// A loop over the calls of a TokenKek.
#include "engine/in_token.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace rewrap {
namespace {

// So many keys between two proofs: the proofs cost a few per cent of what the keys do, and a token
// that is lost every now and then still gets through.
constexpr std::size_t kKeysPerProof = 128;
constexpr int kMaxTries = 10;

// Proof is what the KEKs of a run gave when they were confirmed last; none yet at first.
using Proof = std::optional<std::uint64_t>;

// run_proven does `work`, and does it again until no KEK can have been exchanged meanwhile. The work
// must leave its input as it is; what it gives counts only when this gives ok.
template <typename Work>
Status run_proven(TokenKek& from, TokenKek& to, Proof* proof, Work work) {
  for (int tries = 0; tries < kMaxTries; ++tries) {
    if (!*proof) {
      REWRAP_ASSIGN(*proof, from.confirm(to));
    }
    REWRAP_TRY(work());
    REWRAP_ASSIGN(const std::uint64_t now, from.confirm(to));
    const Proof before = std::exchange(*proof, now);
    if (before == now) return {};
  }
  return {Errc::kUnavailable, "the token loses its keys again and again",
          "bring the token into order, then run this again; it goes on where it stopped"};
}

// What a transform does with one key.
enum class Work { kRewrap, kCheck, kUnwrap, kWrap };

class InToken final : public Transform {
 public:
  InToken(Work work, std::size_t key_len, std::shared_ptr<TokenKek> from,
          std::shared_ptr<TokenKek> to)
      : work_(work), key_len_(key_len), from_(std::move(from)), to_(std::move(to)) {}

  [[nodiscard]] std::size_t in_len() const override { return from_ ? wrap_len() : key_len_; }
  [[nodiscard]] std::size_t out_len() const override {
    if (work_ == Work::kCheck) return 0;
    return to_ ? wrap_len() : key_len_;
  }

 private:
  [[nodiscard]] std::size_t wrap_len() const { return wrapped_len(WrapAlgorithm::kKw, key_len_); }

  Status transform(const Batch& batch) override {
    const std::size_t num_keys = batch.verdicts.size();
    for (std::size_t done = 0; done < num_keys; done += kKeysPerProof) {
      const std::size_t num = std::min(kKeysPerProof, num_keys - done);
      REWRAP_TRY(run_some({batch.in.subspan(done * in_len(), num * in_len()),
                           batch.out.subspan(done * out_len(), num * out_len()),
                           batch.verdicts.subspan(done, num),
                           {},
                           {}}));
    }
    return {};
  }

  // By way of a buffer where wraps become wraps: `out` may be `in`, which is needed for another try.
  Status run_some(const Batch& batch) {
    const bool buffered = work_ == Work::kRewrap;
    if (buffered) rewrapped_.resize(batch.out.size());
    const ByteSpan out = buffered ? ByteSpan(rewrapped_) : batch.out;
    TokenKek& from = from_ ? *from_ : *to_;
    TokenKek& to = to_ ? *to_ : *from_;
    REWRAP_TRY(run_proven(from, to, &proof_, [&] { return work_on_all(batch, out); }));
    if (buffered) copy_bytes(batch.out, out);
    return {};
  }

  Status work_on_all(const Batch& batch, ByteSpan all_out) {
    for (std::size_t k = 0; k < batch.verdicts.size(); ++k) {
      const ByteSpan out = all_out.subspan(k * out_len(), out_len());
      const Status status = work_on(batch.in.subspan(k * in_len(), in_len()), out);
      if (!status.ok() && status.code() != Errc::kIntegrity) return status;
      batch.verdicts[k] = status.ok() ? kIntact : kDamaged;
      if (!status.ok()) wipe(out);
    }
    return {};
  }

  Status work_on(ByteView in, ByteSpan out) {
    switch (work_) {
      case Work::kRewrap:
        return from_->rewrap_key(in, *to_, out);
      case Work::kCheck:
        return from_->check_key(in);
      case Work::kUnwrap:
        return from_->unwrap_key(in, out);
      case Work::kWrap:
        return to_->wrap_key(in, out);
    }
    return Status(Errc::kInternal, "no such work");
  }

  Work work_;
  std::size_t key_len_;
  std::shared_ptr<TokenKek> from_;  // null if keys come as they are
  std::shared_ptr<TokenKek> to_;    // null if keys leave as they are, or nothing leaves
  Proof proof_;
  Bytes rewrapped_;
};

Work work_of(const TransformSpec& spec) {
  if (spec.check_only) return Work::kCheck;
  if (!spec.to) return Work::kUnwrap;
  return spec.from ? Work::kRewrap : Work::kWrap;
}

}  // namespace

Result<std::unique_ptr<Transform>> make_in_token(const TransformSpec& spec) {
  REWRAP_TRY(validate(spec));
  for (const auto* side : {&spec.from, &spec.to}) {
    if (!*side) continue;
    if ((*side)->algorithm != WrapAlgorithm::kKw || !is_in_token(*(*side)->kek)) {
      return Status(Errc::kInvalidArgument,
                    "inside a token keys are wrapped by RFC 3394, under KEKs made for that");
    }
  }
  return std::unique_ptr<Transform>(std::make_unique<InToken>(
      work_of(spec), spec.key_len, spec.from ? spec.from->kek->token() : nullptr,
      spec.to ? spec.to->kek->token() : nullptr));
}

Status generate_in_token(TokenKek& kek, std::size_t wrap_len, ByteSpan wraps) {
  Proof proof;
  while (!wraps.empty()) {
    const ByteSpan some = wraps.first(std::min(wraps.size(), kKeysPerProof * wrap_len));
    REWRAP_TRY(run_proven(kek, kek, &proof, [&]() -> Status {
      for (std::size_t at = 0; at < some.size(); at += wrap_len)
        REWRAP_TRY(kek.generate_key(some.subspan(at, wrap_len)));
      return {};
    }));
    wraps = wraps.subspan(some.size());
  }
  return {};
}

}  // namespace rewrap
