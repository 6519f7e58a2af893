// Trying a token out.
#include "hsm/pkcs11/probe.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <utility>

#include "hsm/pkcs11/error.h"
#include "hsm/pkcs11/keys.h"

namespace rewrap {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kRateTime = std::chrono::milliseconds(200);
constexpr std::size_t kKeyLen = 32;
constexpr std::size_t kBlockLen = 16;
constexpr std::size_t kBulkLen = std::size_t{64} << 10;
constexpr std::size_t kRandomLen = 4096;

// measure repeats `once` for the rate time; `weight` is what one call counts for. It ends at the
// first failure.
Capability measure(std::string name, double weight, const std::function<Status()>& once) {
  Capability capability;
  capability.name = std::move(name);
  const auto start = Clock::now();
  double num_done = 0;
  Status status;
  do {
    status = once();
    num_done += weight;
  } while (status.ok() && Clock::now() - start < kRateTime);
  capability.works = status.ok();
  if (!status.ok()) {
    capability.detail = status.describe();
    return capability;
  }
  capability.per_second = num_done / std::chrono::duration<double>(Clock::now() - start).count();
  return capability;
}

Status try_key_gen(Session& session) {
  REWRAP_ASSIGN(SessionObject key, generate_session_key(session, kKeyLen, Readability::kNever, {}));
  return key.destroy();
}

Status try_read(Session& session) {
  REWRAP_ASSIGN(SessionObject key,
                generate_session_key(session, kKeyLen, Readability::kReadable, {}));
  REWRAP_ASSIGN(const SecretBuffer value, read_value(session, key.handle()));
  if (value.size() != kKeyLen) return {Errc::kUnsupported, "the key's value has another length"};
  return key.destroy();
}

// try_wraps wraps and unwraps one key again and again under a throwaway root key.
Capability try_wraps(Session& session, std::string name, CK_MECHANISM_TYPE mechanism) {
  Capability failed;
  failed.name = name;
  const auto root =
      generate_session_key(session, kKeyLen, Readability::kNever, {.wrap = true, .unwrap = true});
  const auto key = generate_session_key(session, kKeyLen, Readability::kWrapOnly, {});
  if (!root.ok() || !key.ok()) {
    failed.detail = (root.ok() ? key.status() : root.status()).describe();
    return failed;
  }
  return measure(std::move(name), 1, [&]() -> Status {
    REWRAP_ASSIGN(const Bytes wrapped, wrap_key(session, mechanism, root->handle(), key->handle()));
    if (wrapped.size() != kKeyLen + 8)
      return {Errc::kUnsupported, "the wrap has another length than the standard says"};
    REWRAP_ASSIGN(SessionObject back, unwrap_session_key(session, mechanism, root->handle(),
                                                         wrapped, CKK_AES, Readability::kWrapOnly));
    return back.destroy();
  });
}

// try_rewraps is the work of in-token custody: a DEK goes from one key to another and never leaves.
Capability try_rewraps(Session& session) {
  constexpr char kName[] = "unwrap+wrap+destroy";
  Capability failed;
  failed.name = kName;
  const KeyUse wraps{.wrap = true, .unwrap = true};
  const auto from = generate_session_key(session, kKeyLen, Readability::kNever, wraps);
  const auto to = generate_session_key(session, kKeyLen, Readability::kNever, wraps);
  const auto dek = generate_session_key(session, kKeyLen, Readability::kWrapOnly, {});
  for (const auto* made : {&from, &to, &dek}) {
    if (made->ok()) continue;
    failed.detail = made->status().describe();
    return failed;
  }
  const auto wrapped = wrap_key(session, CKM_AES_KEY_WRAP, from->handle(), dek->handle());
  if (!wrapped.ok()) {
    failed.detail = wrapped.status().describe();
    return failed;
  }
  return measure(kName, 1, [&]() -> Status {
    REWRAP_ASSIGN(SessionObject inside,
                  unwrap_session_key(session, CKM_AES_KEY_WRAP, from->handle(), wrapped.value(),
                                     CKK_AES, Readability::kWrapOnly));
    REWRAP_TRY(wrap_key(session, CKM_AES_KEY_WRAP, to->handle(), inside.handle()).status());
    return inside.destroy();
  });
}

// run_cipher does one C_EncryptInit + C_Encrypt, or the same with Decrypt, from `in` to the front
// of `out`.
Status run_cipher(Session& session, CK_MECHANISM how, CK_OBJECT_HANDLE key, bool encrypting,
                  Bytes in, Bytes* out) {
  CK_FUNCTION_LIST& api = session.api();
  CK_ULONG len = out->size();
  constexpr Literal kMessage = "the token does not encrypt data and decrypt it again";
  if (encrypting) {
    REWRAP_TRY(check(api.C_EncryptInit(session.handle(), &how, key), "C_EncryptInit", kMessage));
    REWRAP_TRY(check(api.C_Encrypt(session.handle(), in.data(), in.size(), out->data(), &len),
                     "C_Encrypt", kMessage));
  } else {
    REWRAP_TRY(check(api.C_DecryptInit(session.handle(), &how, key), "C_DecryptInit", kMessage));
    REWRAP_TRY(check(api.C_Decrypt(session.handle(), in.data(), in.size(), out->data(), &len),
                     "C_Decrypt", kMessage));
  }
  if (len > out->size()) return {Errc::kUnsupported, "the token gave a result of an odd length"};
  out->resize(len);
  return {};
}

Status try_gcm(Session& session) {
  REWRAP_ASSIGN(const SessionObject key, generate_session_key(session, kKeyLen, Readability::kNever,
                                                              {.encrypt = true, .decrypt = true}));
  std::array<std::uint8_t, 12> iv{};
  std::array<std::uint8_t, 16> aad{};
  CK_GCM_PARAMS params{};
  params.pIv = iv.data();
  params.ulIvLen = iv.size();
  params.ulIvBits = 8 * iv.size();
  params.pAAD = aad.data();
  params.ulAADLen = aad.size();
  params.ulTagBits = 128;
  const CK_MECHANISM how{
      .mechanism = CKM_AES_GCM, .pParameter = &params, .ulParameterLen = sizeof params};
  const Bytes plain(kKeyLen, 0x5a);
  Bytes sealed(kMaxWrappedLen);
  REWRAP_TRY(run_cipher(session, how, key.handle(), true, plain, &sealed));
  Bytes opened(kMaxWrappedLen);
  REWRAP_TRY(run_cipher(session, how, key.handle(), false, sealed, &opened));
  if (opened != plain) return {Errc::kUnsupported, "the token gave other bytes back"};
  return {};
}

Capability try_ecb(Session& session) {
  constexpr char kName[] = "CKM_AES_ECB bulk";
  const auto key = generate_session_key(session, kKeyLen, Readability::kNever,
                                        {.encrypt = true, .decrypt = true});
  if (!key.ok()) return {.name = kName, .works = false, .detail = key.status().describe()};
  const CK_MECHANISM how{.mechanism = CKM_AES_ECB, .pParameter = nullptr, .ulParameterLen = 0};
  const Bytes plain(kBulkLen, 0x5a);
  constexpr std::size_t kNumBlocks = 2 * kBulkLen / kBlockLen;  // there and back
  return measure(kName, static_cast<double>(kNumBlocks), [&]() -> Status {
    Bytes sealed(kBulkLen);
    REWRAP_TRY(run_cipher(session, how, key->handle(), true, plain, &sealed));
    Bytes opened(kBulkLen);
    REWRAP_TRY(run_cipher(session, how, key->handle(), false, sealed, &opened));
    if (opened != plain) return {Errc::kUnsupported, "the token gave other bytes back"};
    return {};
  });
}

Capability try_random(Session& session) {
  Bytes bytes(kRandomLen);
  return measure("C_GenerateRandom", static_cast<double>(kRandomLen), [&]() -> Status {
    REWRAP_TRY(check(session.api().C_GenerateRandom(session.handle(), bytes.data(), bytes.size()),
                     "C_GenerateRandom", "the token gives no random bytes"));
    const bool constant =
        std::all_of(bytes.begin(), bytes.end(), [&](std::uint8_t b) { return b == bytes[0]; });
    if (constant) return {Errc::kUnsupported, "the token's random bytes are all the same"};
    return {};
  });
}

Capability tried(std::string name, const Status& status) {
  return {.name = std::move(name),
          .works = status.ok(),
          .detail = status.ok() ? std::string() : status.describe()};
}

std::string describe(const TokenIdentity& token) {
  return token.manufacturer + " " + token.model + ", token \"" + token.label + "\", serial " +
         token.serial + ", hardware " + token.hardware + ", firmware " + token.firmware;
}

}  // namespace

RootReport probe_token(Session& session) {
  RootReport report;
  report.description = describe(session.token());
  // Each trial begins on a new session, so that one which failed half-way does not spoil the next.
  const auto add = [&](const std::function<Capability()>& trial) {
    (void)session.renew();
    report.capabilities.push_back(trial());
  };
  add([&] { return tried("CKM_AES_KEY_GEN session key", try_key_gen(session)); });
  add([&] { return tried("CKA_VALUE of a session key", try_read(session)); });
  add([&] { return try_wraps(session, "CKM_AES_KEY_WRAP wrap+unwrap", CKM_AES_KEY_WRAP); });
  add([&] { return try_wraps(session, "CKM_AES_KEY_WRAP_KWP wrap+unwrap", kMechanismAesKwp); });
  add([&] { return tried("CKM_AES_GCM encrypt+decrypt", try_gcm(session)); });
  add([&] { return try_ecb(session); });
  add([&] { return try_rewraps(session); });
  add([&] { return try_random(session); });
  (void)session.renew();
  return report;
}

}  // namespace rewrap
