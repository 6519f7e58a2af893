// Blocks through a token.
#include "hsm/pkcs11/ecb.h"

#include <array>

#include "hsm/pkcs11/error.h"

namespace rewrap {
namespace {

constexpr std::size_t kSemiblockLen = 8;
constexpr std::size_t kNumRounds = 6;
constexpr std::size_t kMinKeyLen = 16;
constexpr std::size_t kMaxKeyLen = 64;
constexpr std::uint64_t kInitialValue = 0xa6a6a6a6a6a6a6a6;  // RFC 3394 section 2.2.3.1

// State is A and B of RFC 3394: the block that goes to the token.
class State {
 public:
  static Result<State> create() {
    REWRAP_ASSIGN(SecretBuffer block, SecretBuffer::create(kAesBlockLen));
    return State(std::move(block));
  }

  [[nodiscard]] ByteSpan block() { return block_.expose_secret(); }
  [[nodiscard]] ByteSpan a() { return block().first(kSemiblockLen); }
  [[nodiscard]] ByteSpan r() { return block().last(kSemiblockLen); }
  void add_step(std::uint64_t t) { store_be64(a().data(), load_be64(a().data()) ^ t); }

 private:
  explicit State(SecretBuffer block) : block_(std::move(block)) {}

  SecretBuffer block_;
};

// judge_bulk keeps the codes that speak of a wrap from being taken for one: ECB checks nothing.
Status judge_bulk(CK_RV rv, Literal call) {
  const Errc code = ckr_code(rv) == Errc::kIntegrity ? Errc::kUnsupported : ckr_code(rv);
  return check_as(code, rv, call, "the token failed in the middle of bulk work");
}

bool is_key_len(std::size_t len) {
  return len >= kMinKeyLen && len <= kMaxKeyLen && len % kSemiblockLen == 0;
}

}  // namespace

bool is_too_long_for_token(const Status& status) {
  if (status.ok() || status.native() != Native::kPkcs11) return false;
  switch (status.native_number()) {
    case CKR_DATA_LEN_RANGE:
    case CKR_ENCRYPTED_DATA_LEN_RANGE:
    case CKR_DATA_INVALID:
    case CKR_ENCRYPTED_DATA_INVALID:
    case CKR_ARGUMENTS_BAD:
    case CKR_BUFFER_TOO_SMALL:
    case CKR_HOST_MEMORY:
    case CKR_DEVICE_MEMORY:
      return true;
    default:
      return false;
  }
}

Status run_ecb(Session& session, CK_OBJECT_HANDLE key, Direction direction, ByteView in,
               ByteSpan out) {
  CK_FUNCTION_LIST& api = session.api();
  CK_MECHANISM how{.mechanism = CKM_AES_ECB, .pParameter = nullptr, .ulParameterLen = 0};
  auto* data = const_cast<std::uint8_t*>(in.data());  // the C functions only read it
  CK_ULONG len = out.size();
  if (direction == Direction::kEncrypt) {
    REWRAP_TRY(judge_bulk(api.C_EncryptInit(session.handle(), &how, key), "C_EncryptInit"));
    REWRAP_TRY(judge_bulk(api.C_Encrypt(session.handle(), data, in.size(), out.data(), &len),
                          "C_Encrypt"));
  } else {
    REWRAP_TRY(judge_bulk(api.C_DecryptInit(session.handle(), &how, key), "C_DecryptInit"));
    REWRAP_TRY(judge_bulk(api.C_Decrypt(session.handle(), data, in.size(), out.data(), &len),
                          "C_Decrypt"));
  }
  if (len != in.size())
    return {Errc::kUnsupported, "the token gave another number of bytes than it took"};
  return {};
}

Status wrap_by_ecb(Session& session, CK_OBJECT_HANDLE key, ByteView secret, ByteSpan wrapped) {
  if (!is_key_len(secret.size()) || wrapped.size() != secret.size() + kSemiblockLen)
    return {Errc::kInvalidArgument, "a key to wrap has 16 to 64 bytes, and its wrap 8 more"};
  const std::size_t n = secret.size() / kSemiblockLen;
  REWRAP_ASSIGN(State state, State::create());
  REWRAP_ASSIGN(SecretBuffer registers, SecretBuffer::copy_of(secret));
  store_be64(state.a().data(), kInitialValue);
  for (std::size_t step = 0; step < kNumRounds * n; ++step) {
    const ByteSpan r = registers.expose_secret().subspan(step % n * kSemiblockLen, kSemiblockLen);
    copy_bytes(state.r(), r);
    REWRAP_TRY(run_ecb(session, key, Direction::kEncrypt, state.block(), state.block()));
    state.add_step(step + 1);
    copy_bytes(r, state.r());
  }
  copy_bytes(wrapped, state.a());
  copy_bytes(wrapped.subspan(kSemiblockLen), registers.expose_secret());
  return {};
}

Result<SecretBuffer> unwrap_by_ecb(Session& session, CK_OBJECT_HANDLE key, ByteView wrapped,
                                   KnownBlock* first_step) {
  if (wrapped.size() < kSemiblockLen || !is_key_len(wrapped.size() - kSemiblockLen))
    return Status(Errc::kIntegrity, "the wrapped key does not open");
  const std::size_t n = wrapped.size() / kSemiblockLen - 1;
  REWRAP_ASSIGN(State state, State::create());
  REWRAP_ASSIGN(SecretBuffer secret, SecretBuffer::copy_of(wrapped.subspan(kSemiblockLen)));
  copy_bytes(state.a(), wrapped.first(kSemiblockLen));
  for (std::size_t step = kNumRounds * n; step-- > 0;) {
    const ByteSpan r = secret.expose_secret().subspan(step % n * kSemiblockLen, kSemiblockLen);
    state.add_step(step + 1);
    copy_bytes(state.r(), r);
    const bool is_told = first_step != nullptr && step + 1 == kNumRounds * n;
    if (is_told) copy_bytes(first_step->cipher, state.block());
    REWRAP_TRY(run_ecb(session, key, Direction::kDecrypt, state.block(), state.block()));
    if (is_told) copy_bytes(first_step->plain, state.block());
    copy_bytes(r, state.r());
  }
  std::array<std::uint8_t, kSemiblockLen> expected{};
  store_be64(expected.data(), kInitialValue);
  if (!secrets_equal(state.a(), expected))
    return Status(Errc::kIntegrity, "the wrapped key does not open");
  return secret;
}

}  // namespace rewrap
