// Looks for a secret in everything that this process can write.
#ifndef REWRAP_TESTS_HSM_MEMORY_SEARCH_H_
#define REWRAP_TESTS_HSM_MEMORY_SEARCH_H_

#include "engine/base/bytes.h"

namespace rewrap::test {

// masked gives the secret in a form that a search for it does not find.
Bytes masked(ByteView secret);

// count_in_process counts the places (heap, stack, mappings) that hold the first 16 bytes of the
// secret, which is given masked.
std::size_t count_in_process(const Bytes& masked_secret);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_MEMORY_SEARCH_H_
