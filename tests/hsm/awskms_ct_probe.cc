// Drives the base64 of keys under valgrind with the key marked undefined: memcheck then counts each
// branch and each address that depends on it. Encoding has none; decoding one branch, its verdict.
#include <valgrind/memcheck.h>

#include <cstdio>
#include <utility>

#include "hsm/awskms/secret_text.h"

namespace rewrap {
namespace {

constexpr std::size_t kKeyLen = 33;  // no padding: the text is all key
constexpr std::size_t kTextLen = 44;

void hide(ByteSpan bytes) { (void)VALGRIND_MAKE_MEM_UNDEFINED(bytes.data(), bytes.size()); }

// count_reports gives how many errors memcheck has found in `work`.
template <typename Work>
unsigned count_reports(Work work) {
  const auto before = static_cast<unsigned>(VALGRIND_COUNT_ERRORS);
  work();
  return static_cast<unsigned>(VALGRIND_COUNT_ERRORS) - before;
}

Status probe() {
  Bytes key(kKeyLen, 0x5a);
  Bytes text(encode_base64(key).size());
  copy_bytes(text, as_bytes(encode_base64(key)));
  REWRAP_ASSIGN(SecretWriter writer, SecretWriter::create(kTextLen));
  hide(key);
  // The last character is known not to be padding: how long a KEK is is no secret.
  hide(ByteSpan(text).first(kTextLen - 1));
  bool decoded = false;
  const unsigned by_encode = count_reports([&] { writer.base64(key); });
  const unsigned by_decode = count_reports([&] { decoded = decode_secret_base64(text).ok(); });
  // Control: the other encoder looks its characters up.
  const unsigned by_table = count_reports([&] { (void)encode_base64(key).size(); });
  (void)std::printf("reports: encoding %u, decoding %u, by a table %u\n", by_encode, by_decode,
                    by_table);
  if (!decoded) return {Errc::kInternal, "a right text is refused"};
  if (by_encode == 0 && by_decode == 1 && by_table > 0) return {};
  return {Errc::kInternal, "0, 1 and some were expected"};
}

}  // namespace
}  // namespace rewrap

int main() {
  if (RUNNING_ON_VALGRIND == 0) {
    (void)std::puts("run this under valgrind");
    return 2;
  }
  const rewrap::Status status = rewrap::probe();
  (void)std::puts(status.describe().c_str());
  return status.ok() ? 0 : 1;
}
