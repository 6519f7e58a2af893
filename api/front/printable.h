// What a client sent, fit to be quoted in a message or in the audit log. Pure, any thread.
#ifndef REWRAP_API_FRONT_PRINTABLE_H_
#define REWRAP_API_FRONT_PRINTABLE_H_

#include <string>
#include <string_view>

namespace rewrap {

// printable cuts a client's text to 64 bytes and replaces what is not printable ASCII, and quotes.
std::string printable(std::string_view text);

}  // namespace rewrap

#endif  // REWRAP_API_FRONT_PRINTABLE_H_
