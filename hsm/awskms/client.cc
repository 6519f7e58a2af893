// Requests as JSON, the loop of tries, and the checks of what comes back.
#include "hsm/awskms/client.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>
#include <random>
#include <thread>

#include "hsm/awskms/error.h"
#include "hsm/awskms/http.h"
#include "hsm/awskms/json.h"
#include "hsm/awskms/secret_text.h"
#include "hsm/protector.h"

namespace rewrap {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kHttpOk = 200;
constexpr int kMaxTries = 10;
constexpr milliseconds kMaxPause{20'000};
constexpr milliseconds kLookAtStop{50};
constexpr std::size_t kMaxRequestLen = std::size_t{32} << 10;  // 6144 bytes as base64, and the rest
constexpr std::size_t kMaxContextsLen = 4096;                  // KMS takes 8192

Status not_a_kms() {
  return {Errc::kUnsupported, "the answer is not one that an AWS KMS gives",
          "check endpoint= and proxy= in the URI: something else may answer there"};
}

Status not_the_key_asked_for() {
  return {Errc::kRefused, "the KMS answered for another key than the one that was asked",
          "check endpoint= in the URI; nothing of the answer was used"};
}

// with_jitter spreads clients that failed at the same moment: between half of the pause and all of it.
milliseconds with_jitter(milliseconds pause) {
  thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_int_distribution<milliseconds::rep> spread(pause.count() / 2, pause.count());
  return milliseconds(spread(random));
}

bool is_stopped(const AwsKmsConfig& config) {
  return config.stop != nullptr && config.stop->load();
}

// sleep_for ends early, and gives false, when the config's stop flag is set.
bool sleep_for(milliseconds pause, const AwsKmsConfig& config) {
  const auto end = Clock::now() + pause;
  while (!is_stopped(config) && Clock::now() < end) {
    const auto left = std::chrono::ceil<milliseconds>(end - Clock::now());
    std::this_thread::sleep_for(std::min(left, kLookAtStop));
  }
  return !is_stopped(config);
}

// Request writes one flat JSON object. Names and texts hold nothing that JSON would escape; see
// check_config.
class Request {
 public:
  static Result<Request> create() {
    REWRAP_ASSIGN(SecretWriter out, SecretWriter::create(kMaxRequestLen));
    return Request(std::move(out));
  }

  void text(std::string_view name, std::string_view value) {
    begin(name);
    quoted(value);
  }
  void bytes(std::string_view name, ByteView value) {
    begin(name);
    out_.text("\"");
    out_.base64(value);
    out_.text("\"");
  }
  void context(const EncryptionContext& pairs) {
    begin("EncryptionContext");
    const char* separator = "{";
    for (const auto& [name, value] : pairs) {
      out_.text(separator);
      quoted(name);
      out_.text(":");
      quoted(value);
      separator = ",";
    }
    out_.text(pairs.empty() ? "{}" : "}");
  }
  Result<SecretBuffer> take() && {
    out_.text("}");
    return std::move(out_).take();
  }

 private:
  explicit Request(SecretWriter out) : out_(std::move(out)) {}

  void begin(std::string_view name) {
    out_.text(is_first_ ? "{" : ",");
    is_first_ = false;
    quoted(name);
    out_.text(":");
  }
  void quoted(std::string_view text) {
    out_.text("\"");
    out_.text(text);
    out_.text("\"");
  }

  SecretWriter out_;
  bool is_first_ = true;
};

Status check_contexts(const EncryptionContext& pairs) {
  std::size_t len = 0;
  for (const auto& [name, value] : pairs) len += name.size() + value.size();
  if (len <= kMaxContextsLen) return {};
  return {Errc::kInvalidArgument, "the encryption context is longer than 4096 bytes"};
}

std::string error_name(const HttpAnswer& answer) {
  const auto object = JsonObject::parse(answer.body.expose_secret());
  const auto type = object.has_value() ? object->text("__type") : std::nullopt;
  return type.value_or(answer.error_type);
}

}  // namespace

struct KmsClient::Operation {
  Literal name;
  std::string_view target;
};

// Attempt is what one request came to: an answer, or a failure.
struct KmsClient::Attempt {
  SecretBuffer answer;
  KmsFailure failure;
};

KmsClient::Attempt KmsClient::attempt(const Operation& operation, ByteView body) {
  const auto failed = [](const Status& status) { return Attempt{{}, {status, false}}; };
  const auto credentials = credentials_();
  if (!credentials.ok()) return failed(credentials.status());
  const Status usable = check_credentials(credentials.value());
  if (!usable.ok()) return failed(usable);
  auto answer =
      post(config_, credentials.value(),
           {.target = operation.target, .body = body, .timeout = config_.request_timeout});
  if (!answer.ok()) return failed(answer.status());
  if (answer->is_too_long) return failed(not_a_kms());
  if (answer->curl_code != 0) return {{}, judge_curl_error(answer->curl_code)};
  if (answer->status == kHttpOk) return {std::move(answer->body), {}};
  const KmsFailure failure =
      judge_kms_error(error_name(answer.value()), answer->status, operation.name);
  return {{}, judge_clock(failure, answer->date, std::time(nullptr))};
}

Result<SecretBuffer> KmsClient::call(const Operation& operation, ByteView body) {
  REWRAP_TRY(check_config(config_));
  REWRAP_TRY(check_environment());
  const auto end = Clock::now() + config_.retry_limit;
  milliseconds pause = config_.first_pause;
  for (int num_tries = 1;; ++num_tries) {
    Attempt made = attempt(operation, body);
    if (made.failure.status.ok()) return std::move(made.answer);
    const milliseconds wait = with_jitter(pause);
    const bool gives_up =
        !made.failure.is_transient || num_tries == kMaxTries || Clock::now() + wait >= end;
    if (gives_up) return made.failure.status;
    if (num_tries == 1 && config_.on_wait) config_.on_wait(made.failure.status);
    if (!sleep_for(wait, config_)) return made.failure.status;
    pause = std::min(2 * pause, kMaxPause);
  }
}

Status check_key(const KmsKey& key) {
  if (key.usage != "ENCRYPT_DECRYPT" || key.spec != "SYMMETRIC_DEFAULT") {
    return {Errc::kInvalidArgument, "the KMS key is not a symmetric one for encryption",
            "make one: aws kms create-key (its defaults serve)"};
  }
  return key_state_error(key.state);
}

Result<KmsKey> KmsClient::describe_key() {
  REWRAP_TRY(check_config(config_));
  REWRAP_ASSIGN(Request request, Request::create());
  request.text("KeyId", config_.key_id);
  REWRAP_ASSIGN(const SecretBuffer body, std::move(request).take());
  REWRAP_ASSIGN(const SecretBuffer answer,
                call({"DescribeKey", "TrentService.DescribeKey"}, body.expose_secret()));
  const auto object = JsonObject::parse(answer.expose_secret());
  const auto metadata = object.has_value() ? object->object("KeyMetadata") : std::nullopt;
  if (!metadata.has_value()) return not_a_kms();
  KmsKey key;
  key.arn = metadata->text("Arn").value_or("");
  key.state = metadata->text("KeyState").value_or("");
  key.usage = metadata->text("KeyUsage").value_or("");
  // Older services know only the second name, or none: then Encrypt tells.
  key.spec = metadata->text("KeySpec").value_or(
      metadata->text("CustomerMasterKeySpec").value_or("SYMMETRIC_DEFAULT"));
  key.origin = metadata->text("Origin").value_or("");
  if (!is_key_arn(key.arn, config_.region)) return not_a_kms();
  if (!is_arn_of(key.arn, config_.key_id)) return not_the_key_asked_for();
  return key;
}

Result<Bytes> KmsClient::encrypt(const std::string& arn, ByteView plaintext,
                                 const EncryptionContext& context) {
  REWRAP_TRY(check_contexts(context));
  if (plaintext.empty() || plaintext.size() > kMaxKmsPlaintextLen)
    return Status(Errc::kInvalidArgument, "a KMS encrypts 1 to 4096 bytes");
  REWRAP_ASSIGN(Request request, Request::create());
  request.text("KeyId", arn);
  request.bytes("Plaintext", plaintext);
  request.context(context);
  REWRAP_ASSIGN(const SecretBuffer body, std::move(request).take());
  REWRAP_ASSIGN(const SecretBuffer answer,
                call({"Encrypt", "TrentService.Encrypt"}, body.expose_secret()));
  const auto object = JsonObject::parse(answer.expose_secret());
  const auto text = object.has_value() ? object->text("CiphertextBlob") : std::nullopt;
  Bytes blob;
  if (!text.has_value() || !decode_base64(*text, &blob)) return not_a_kms();
  if (blob.empty() || blob.size() > kMaxBlobLen) return not_a_kms();
  if (object->text("KeyId") != arn) return not_the_key_asked_for();
  return blob;
}

Result<SecretBuffer> KmsClient::decrypt(const std::string& arn, ByteView ciphertext,
                                        const EncryptionContext& context) {
  REWRAP_TRY(check_contexts(context));
  if (ciphertext.empty() || ciphertext.size() > kMaxBlobLen)
    return Status(Errc::kIntegrity, "no KMS ciphertext is that long or short");
  REWRAP_ASSIGN(Request request, Request::create());
  request.text("KeyId", arn);
  request.bytes("CiphertextBlob", ciphertext);
  request.context(context);
  REWRAP_ASSIGN(const SecretBuffer body, std::move(request).take());
  REWRAP_ASSIGN(const SecretBuffer answer,
                call({"Decrypt", "TrentService.Decrypt"}, body.expose_secret()));
  const auto object = JsonObject::parse(answer.expose_secret());
  if (!object.has_value()) return not_a_kms();
  if (object->text("KeyId") != arn) return not_the_key_asked_for();
  auto text = object->secret("Plaintext");
  if (!text.ok() && text.status().code() == Errc::kNotFound) return not_a_kms();
  if (!text.ok()) return text.status();
  auto plaintext = decode_secret_base64(std::as_const(text.value()).expose_secret());
  if (!plaintext.ok() && plaintext.status().code() == Errc::kInvalidArgument) return not_a_kms();
  return plaintext;
}

}  // namespace rewrap
