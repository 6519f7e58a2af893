// One row for each exception of the KMS API Reference (the common errors, Encrypt, Decrypt and
// DescribeKey), and one for each way in which libcurl fails.
#include "hsm/awskms/error.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>

namespace rewrap {
namespace {

constexpr int kServerError = 500;
constexpr int kTooManyRequests = 429;
constexpr std::int64_t kMaxSkewS = 300;  // SigV4 allows five minutes

struct Words {
  Literal message;
  Literal hint;
};

constexpr Words kBusy = {
    "the KMS cannot serve the request now, and did not while it was tried again",
    "run this again later; if it stays so, look at the KMS's request quotas"};
constexpr Words kPermissions = {"the KMS does not let these credentials use the key",
                                "allow kms:DescribeKey, kms:Encrypt and kms:Decrypt on the key, in "
                                "the IAM policy and the key's"};
constexpr Words kUnknownKey = {"the KMS does not know the access key, or its token",
                               "check the credentials file, and that the access key is active"};
constexpr Words kSignature = {"the KMS does not accept the request's signature",
                              "check aws_secret_access_key in the credentials, and the region"};
constexpr Words kExpired = {"the session token in the credentials has expired",
                            "put fresh credentials into the file, then run this again"};
constexpr Words kClock = {"this machine's clock and the KMS's are more than five minutes apart",
                          "set this machine's clock (NTP), then run this again"};
constexpr Words kDisabled = {"the KMS key is disabled",
                             "enable it (aws kms enable-key --key-id ...), then run this again"};
constexpr Words kState = {
    "the KMS key is in a state in which it does not serve",
    "see aws kms describe-key; if it awaits deletion, AT ONCE: aws kms cancel-key-deletion, then "
    "enable-key"};
constexpr Words kNoKey = {"the KMS has no such key",
                          "check the key's ARN, the region and the account; a deleted key is gone"};
constexpr Words kNotOurs = {"the ciphertext was made by another KMS key",
                            "name the key that made it, by its ARN"};
constexpr Words kBadBlob = {"the KMS does not open the ciphertext",
                            "the blob is damaged, or its encryption context is another"};
constexpr Words kUsage = {"the KMS key is not one for encryption",
                          "make a symmetric one: aws kms create-key"};
constexpr Words kRequest = {"the KMS does not accept the request as it is",
                            "check the key's name and the encryption context in the URI"};
constexpr Words kNotKms = {"what answers is not an AWS KMS", "check endpoint= in the URI"};

struct Row {
  const char* name;
  Errc code;
  bool is_transient;
  Words words;
};

constexpr std::array kTable = {
    Row{"ThrottlingException", Errc::kUnavailable, true, kBusy},
    Row{"ThrottledException", Errc::kUnavailable, true, kBusy},
    Row{"LimitExceededException", Errc::kUnavailable, true, kBusy},
    Row{"RequestLimitExceeded", Errc::kUnavailable, true, kBusy},
    Row{"KMSInternalException", Errc::kUnavailable, true, kBusy},
    Row{"InternalFailure", Errc::kUnavailable, true, kBusy},
    Row{"KeyUnavailableException", Errc::kUnavailable, true, kBusy},
    Row{"DependencyTimeoutException", Errc::kUnavailable, true, kBusy},
    Row{"ServiceUnavailable", Errc::kUnavailable, true, kBusy},
    Row{"ServiceUnavailableException", Errc::kUnavailable, true, kBusy},
    Row{"AccessDeniedException", Errc::kDenied, false, kPermissions},
    Row{"NotAuthorized", Errc::kDenied, false, kPermissions},
    Row{"OptInRequired", Errc::kDenied, false, kUnknownKey},
    Row{"UnrecognizedClientException", Errc::kDenied, false, kUnknownKey},
    Row{"InvalidClientTokenId", Errc::kDenied, false, kUnknownKey},
    Row{"MissingAuthenticationTokenException", Errc::kDenied, false, kUnknownKey},
    Row{"ExpiredTokenException", Errc::kDenied, false, kExpired},
    Row{"ExpiredToken", Errc::kDenied, false, kExpired},
    Row{"InvalidSignatureException", Errc::kDenied, false, kSignature},
    Row{"SignatureDoesNotMatch", Errc::kDenied, false, kSignature},
    Row{"IncompleteSignatureException", Errc::kDenied, false, kSignature},
    Row{"IncompleteSignature", Errc::kDenied, false, kSignature},
    Row{"RequestExpired", Errc::kDenied, false, kClock},
    Row{"RequestTimeTooSkewed", Errc::kDenied, false, kClock},
    Row{"InvalidGrantTokenException", Errc::kDenied, false, kPermissions},
    Row{"DryRunOperationException", Errc::kInternal, false, kRequest},
    Row{"DisabledException", Errc::kUnavailable, false, kDisabled},
    Row{"KMSInvalidStateException", Errc::kUnavailable, false, kState},
    Row{"NotFoundException", Errc::kNotFound, false, kNoKey},
    Row{"InvalidArnException", Errc::kInvalidArgument, false, kRequest},
    Row{"InvalidKeyUsageException", Errc::kInvalidArgument, false, kUsage},
    Row{"ValidationException", Errc::kInvalidArgument, false, kRequest},
    Row{"ValidationError", Errc::kInvalidArgument, false, kRequest},
    Row{"InvalidCiphertextException", Errc::kIntegrity, false, kBadBlob},
    Row{"IncorrectKeyException", Errc::kConflict, false, kNotOurs},
    Row{"SerializationException", Errc::kUnsupported, false, kNotKms},
    Row{"UnknownOperationException", Errc::kUnsupported, false, kNotKms},
};

constexpr Words kNoHost = {"the KMS's host name does not resolve",
                           "check the region, endpoint= and this machine's DNS"};
constexpr Words kNoConnection = {"the KMS cannot be reached",
                                 "check the network, endpoint= and proxy=, then run this again"};
constexpr Words kTooSlow = {"the KMS did not answer in time",
                            "check the network, or allow more with timeout=SECONDS"};
constexpr Words kCutOff = {"the connection to the KMS broke off", "run this again"};
constexpr Words kTls = {"there is no TLS connection to the KMS to be had",
                        "check endpoint= and proxy=: TLS 1.2 or newer must answer there"};
constexpr Words kNotTrusted = {
    "the KMS's certificate is not trusted: nothing was sent",
    "check endpoint=; a private CA goes into ca=file:/absolute/path. Verification stays on"};
constexpr Words kNoCa = {"the file of trusted CAs cannot be read", "check ca= in the URI"};
constexpr Words kStopped = {"a request to the KMS was stopped", ""};
constexpr Words kCurlFailed = {"a request to the KMS failed", "see libcurl's words"};

struct CurlRow {
  int code;
  Errc errc;
  bool is_transient;
  Words words;
};

constexpr std::array kCurlTable = {
    CurlRow{CURLE_COULDNT_RESOLVE_HOST, Errc::kUnavailable, true, kNoHost},
    CurlRow{CURLE_COULDNT_RESOLVE_PROXY, Errc::kUnavailable, true, kNoHost},
    CurlRow{CURLE_COULDNT_CONNECT, Errc::kUnavailable, true, kNoConnection},
    CurlRow{CURLE_PROXY, Errc::kUnavailable, false, kNoConnection},
    CurlRow{CURLE_OPERATION_TIMEDOUT, Errc::kUnavailable, true, kTooSlow},
    CurlRow{CURLE_GOT_NOTHING, Errc::kUnavailable, true, kCutOff},
    CurlRow{CURLE_SEND_ERROR, Errc::kUnavailable, true, kCutOff},
    CurlRow{CURLE_RECV_ERROR, Errc::kUnavailable, true, kCutOff},
    CurlRow{CURLE_PARTIAL_FILE, Errc::kUnavailable, true, kCutOff},
    CurlRow{CURLE_SSL_CONNECT_ERROR, Errc::kUnavailable, false, kTls},
    CurlRow{CURLE_PEER_FAILED_VERIFICATION, Errc::kRefused, false, kNotTrusted},
    CurlRow{CURLE_SSL_ISSUER_ERROR, Errc::kRefused, false, kNotTrusted},
    CurlRow{CURLE_SSL_CACERT_BADFILE, Errc::kNotFound, false, kNoCa},
    CurlRow{CURLE_WEIRD_SERVER_REPLY, Errc::kUnsupported, false, kNotKms},
    CurlRow{CURLE_UNSUPPORTED_PROTOCOL, Errc::kUnsupported, false, kNotKms},
    CurlRow{CURLE_OUT_OF_MEMORY, Errc::kExhausted, false, kCurlFailed},
    CurlRow{CURLE_ABORTED_BY_CALLBACK, Errc::kUnavailable, false, kStopped},
};

Status from_kms(Errc code, int http_status, const char* name, Literal call, const Words& words) {
  return Status::from_native(code, Native::kAwsKms, static_cast<std::uint32_t>(http_status), name,
                             call, words.message, words.hint);
}

// bare_name takes "com.amazonaws.kms#" and ":http://..." off.
std::string_view bare_name(std::string_view name) {
  const std::size_t hash = name.rfind('#');
  if (hash != std::string_view::npos) name.remove_prefix(hash + 1);
  return name.substr(0, name.find(':'));
}

// judge_http_status is for answers that name no exception we know.
KmsFailure judge_http_status(int http_status, Literal call) {
  const char* name = "no known exception";
  if (http_status >= kServerError || http_status == kTooManyRequests)
    return {from_kms(Errc::kUnavailable, http_status, name, call, kBusy), true};
  return {from_kms(Errc::kUnsupported, http_status, name, call, kNotKms), false};
}

}  // namespace

KmsFailure judge_kms_error(std::string_view name, int http_status, Literal call) {
  name = bare_name(name);
  const auto* row = std::find_if(kTable.begin(), kTable.end(),
                                 [name](const Row& candidate) { return name == candidate.name; });
  if (row == kTable.end()) return judge_http_status(http_status, call);
  return {from_kms(row->code, http_status, row->name, call, row->words), row->is_transient};
}

KmsFailure judge_curl_error(int code) {
  const auto* row =
      std::find_if(kCurlTable.begin(), kCurlTable.end(),
                   [code](const CurlRow& candidate) { return code == candidate.code; });
  const bool known = row != kCurlTable.end();
  const Words& words = known ? row->words : kCurlFailed;
  const auto number = static_cast<std::uint32_t>(code);
  const char* text = curl_easy_strerror(static_cast<CURLcode>(code));
  return {Status::from_native(known ? row->errc : Errc::kUnavailable, Native::kCurl, number, text,
                              "curl_easy_perform", words.message, words.hint),
          known && row->is_transient};
}

KmsFailure judge_clock(KmsFailure failure, std::int64_t kms_time, std::int64_t now) {
  const bool is_signature = failure.status.message() == kSignature.message.c_str();
  const std::int64_t apart = kms_time > now ? kms_time - now : now - kms_time;
  if (!is_signature || kms_time < 0 || apart <= kMaxSkewS) return failure;
  return {Status(Errc::kDenied, kClock.message, kClock.hint), false};
}

Status key_state_error(std::string_view state) {
  if (state == "Enabled") return {};
  const Words& words = state == "Disabled" ? kDisabled : kState;
  return {Errc::kUnavailable, words.message, words.hint};
}

}  // namespace rewrap
