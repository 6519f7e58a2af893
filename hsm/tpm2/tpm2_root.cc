// The TPM 2.0 root.
#include "hsm/tpm2/tpm2_root.h"

#include <tss2/tss2_esys.h>

#include <array>
#include <chrono>
#include <functional>
#include <utility>

#include "hsm/process_guard.h"
#include "hsm/random.h"
#include "hsm/tpm2/counter.h"
#include "hsm/tpm2/error.h"
#include "hsm/tpm2/seal.h"
#include "hsm/tpm2/tpm2_protector.h"

namespace rewrap {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kRateTime = std::chrono::milliseconds(200);
constexpr std::size_t kProbeKeyLen = 32;

// Connection is a reached TPM and its parent key, for one operation.
struct Connection {
  std::unique_ptr<Tpm> tpm;
  Parent parent;  // goes before the connection does
};

// random_kek XORs two sources, so that a weak one alone does no harm. Nobody on the bus learns the
// KEK from what the TPM sends.
Result<SecretBuffer> random_kek(Tpm& tpm, std::size_t len) {
  REWRAP_ASSIGN(SecretBuffer kek, SecretBuffer::create(len));
  REWRAP_ASSIGN(const SecretBuffer host, random_key(len));
  const ByteSpan out = kek.expose_secret();
  const ByteView from_host = host.expose_secret();
  REWRAP_TRY(tpm.random(out));
  for (std::size_t i = 0; i < len; ++i) out[i] = static_cast<std::uint8_t>(out[i] ^ from_host[i]);
  return kek;
}

Status not_active_yet() {
  return {Errc::kConflict,
          "the protector is stored, but the TPM's counter was not raised to it yet",
          "a rekey was interrupted: run it again, and it goes on from there"};
}

// judge_counter says what the counter's value means for the blob. The TPM decides by itself, in the
// blob's policy; this is for the words.
Status judge_counter(Tpm& tpm, const SealedBlob& blob) {
  if (blob.counter == 0) return {};
  const auto counter = find_counter(tpm, blob.counter);
  if (!counter.ok() && counter.status().code() == Errc::kNotFound) {
    return {Errc::kDenied, "the TPM's counter that the protector is bound to is gone",
            "it was deleted, or the TPM was cleared: open by another protector of this KEK"};
  }
  if (!counter.ok()) return counter.status();
  if (counter->value == blob.counter_value) return {};
  if (counter->value + 1 == blob.counter_value) return not_active_yet();
  if (counter->value < blob.counter_value) {
    return {Errc::kConflict,
            "the protector was made for a counter value that the TPM is far from reaching",
            "it belongs to another counter; check which TPM this is"};
  }
  return {Errc::kRefused,
          "this store is older than the TPM's counter: a rekey has happened since, or something "
          "else has raised it",
          "was it restored from a backup? use the newer store; if this is the one to go on with, "
          "--recover opens it by a protector of another root"};
}

Status judge_parent(const SealedBlob& blob, const Parent& parent) {
  if (blob.parent_name == parent.name) return {};
  return {Errc::kDenied,
          "the KEK was sealed by another TPM or under another parent key, or the owner hierarchy "
          "was cleared since",
          "check tcti= and handle= in the URI, or open by another protector of this KEK"};
}

bool is_refused_pin(const Status& status) {
  if (status.native() != Native::kTpm2) return false;
  const std::uint32_t error = tpm_error(status.native_number());
  return error == TPM2_RC_AUTH_FAIL || error == TPM2_RC_BAD_AUTH || error == TPM2_RC_LOCKOUT;
}

Status damaged_object() {
  return {Errc::kCorruption,
          "the sealed KEK is damaged: its parent key is the right one, but it does not load",
          "restore the protector from a copy of the store"};
}

// measure repeats `once` for the rate time, up to the first failure.
Capability measure(std::string name, const std::function<Status()>& once) {
  Capability out;
  out.name = std::move(name);
  const auto start = Clock::now();
  double num_done = 0;
  Status status;
  do {
    status = once();
    ++num_done;
  } while (status.ok() && Clock::now() - start < kRateTime);
  out.works = status.ok();
  if (!status.ok()) {
    out.detail = status.describe();
    return out;
  }
  out.per_second = num_done / std::chrono::duration<double>(Clock::now() - start).count();
  return out;
}

std::string text_of(std::uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    const char c = static_cast<char>(value >> shift & 0xff);
    if (c > ' ' && c < 0x7f) text.push_back(c);
  }
  return text;
}

