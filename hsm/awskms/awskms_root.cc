// The AWS KMS root.
#include "hsm/awskms/awskms_root.h"

#include <chrono>
#include <functional>
#include <utility>

#include "hsm/awskms/client.h"
#include "hsm/awskms/uri.h"
#include "hsm/process_guard.h"
#include "hsm/random.h"

namespace rewrap {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxContextFieldsLen =
    1024;  // of the caller's, before it is written as hexadecimal
constexpr std::size_t kProbeKeyLen = 32;
// Requests cost money and count against a quota: the probe measures over a few.
constexpr auto kRateTime = std::chrono::milliseconds(200);
constexpr int kMaxRateCalls = 20;

Status bad_kek_len() { return {Errc::kInvalidArgument, "a KEK has 16, 24 or 32 bytes"}; }

Status another_key() {
  return {Errc::kDenied,
          "the protector was made under another KMS key than the one its URI leads to now",
          "was the alias moved? point it back to the key that the protector names, then reprotect "
          "under a URI with the new key's ARN"};
}

Status damaged_ciphertext() {
  return {
      Errc::kCorruption,
      "the KMS key is the right one, but the protector's blob does not open under it",
      "restore the protector from a copy of the store, and check encryption-context= in the URI"};
}

// measure repeats `once` for a while, up to the first failure.
Capability measure(std::string name, const std::function<Status()>& once) {
  Capability out{.name = std::move(name), .works = false, .detail = {}};
  const auto start = Clock::now();
  int num_done = 0;
  Status status;
  do {
    status = once();
    ++num_done;
  } while (status.ok() && num_done < kMaxRateCalls && Clock::now() - start < kRateTime);
  out.works = status.ok();
  if (!status.ok()) out.detail = status.describe();
  if (status.ok())
    out.per_second = num_done / std::chrono::duration<double>(Clock::now() - start).count();
  return out;
}

class AwsKmsRoot final : public Root {
 public:
  AwsKmsRoot(std::string uri, AwsKmsConfig config, AwsCredentialSource credentials)
      : uri_(std::move(uri)), client_(std::move(config), std::move(credentials)) {}

  Result<ProtectedKek> create(std::size_t kek_len, ByteView context) override;
  Result<Protector> protect(const SecretBuffer& kek, ByteView context) override;
  Result<SecretBuffer> open(const Protector& protector, ByteView context) override;

  // The ciphertext is kept by whoever keeps the protector. The KMS key may serve others: it is never
  // disabled or scheduled for deletion from here.
  Status destroy(const Protector& /*protector*/) override { return {}; }

  // KMS's own generator would take a permission of its own, kms:GenerateRandom.
  Status random(ByteSpan out) override {
    REWRAP_TRY(guard_.check());
    REWRAP_TRY(check_random_len(out.size()));
    return random_bytes(out);
  }

  Result<RootReport> probe() override;

  // ready finds the key's ARN, once: an alias that moves while the root is open is not followed.
  Status ready();

 private:
  [[nodiscard]] Result<EncryptionContext> bind(ByteView context) const;

