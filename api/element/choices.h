// Where Element's documents leave something open, what was chosen: every such choice but the table of
// errors (errors.cc), in one place, to be changed here alone. Constants.
#ifndef REWRAP_API_ELEMENT_CHOICES_H_
#define REWRAP_API_ELEMENT_CHOICES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rewrap::element {

// The version that is spoken: the lowest with the rekey. Clients read it as a number, so never one
// with a minor of two digits.
inline constexpr std::string_view kCurrentVersion = "12.3";
inline constexpr std::string_view kClusterVersion = "12.3.0.0";

// Versions that may stand in the URL; each takes every method. The SDKs begin at 7.0, Cinder at 1.0.
inline constexpr std::array<std::string_view, 40> kVersions = {
    "1.0",  "2.0",  "3.0",  "4.0",  "5.0",  "5.1",  "6.0",  "7.0",  "7.1",  "7.2",
    "7.3",  "7.4",  "8.0",  "8.1",  "8.2",  "8.3",  "8.4",  "8.5",  "8.6",  "8.7",
    "9.0",  "9.1",  "9.2",  "9.3",  "9.4",  "9.5",  "9.6",  "10.0", "10.1", "10.2",
    "10.3", "11.0", "11.1", "11.3", "11.5", "11.7", "11.8", "12.0", "12.2", "12.3"};

// A handle that is not there has been reported in two ways.
inline constexpr bool kMissingHandleIsDbPath = true;  // else xAsyncHandleDoesNotExist

// A rekey that is asked for while one is under way: an error. Else it gets the handle of that one,
// whatever management it was asked for.
inline constexpr bool kSecondRekeyIsError = true;

// keyProviderID 0 counts as absent: a client's request object without arguments holds it.
inline constexpr bool kZeroProviderIsAbsent = true;

// What a failed operation's error holds besides name and message.
inline constexpr bool kAsyncErrorHasCode = true;

// The one code there is. Never 400: a client takes that for HTTP's.
inline constexpr std::int64_t kErrorCode = 500;

// How often software encryption was enabled: it cannot be disabled again. A rekey does not count.
inline constexpr std::int64_t kEncryptionVersion = 1;

inline constexpr std::string_view kKmipCapabilities = "KMIP 1.2, OpenSSL, TLS 1.2 or later";
inline constexpr std::string_view kProtectionScheme = "singleHelix";  // clients know three words

// Limits of what a request may hold. Sizes are bytes.
inline constexpr std::size_t kMaxBodyLen = std::size_t{256}
                                           << 10;  // two PEM texts of 64 KiB, escaped
inline constexpr std::size_t kMaxBodyDepth = 8;
inline constexpr std::size_t kMaxTextLen = 1024;  // of one value
inline constexpr std::size_t kMaxListLen = 64;    // of one array
inline constexpr std::size_t kMaxIdLen = 256;     // a longer id is not echoed
inline constexpr std::size_t kMaxResults = 1000;  // of ListAsyncResults, the newest

}  // namespace rewrap::element

#endif  // REWRAP_API_ELEMENT_CHOICES_H_