std::string describe_tpm(Tpm& tpm) {
  std::string text = "TPM 2.0, manufacturer ";
  const auto maker = tpm.property(TPM2_PT_MANUFACTURER);
  text += maker.ok() ? text_of(maker.value()) : "unknown";
  const auto firmware = tpm.property(TPM2_PT_FIRMWARE_VERSION_1);
  if (firmware.ok()) {
    text += ", firmware " + std::to_string(firmware.value() >> 16) + "." +
            std::to_string(firmware.value() & 0xffff);
  }
  return text;
}

Capability lockout_state(Tpm& tpm) {
  Capability out;
  out.name = "PIN tries left";
  const auto failed = tpm.property(TPM2_PT_LOCKOUT_COUNTER);
  const auto max = tpm.property(TPM2_PT_MAX_AUTH_FAIL);
  const auto interval = tpm.property(TPM2_PT_LOCKOUT_INTERVAL);
  if (!failed.ok() || !max.ok() || !interval.ok()) {
    out.detail = "the TPM does not tell";
    return out;
  }
  out.works = failed.value() < max.value();
  const std::uint32_t left = out.works ? max.value() - failed.value() : 0;
  out.detail = std::to_string(left) + " of " + std::to_string(max.value()) +
               "; one comes back every " + std::to_string(interval.value()) + " s";
  return out;
}

class Tpm2Root final : public Root {
 public:
  Tpm2Root(std::string uri, Tpm2Uri parsed, bool allow_final_try)
      : uri_(std::move(uri)), parsed_(std::move(parsed)), allow_final_try_(allow_final_try) {}

  Result<ProtectedKek> create(std::size_t kek_len, ByteView context) override;
  Result<Protector> protect(const SecretBuffer& kek, ByteView context) override;
  Result<SecretBuffer> open(const Protector& protector, ByteView context) override;
  Status activate(const Protector& protector) override;

  [[nodiscard]] bool made_counter() const override { return made_counter_; }

  // A sealed object is kept by whoever keeps the blob, and the counter belongs to the keyset.
  Status destroy(const Protector& /*protector*/) override { return {}; }

  Status random(ByteSpan out) override {
    REWRAP_TRY(guard_.check());
    REWRAP_ASSIGN(const auto tpm, Tpm::connect(parsed_.tcti));
    return tpm->random(out);
  }

  Result<RootReport> probe() override;

  // connect reaches the TPM and finds the parent.
  [[nodiscard]] Result<Connection> connect() const {
    REWRAP_TRY(guard_.check());
    Connection out;
    REWRAP_ASSIGN(out.tpm, Tpm::connect(parsed_.tcti));
    REWRAP_ASSIGN(out.parent, find_parent(*out.tpm, parsed_.handle));
    return out;
  }

 private:
  Result<Protector> seal_kek(Connection& to, const SecretBuffer& kek, ByteView context);
  Result<SecretBuffer> unseal_kek(Connection& from, const SealedBlob& blob,
                                  const SecretBuffer& pin);

  std::string uri_;
  Tpm2Uri parsed_;
  bool allow_final_try_;
  Status refused_pin_;  // what the TPM said to the PIN: no second one is tried
  bool made_counter_ = false;
  ProcessGuard guard_;
};

Result<SecretBuffer> Tpm2Root::unseal_kek(Connection& from, const SealedBlob& blob,
                                          const SecretBuffer& pin) {
  if (blob.needs_pin && !refused_pin_.ok()) return refused_pin_;
  if (blob.needs_pin && pin.empty()) {
    return Status(Errc::kDenied,
                  "the KEK is sealed with a PIN, and the URI does not say where it is",
                  "add &pin-source=file:/absolute/path to the URI");
  }
  const PinUse use = {.pin = pin.expose_secret(), .allow_final_try = allow_final_try_};
  auto kek = unseal(*from.tpm, from.parent, blob, use);
  if (blob.needs_pin && is_refused_pin(kek.status())) refused_pin_ = kek.status();
  if (!kek.ok() && kek.status().code() == Errc::kIntegrity) return damaged_object();
  return kek;
}