  std::string uri_;
  KmsClient client_;
  std::string arn_;
  ProcessGuard guard_;
};

Status AwsKmsRoot::ready() {
  REWRAP_TRY(guard_.check());
  if (!arn_.empty()) return {};
  REWRAP_ASSIGN(KmsKey key, client_.describe_key());
  REWRAP_TRY(check_key(key));
  arn_ = std::move(key.arn);
  return {};
}

Result<EncryptionContext> AwsKmsRoot::bind(ByteView context) const {
  if (context.size() > kMaxContextFieldsLen)
    return Status(Errc::kInvalidArgument, "a protector's context has at most 1024 bytes");
  EncryptionContext pairs = client_.config().encryption_context;
  pairs[kContextName] = "0x" + encode_hex(context);
  return pairs;
}

Result<ProtectedKek> AwsKmsRoot::create(std::size_t kek_len, ByteView context) {
  if (!is_aes_key_len(kek_len)) return bad_kek_len();
  REWRAP_TRY(ready());
  ProtectedKek made;
  REWRAP_ASSIGN(made.kek, random_key(kek_len));
  REWRAP_ASSIGN(made.protector, protect(made.kek, context));
  return made;
}

Result<Protector> AwsKmsRoot::protect(const SecretBuffer& kek, ByteView context) {
  if (!is_aes_key_len(kek.size())) return bad_kek_len();
  REWRAP_TRY(ready());
  REWRAP_ASSIGN(const EncryptionContext bound, bind(context));
  Protector made;
  made.root_uri = uri_;
  made.mechanism = Mechanism::kAwsKms;
  made.key_ref = arn_;
  REWRAP_ASSIGN(made.blob, client_.encrypt(arn_, kek.expose_secret(), bound));
  REWRAP_ASSIGN(made.check, check_value(kek.expose_secret(), made, context));
  const auto stored = decode_protector(encode_protector(made));
  if (!stored.ok()) {
    return Status(Errc::kInvalidArgument, "the root's URI or the ciphertext is too long to store",
                  "use a shorter URI");
  }
  // From here on only what is stored is used, so that a protector which does not work is never given
  // out.
  const auto back = open(stored.value(), context);
  const bool is_kept = back.ok() && secrets_equal(back->expose_secret(), kek.expose_secret());
  if (is_kept) return made;
  if (!back.ok() && back.status().code() != Errc::kCorruption) return back.status();
  return Status(Errc::kUnavailable, "the KMS does not give back the KEK that it was given",
                "nothing was stored; check endpoint= in the URI, then run this again");
}

Result<SecretBuffer> AwsKmsRoot::open(const Protector& protector, ByteView context) {
  REWRAP_TRY(guard_.check());
  if (protector.mechanism != Mechanism::kAwsKms) {
    return Status(Errc::kUnsupported,
                  "the protector was made by a mechanism that this root does not know",
                  "open it with a URI of the root that made it");
  }
  REWRAP_TRY(ready());
  REWRAP_ASSIGN(const EncryptionContext bound, bind(context));
  auto kek = client_.decrypt(arn_, protector.blob, bound);
  const Errc code = kek.status().code();
  if (code == Errc::kIntegrity || code == Errc::kConflict)
    return protector.key_ref == arn_ ? damaged_ciphertext() : another_key();
  if (!kek.ok()) return kek.status();
  if (!is_aes_key_len(kek->size())) return damaged_ciphertext();
  REWRAP_ASSIGN(const auto check, check_value(kek->expose_secret(), protector, context));
  if (secrets_equal(check, protector.check)) return kek;
  return Status(
      Errc::kCorruption, "the protector does not belong here: its check value is wrong",
      "restore the protector from a copy of the store; it may have been exchanged with another");
}

// judge_custody fills the verdicts in: a KMS guards KEKs for the host, and holds none to work with.
void judge_custody(bool works, RootReport* report) {
  report->chosen = Mechanism::kAwsKms;
  report->protectors.push_back(
      {.name = mechanism_name(Mechanism::kAwsKms), .works = works, .detail = {}});
  report->custody.push_back({.name = "host", .works = works, .detail = {}});
  for (const char* in_token : {"kek-in-token", "in-token"}) {
    report->custody.push_back(
        {.name = in_token, .works = false, .detail = "a KMS is too far away for bulk work"});
  }
}

Result<RootReport> AwsKmsRoot::probe() {
  REWRAP_TRY(guard_.check());
  RootReport report;
  report.description =
      "AWS KMS at " + endpoint_of(client_.config()) + ", region " + client_.config().region;
  KmsKey key;
  report.capabilities.push_back(measure("DescribeKey", [&]() -> Status {
    REWRAP_ASSIGN(key, client_.describe_key());
    return {};
  }));
  if (key.arn.empty()) return report;
  report.key_ref = key.arn;
  const Status fit = check_key(key);
  report.capabilities.push_back(
      {.name = "key is fit for use",
       .works = fit.ok(),
       .detail = key.spec + ", " + key.usage + ", origin " + key.origin + ", " + key.state});
  REWRAP_ASSIGN(const SecretBuffer kek, random_key(kProbeKeyLen));
  const EncryptionContext right = {{kContextName, "probe"}};
  const EncryptionContext wrong = {{kContextName, "another"}};
  Bytes blob;
  report.capabilities.push_back(measure("Encrypt", [&]() -> Status {
    REWRAP_ASSIGN(blob, client_.encrypt(key.arn, kek.expose_secret(), right));
    return {};
  }));
  report.capabilities.push_back(measure("Decrypt", [&]() -> Status {
    REWRAP_ASSIGN(const SecretBuffer back, client_.decrypt(key.arn, blob, right));
    if (secrets_equal(back.expose_secret(), kek.expose_secret())) return {};
    return {Errc::kUnavailable, "the KMS gave back another key than it was given"};
  }));
  const bool decrypts = report.capabilities.back().works;
  const bool binds = client_.decrypt(key.arn, blob, wrong).status().code() == Errc::kIntegrity;
  report.capabilities.push_back(
      {.name = "Decrypt refuses another encryption context", .works = binds, .detail = {}});
  judge_custody(fit.ok() && decrypts && binds, &report);
  return report;
}

}  // namespace

Result<std::unique_ptr<Root>> make_awskms_root(const std::string& uri, AwsKmsConfig config,
                                               AwsCredentialSource credentials, KmsKeyNeed need) {
  REWRAP_TRY(check_config(config));
  auto root = std::make_unique<AwsKmsRoot>(uri, std::move(config), std::move(credentials));
  if (need == KmsKeyNeed::kUsable) REWRAP_TRY(root->ready());
  return std::unique_ptr<Root>(std::move(root));
}

Result<std::unique_ptr<Root>> open_awskms_root(const std::string& uri, const RootOptions& options,
                                               KmsKeyNeed need) {
  REWRAP_ASSIGN(AwsKmsUri parsed, parse_awskms_uri(uri));
  parsed.config.first_pause = options.reconnect_pause;
  parsed.config.retry_limit = options.reconnect_limit;
  parsed.config.stop = options.stop;
  parsed.config.on_wait = options.on_token_lost;
  return make_awskms_root(uri, std::move(parsed.config),
                          credentials_from_file(parsed.credentials_file, parsed.profile), need);
}

}  // namespace rewrap
