// Where ONTAP's documents leave something open, what was chosen: every such choice but the table of
// errors (errors.cc), in one place, to be changed here alone. Constants.
#ifndef REWRAP_API_ONTAP_CHOICES_H_
#define REWRAP_API_ONTAP_CHOICES_H_

#include <cstddef>
#include <cstdint>

namespace rewrap::ontap {

// The version that is spoken. Clients ask for 9.12.1 at least before they touch aws-kms.
inline constexpr std::int64_t kGeneration = 9;
inline constexpr std::int64_t kMajor = 17;
inline constexpr std::int64_t kMinor = 1;
inline constexpr const char* kFullVersion = "NetApp Release 9.17.1: rewrap";

// HTTP statuses that are documented in two ways, or nowhere.
inline constexpr int kMalformedUuidStatus = 404;  // code 2; the table of codes says 400
inline constexpr int kUnknownPathStatus = 404;    // code 3; 405 is for a known path
inline constexpr int kUnauthorisedStatus = 401;   // code 6691623

// A job that failed while a request waited for it is an HTTP error, as if it had been found at once.
inline constexpr bool kFailedJobIsError = true;

// A job that paused because its root or disk failed is shown as running: to the Ansible modules
// "paused" is as good as done. One that was paused by request is shown as paused.
inline constexpr bool kStalledIsRunning = true;

// POST /security/aws-kms for an SVM name that does not exist makes the SVM (an empty keyset).
inline constexpr bool kCreateMakesSvm = true;

// Where Location of rekey-internal, rekey-external and restore points: the configuration.
inline constexpr bool kActionLocation = true;

// Limits of what a request may hold. Sizes are bytes.
inline constexpr std::size_t kMaxBodyLen = std::size_t{64} << 10;
inline constexpr std::size_t kMaxBodyDepth = 8;
inline constexpr std::size_t kMaxBodyFields = 128;
inline constexpr std::size_t kMaxTextLen = 1024;         // of one value
inline constexpr std::size_t kMaxContextLen = 8192;      // of encryption_context
inline constexpr std::size_t kMaxRecords = 10'000;       // of one page; the documented cap
inline constexpr std::size_t kMaxAlternatives = 64;      // in one filter
inline constexpr std::uint32_t kMaxReturnTimeout = 120;  // seconds; documented

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_CHOICES_H_