Result<Protector> Tpm2Root::seal_kek(Connection& to, const SecretBuffer& kek, ByteView context) {
  REWRAP_ASSIGN(const SecretBuffer pin, read_tpm_pin(parsed_));
  REWRAP_ASSIGN(SealedBlob blob, terms_now(*to.tpm, to.parent, parsed_));
  if (parsed_.counter != 0) {
    REWRAP_ASSIGN(const Counter counter, find_or_define_counter(*to.tpm, parsed_.counter));
    made_counter_ = made_counter_ || counter.is_new;
    blob.counter = parsed_.counter;
    blob.counter_value = counter.value + 1;
  }
  REWRAP_TRY(seal(*to.tpm, to.parent, kek.expose_secret(), pin.expose_secret(), &blob));
  REWRAP_ASSIGN(Protector protector, make_protector(uri_, blob, kek.expose_secret(), context));
  // From here on only what is stored is used, so that a protector which does not work is never given
  // out.
  REWRAP_ASSIGN(const SealedBlob stored, sealed_blob_of(protector));
  REWRAP_TRY(check_sealed(*to.tpm, to.parent, stored));
  if (stored.counter != 0) return protector;  // unsealing has to wait for activate()
  REWRAP_ASSIGN(const SecretBuffer back, unseal_kek(to, stored, pin));
  if (!secrets_equal(back.expose_secret(), kek.expose_secret()))
    return Status(Errc::kUnavailable, "the TPM gave back another KEK than it sealed");
  return protector;
}

Result<ProtectedKek> Tpm2Root::create(std::size_t kek_len, ByteView context) {
  if (!is_aes_key_len(kek_len))
    return Status(Errc::kInvalidArgument, "a KEK has 16, 24 or 32 bytes");
  REWRAP_ASSIGN(Connection to, connect());
  ProtectedKek made;
  REWRAP_ASSIGN(made.kek, random_kek(*to.tpm, kek_len));
  REWRAP_ASSIGN(made.protector, seal_kek(to, made.kek, context));
  return made;
}

Result<Protector> Tpm2Root::protect(const SecretBuffer& kek, ByteView context) {
  if (!is_aes_key_len(kek.size()))
    return Status(Errc::kInvalidArgument, "a KEK has 16, 24 or 32 bytes");
  REWRAP_ASSIGN(Connection to, connect());
  return seal_kek(to, kek, context);
}

Result<SecretBuffer> Tpm2Root::open(const Protector& protector, ByteView context) {
  REWRAP_TRY(guard_.check());
  REWRAP_ASSIGN(const SealedBlob blob, sealed_blob_of(protector));
  REWRAP_ASSIGN(Connection from, connect());
  REWRAP_TRY(judge_parent(blob, from.parent));
  REWRAP_TRY(judge_counter(*from.tpm, blob));
  REWRAP_ASSIGN(const SecretBuffer pin, read_tpm_pin(parsed_));
  REWRAP_ASSIGN(SecretBuffer kek, unseal_kek(from, blob, pin));
  REWRAP_ASSIGN(const auto check, check_value(kek.expose_secret(), protector, context));
  if (is_aes_key_len(kek.size()) && secrets_equal(check, protector.check)) return kek;
  return Status(
      Errc::kCorruption, "the protector does not belong here: its check value is wrong",
      "restore the protector from a copy of the store; it may have been exchanged with another");
}

Status Tpm2Root::activate(const Protector& protector) {
  REWRAP_TRY(guard_.check());
  REWRAP_ASSIGN(const SealedBlob blob, sealed_blob_of(protector));
  if (blob.counter == 0) return {};
  REWRAP_ASSIGN(Connection to, connect());
  // Another TPM's counter must not be touched.
  REWRAP_TRY(judge_parent(blob, to.parent));
  REWRAP_ASSIGN(Counter counter, find_counter(*to.tpm, blob.counter));
  if (counter.value == blob.counter_value) return {};
  if (counter.value + 1 != blob.counter_value) {
    return {Errc::kConflict,
            "the TPM's counter is neither at the protector's value nor one before it",
            "another rekey has raised it, or the store is a copy of an older one"};
  }
  // What is raised cannot be lowered: never before it is sure that the protector loads.
  const Status sealed = check_sealed(*to.tpm, to.parent, blob);
  if (sealed.code() == Errc::kIntegrity) return damaged_object();
  REWRAP_TRY(sealed);
  REWRAP_TRY(increment_counter(*to.tpm, &counter));
  if (counter.value == blob.counter_value) return {};
  return {Errc::kConflict, "the TPM's counter was raised by someone else at the same time",
          "make new protectors: run the rekey again"};
}

