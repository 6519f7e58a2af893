// Element's objects: keys, results, providers and servers. Any thread.
#ifndef REWRAP_API_ELEMENT_RECORDS_H_
#define REWRAP_API_ELEMENT_RECORDS_H_

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/element/backend.h"

namespace rewrap::element {

inline constexpr std::string_view kRekeyType = "RekeySoftwareEncryptionAtRestMasterKey";

// format_time gives e.g. "2026-11-22T14:57:29Z" for seconds since 1970.
std::string format_time(std::uint64_t seconds);

// key_record is an EncryptionKeyInfo; the management is in lower case.
boost::json::object key_record(const KeyInfo& key);

// rekey_state is one of Element's four words. What has not begun yet is about to make a key; a verify
// is part of the re-wrapping. Only an ended job is Ready.
std::string_view rekey_state(const Job& job);

// rekey_record is a SearRekeyMasterKeyInfo: the result of a rekey, and the details of a running one.
// Keys that nobody knows (any more, or yet) are left out.
boost::json::object rekey_record(Backend* backend, const Job& job);

boost::json::object provider_record(const KmipProvider& provider);
boost::json::object server_record(const KmipServer& server);  // unassigned: nulls

}  // namespace rewrap::element

#endif  // REWRAP_API_ELEMENT_RECORDS_H_
