// Trying a token out.
#include "hsm/pkcs11/probe.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "hsm/pkcs11/cipher.h"
#include "hsm/pkcs11/error.h"
#include "hsm/pkcs11/keys.h"
#include "hsm/pkcs11/token_key.h"

namespace rewrap {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kRateTime = std::chrono::milliseconds(100);
constexpr std::size_t kKeyLen = 32;
constexpr std::size_t kBlockLen = 16;
constexpr std::size_t kBulkLen = std::size_t{64} << 10;
constexpr std::size_t kRandomLen = 4096;
constexpr std::size_t kProbeIdLen = 8;
constexpr std::string_view kBinding = "rewrap probe";

// Names in the table that the verdicts on custody refer to.
constexpr char kKeyGen[] = "CKM_AES_KEY_GEN session key";
constexpr char kKeyWrap[] = "CKM_AES_KEY_WRAP wrap+unwrap";
constexpr char kEcb[] = "CKM_AES_ECB bulk";
constexpr char kRewrap[] = "unwrap+wrap+destroy";
constexpr char kEcbTokenKey[] = "token key for ENCRYPT+DECRYPT";
constexpr char kWrapTokenKey[] = "token key for WRAP+UNWRAP";

// In the order of preference: key wrap makes the KEK inside the token; GCM binds the context; both
// are out of reach for whoever has only the public half of a pair.
constexpr std::array kProtectors = {Mechanism::kAesKeyWrap, Mechanism::kAesGcm,
                                    Mechanism::kRsaOaep};

// measure repeats `once` for the rate time; `weight` is how many `units` one call counts for. It
// ends at the first failure.
Capability measure(std::string name, double weight, const char* units,
                   const std::function<Status()>& once) {
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
  capability.detail = units;
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
  return measure(std::move(name), 1, "keys there and back", [&]() -> Status {
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
  Capability failed;
  failed.name = kRewrap;
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
  return measure(kRewrap, 1, "DEKs", [&]() -> Status {
    REWRAP_ASSIGN(SessionObject inside,
                  unwrap_session_key(session, CKM_AES_KEY_WRAP, from->handle(), wrapped.value(),
                                     CKK_AES, Readability::kWrapOnly));
    REWRAP_TRY(wrap_key(session, CKM_AES_KEY_WRAP, to->handle(), inside.handle()).status());
    return inside.destroy();
  });
}

// A throwaway guard key, gone with its session objects.
struct Throwaway {
  GuardKey guard;
  std::vector<SessionObject> halves;
};

Result<Throwaway> make_throwaway(Session& session, Mechanism mechanism) {
  Throwaway made;
  if (mechanism == Mechanism::kRsaOaep) {
    REWRAP_ASSIGN(made.guard, generate_rsa_pair(session, {}));
    made.halves.emplace_back(session, made.guard.public_half);
    made.halves.emplace_back(session, made.guard.handle);
    return made;
  }
  const KeyUse use = mechanism == Mechanism::kAesGcm ? KeyUse{.encrypt = true, .decrypt = true}
                                                     : KeyUse{.wrap = true, .unwrap = true};
  REWRAP_ASSIGN(SessionObject key,
                generate_session_key(session, kKeyLen, Readability::kNever, use));
  made.guard = {.mechanism = mechanism, .handle = key.handle()};
  made.halves.push_back(std::move(key));
  return made;
}

// try_guard seals a key and opens it again.
Status try_guard(Session& session, const GuardKey& guard, const SecretBuffer& key) {
  REWRAP_ASSIGN(const Bytes blob, seal_key(session, guard, key, as_bytes(kBinding)));
  REWRAP_ASSIGN(const SecretBuffer back, open_key(session, guard, blob, as_bytes(kBinding)));
  if (!secrets_equal(back.expose_secret(), key.expose_secret()))
    return {Errc::kUnsupported, "the token gave other bytes back"};
  return {};
}

// try_opening sees a throwaway guard open what it sealed, and refuse it after `spoil` was at it. A
// failure may cost the session and with it the key, so each refusal takes a new one.
Status try_opening(Session& session, Mechanism mechanism,
                   const std::function<void(Bytes* blob, ByteView* binding)>& spoil) {
  REWRAP_ASSIGN(const Throwaway throwaway, make_throwaway(session, mechanism));
  ByteView binding = as_bytes(kBinding);
  REWRAP_ASSIGN(Bytes blob, seal_new_key(session, throwaway.guard, kKeyLen, binding));
  REWRAP_ASSIGN(const SecretBuffer key, open_key(session, throwaway.guard, blob, binding));
  if (key.size() != kKeyLen) return {Errc::kUnsupported, "the key came back with another length"};
  spoil(&blob, &binding);
  if (try_key(session, throwaway.guard, blob, binding).ok())
    return {Errc::kUnsupported, "the token opens a key that was changed on the way"};
  return {};
}

// try_protector is all that a root key of this mechanism has to do.
Status try_protector(Session& session, Mechanism mechanism) {
  REWRAP_TRY(try_opening(session, mechanism, [](Bytes* blob, ByteView*) { blob->back() ^= 1; }));
  if (mechanism != Mechanism::kAesGcm) return {};
  return try_opening(session, mechanism,
                     [](Bytes*, ByteView* binding) { *binding = as_bytes("another"); });
}

Capability failed(std::string name, const Status& status) {
  return {.name = std::move(name), .works = false, .detail = status.describe()};
}

// measure_guard measures seal and open of one key.
Capability measure_guard(Session& session, std::string name, Mechanism mechanism) {
  const auto throwaway = make_throwaway(session, mechanism);
  if (!throwaway.ok()) return failed(std::move(name), throwaway.status());
  const auto key = SecretBuffer::create(kKeyLen);
  if (!key.ok()) return failed(std::move(name), key.status());
  return measure(std::move(name), 1, "keys there and back",
                 [&] { return try_guard(session, throwaway->guard, key.value()); });
}

Status try_import(Session& session) {
  REWRAP_ASSIGN(const SecretBuffer value, SecretBuffer::create(kKeyLen));
  REWRAP_ASSIGN(SessionObject key, import_session_key(session, value));
  return key.destroy();
}

Capability try_ecb(Session& session) {
  const auto key = generate_session_key(session, kKeyLen, Readability::kNever,
                                        {.encrypt = true, .decrypt = true});
  if (!key.ok()) return failed(kEcb, key.status());
  const Bytes plain(kBulkLen, 0x5a);
  constexpr std::size_t kNumBlocks = 2 * kBulkLen / kBlockLen;  // there and back
  return measure(kEcb, static_cast<double>(kNumBlocks), "blocks of 16 bytes", [&]() -> Status {
    REWRAP_ASSIGN(const Bytes sealed,
                  encrypt(session, CipherMechanism::ecb(), key->handle(), plain, kBulkLen));
    REWRAP_ASSIGN(const SecretBuffer opened,
                  decrypt(session, CipherMechanism::ecb(), key->handle(), sealed, kBulkLen));
    if (!secrets_equal(opened.expose_secret(), plain))
      return {Errc::kUnsupported, "the token gave other bytes back"};
    return {};
  });
}

// use_token_key does what opening a KEK begins with: finds it, and opens what it has wrapped.
Status use_token_key(Session& session, const TokenKeyName& name, TokenCustody custody) {
  REWRAP_ASSIGN(const CK_OBJECT_HANDLE key, find_secret_key(session, name.label, name.id));
  REWRAP_ASSIGN(const SecretBuffer secret, SecretBuffer::create(kKeyLen));
  REWRAP_ASSIGN(const Bytes wrapped, wrap_bytes(session, key, custody, secret.expose_secret()));
  REWRAP_ASSIGN(const SecretBuffer back, unwrap_bytes(session, key, custody, wrapped));
  if (!secrets_equal(back.expose_secret(), secret.expose_secret()))
    return {Errc::kUnsupported, "the token gave other bytes back"};
  return {};
}

// try_token_key makes a KEK as create_in_token does. A token may do all that is asked of session
// keys and take no key to keep: for want of room or rights, or by its policy on attributes.
Status try_token_key(const SessionOpener& open_writable, TokenCustody custody) {
  REWRAP_ASSIGN(const auto session, open_writable());
  TokenKeyName name;
  name.id.resize(kProbeIdLen);
  REWRAP_TRY(fill_random(*session, name.id));
  name.label = std::string(kTokenKekPrefix) + "probe-" + encode_hex(name.id);
  REWRAP_TRY(generate_token_key(*session, name, custody, kKeyLen));
  const Status used = use_token_key(*session, name, custody);
  if (!used.ok()) REWRAP_TRY(session->renew());
  REWRAP_TRY(destroy_token_key(*session, name));
  return used;
}

Capability try_random(Session& session) {
  Bytes bytes(kRandomLen);
  return measure("C_GenerateRandom", static_cast<double>(kRandomLen), "bytes", [&]() -> Status {
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

bool works(const std::vector<Capability>& list, std::string_view name) {
  return std::any_of(list.begin(), list.end(), [name](const Capability& capability) {
    return capability.name == name && capability.works;
  });
}

// judge_custody derives a custody mode from what it cannot do without.
Capability judge_custody(const RootReport& report, std::string name,
                         std::initializer_list<const char*> needed) {
  Capability custody{.name = std::move(name), .works = true, .detail = {}};
  for (const char* need : needed) {
    if (works(report.capabilities, need)) continue;
    custody.detail += custody.works ? "missing: " : ", ";
    custody.detail += need;
    custody.works = false;
  }
  return custody;
}

Capability judge_host_custody(const RootReport& report, const RootKey& root_key) {
  Capability host{.name = "host", .works = false, .detail = {}};
  const bool has_key = root_key.guard.handle != CK_INVALID_HANDLE;
  if (has_key && !root_key.status.ok()) {
    host.detail = "the root key is not fit for use";
  } else if (!report.chosen) {
    host.detail = "missing: a mechanism that guards KEKs";
  } else {
    host.works = works(report.protectors, mechanism_name(*report.chosen));
    host.detail = host.works ? "KEKs guarded by " : "the token no longer does ";
    host.detail += mechanism_name(*report.chosen);
  }
  return host;
}

void judge(const RootKey& root_key, RootReport* report) {
  const bool has_key = root_key.guard.handle != CK_INVALID_HANDLE;
  if (has_key && root_key.status.ok()) report->chosen = root_key.guard.mechanism;
  if (!has_key) {
    for (const Mechanism mechanism : kProtectors) {
      if (!works(report->protectors, mechanism_name(mechanism))) continue;
      report->chosen = mechanism;
      break;
    }
  }
  report->custody = {
      judge_host_custody(*report, root_key),
      judge_custody(*report, "kek-in-token", {kEcbTokenKey, kEcb}),
      judge_custody(*report, "in-token", {kWrapTokenKey, kKeyGen, kKeyWrap, kRewrap}),
  };
}

}  // namespace

Result<Mechanism> choose_mechanism(Session& session) {
  for (const Mechanism mechanism : kProtectors) {
    const Status status = try_protector(session, mechanism);
    // On a new session, so that a trial which failed half-way does not spoil the next; and a token
    // that has gone away is no reason to take a weaker mechanism.
    REWRAP_TRY(session.renew());
    if (status.ok()) return mechanism;
  }
  return Status(Errc::kUnsupported, "the token guards keys in none of the ways that are known here",
                "it needs CKM_AES_KEY_WRAP, CKM_AES_GCM or CKM_RSA_PKCS_OAEP: rewrap root probe "
                "URI says what it lacks");
}

RootReport probe_token(Session& session, const RootKey& root_key,
                       const SessionOpener& open_writable) {
  RootReport report;
  report.description = describe(session.token());
  report.key_ref = root_key.key_ref;
  // Each trial begins on a new session, so that one which failed half-way does not spoil the next.
  const auto add = [&](const std::function<Capability()>& trial) {
    (void)session.renew();
    report.capabilities.push_back(trial());
  };
  add([&] { return tried(kKeyGen, try_key_gen(session)); });
  add([&] { return tried("CKA_VALUE of a session key", try_read(session)); });
  add([&] { return tried("C_CreateObject of a session key", try_import(session)); });
  add([&] { return try_wraps(session, kKeyWrap, CKM_AES_KEY_WRAP); });
  add([&] { return try_wraps(session, "CKM_AES_KEY_WRAP_KWP wrap+unwrap", kMechanismAesKwp); });
  add([&] { return measure_guard(session, "CKM_AES_GCM encrypt+decrypt", Mechanism::kAesGcm); });
  add([&] {
    return measure_guard(session, "CKM_RSA_PKCS_OAEP encrypt+decrypt", Mechanism::kRsaOaep);
  });
  add([&] { return try_ecb(session); });
  add([&] { return try_rewraps(session); });
  add([&] { return tried(kEcbTokenKey, try_token_key(open_writable, TokenCustody::kKekInToken)); });
  add([&] { return tried(kWrapTokenKey, try_token_key(open_writable, TokenCustody::kInToken)); });
  add([&] { return try_random(session); });
  for (const Mechanism mechanism : kProtectors) {
    (void)session.renew();
    report.protectors.push_back(
        tried(mechanism_name(mechanism), try_protector(session, mechanism)));
  }
  (void)session.renew();
  if (root_key.guard.handle != CK_INVALID_HANDLE)
    report.capabilities.push_back(tried("root key is fit for use", root_key.status));
  judge(root_key, &report);
  return report;
}

}  // namespace rewrap
