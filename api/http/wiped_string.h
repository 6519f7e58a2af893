// Text that is wiped when its memory is given back: for what clients send, which may be a password
// or a key. Not locked memory: keys at rest belong in SecretBuffer.
#ifndef REWRAP_API_HTTP_WIPED_STRING_H_
#define REWRAP_API_HTTP_WIPED_STRING_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/secret_buffer.h"

namespace rewrap {

// WipingAllocator wipes each block before it frees it, the ones that a growing string leaves behind
// too.
template <typename T>
class WipingAllocator {
 public:
  using value_type = T;

  WipingAllocator() = default;
  template <typename U>
  // NOLINTNEXTLINE(google-explicit-constructor): what the standard asks of an allocator
  WipingAllocator(const WipingAllocator<U>&) {}

  T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* block, std::size_t count) {
    wipe({reinterpret_cast<std::uint8_t*>(block), count * sizeof(T)});
    std::allocator<T>().deallocate(block, count);
  }

  template <typename U>
  bool operator==(const WipingAllocator<U>&) const {
    return true;
  }
};

// WipedString keeps up to 15 bytes inside itself, where the allocator does not see them: its owner
// calls wipe_text before letting it go (HttpRequest does).
using WipedString = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;
using WipedBytes = std::vector<char, WipingAllocator<char>>;

// wipe_text overwrites a string's whole room and leaves it empty.
template <typename String>
void wipe_text(String* text) {
  text->resize(text->capacity());
  wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
  text->clear();
}

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_WIPED_STRING_H_