// judge_custody fills the verdicts in: a TPM seals KEKs for the host, and holds none to work with.
void judge_custody(bool unseals, RootReport* report) {
  report->chosen = Mechanism::kTpm2Seal;
  report->protectors.push_back(
      {.name = mechanism_name(Mechanism::kTpm2Seal), .works = unseals, .detail = {}});
  report->custody.push_back({.name = "host", .works = unseals, .detail = {}});
  for (const char* in_token : {"kek-in-token", "in-token"}) {
    report->custody.push_back(
        {.name = in_token, .works = false, .detail = "a TPM is too slow for bulk work"});
  }
}

Result<RootReport> Tpm2Root::probe() {
  REWRAP_TRY(guard_.check());
  REWRAP_ASSIGN(const auto tpm, Tpm::connect(parsed_.tcti));
  RootReport report;
  report.description = describe_tpm(*tpm);
  const auto parent = find_parent(*tpm, parsed_.handle);
  report.capabilities.push_back({.name = "parent key is fit for use",
                                 .works = parent.ok(),
                                 .detail = parent.ok() ? "" : parent.status().describe()});
  report.capabilities.push_back(lockout_state(*tpm));
  std::array<std::uint8_t, kProbeKeyLen> random{};
  report.capabilities.push_back(
      measure("GetRandom, 32 bytes", [&] { return tpm->random(random); }));
  if (!parent.ok()) return report;
  report.key_ref = "tpm2-parent=" + encode_hex(parent->name);
  // Under these terms no PIN is asked for and no try spent.
  Tpm2Uri terms_uri;
  terms_uri.pcrs = parsed_.pcrs;
  REWRAP_ASSIGN(SealedBlob blob, terms_now(*tpm, parent.value(), terms_uri));
  REWRAP_ASSIGN(const SecretBuffer key, random_kek(*tpm, kProbeKeyLen));
  report.capabilities.push_back(
      measure("seal", [&] { return seal(*tpm, parent.value(), key.expose_secret(), {}, &blob); }));
  report.capabilities.push_back(
      measure("unseal", [&] { return unseal(*tpm, parent.value(), blob, {}).status(); }));
  judge_custody(report.capabilities.back().works, &report);
  return report;
}

Result<std::size_t> flush_all(Tpm& tpm, std::uint32_t first) {
  REWRAP_ASSIGN(const auto handles, tpm.handles(first));
  for (const std::uint32_t handle : handles) {
    EsysHandle known = kNoHandle;
    REWRAP_TRY(check_tpm(
        Esys_TR_FromTPMPublic(tpm.esys(), handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &known),
        "Esys_TR_FromTPMPublic", "the TPM does not show what it holds"));
    REWRAP_TRY(check_tpm(Esys_FlushContext(tpm.esys(), known), "Esys_FlushContext",
                         "the TPM does not let go of what it holds"));
  }
  return handles.size();
}

}  // namespace

Result<std::unique_ptr<Root>> open_tpm2_root(const std::string& uri, const RootOptions& options,
                                             ParentNeed need) {
  REWRAP_ASSIGN(Tpm2Uri parsed, parse_tpm2_uri(uri));
  auto root = std::make_unique<Tpm2Root>(uri, parsed, options.allow_final_pin_try);
  if (need == ParentNeed::kUsable) {
    REWRAP_TRY(root->connect().status());
  } else {
    REWRAP_TRY(Tpm::connect(parsed.tcti).status());
  }
  return std::unique_ptr<Root>(std::move(root));
}

Status create_tpm2_root_key(const std::string& uri) {
  REWRAP_ASSIGN(const Tpm2Uri parsed, parse_tpm2_uri(uri));
  if (parsed.handle == 0) {
    return {Errc::kInvalidArgument,
            "the URI names no handle: its parent key is derived anew each time, nothing is created",
            "use the URI as it is, or add handle=0x81000001"};
  }
  REWRAP_ASSIGN(const auto tpm, Tpm::connect(parsed.tcti));
  return persist_parent(*tpm, parsed.handle);
}

Result<std::size_t> flush_leftovers(const std::string& uri) {
  REWRAP_ASSIGN(const Tpm2Uri parsed, parse_tpm2_uri(uri));
  REWRAP_ASSIGN(const auto tpm, Tpm::connect(parsed.tcti));
  std::size_t num_flushed = 0;
  for (const std::uint32_t first :
       {TPM2_TRANSIENT_FIRST, TPM2_LOADED_SESSION_FIRST, TPM2_ACTIVE_SESSION_FIRST}) {
    REWRAP_ASSIGN(const std::size_t num, flush_all(*tpm, first));
    num_flushed += num;
  }
  return num_flushed;
}

}  // namespace rewrap
