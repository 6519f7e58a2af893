// Drives the `aesni` kernel under valgrind with every secret marked undefined: memcheck then
// reports each branch and each address that depends on one.
//
// What this proves: on the paths taken here, no branch and no address of the SSE kernel depends on
// KEK bytes, key schedules, keys in flight, or the verdict. It looks at the machine code as it
// runs, knowing nothing of our source or of code_check.py. What it does not: valgrind knows no
// AVX-512 and no VAES, so the two wider kernels are not run. They are compiled from the same
// kw_core.h and kw_setup.h, but the compiler may treat them differently: code_check.py is what
// checks their machine code. Nor does it know of instructions that take longer for some values.
//
// usage: ct_probe [branch | lookup | exit]   the word adds a mistake, which valgrind must then
// report
#include <valgrind/memcheck.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

#include "aesni/kernels.h"

namespace rewrap::aesni {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kIcv = 0xA6A6A6A6A6A6A6A6;  // SP 800-38F §6.2
constexpr std::uint8_t kNoVerdict = 0xee;

void hide(Bytes* bytes) { (void)VALGRIND_MAKE_MEM_UNDEFINED(bytes->data(), bytes->size()); }
void show(Bytes* bytes) { (void)VALGRIND_MAKE_MEM_DEFINED(bytes->data(), bytes->size()); }

// is_hidden says whether valgrind holds every bit for undefined. If it did not, a secret would have
// got lost on its way through the kernel, and the probe would see nothing.
bool is_hidden(Bytes* bytes) {
  Bytes bits(bytes->size());
  if (VALGRIND_GET_VBITS(bytes->data(), bits.data(), bits.size()) != 1) return false;
  show(&bits);
  return std::all_of(bits.begin(), bits.end(), [](std::uint8_t b) { return b == 0xff; });
}

struct Kek {
  Bytes bytes;
  [[nodiscard]] KwSide side() const { return {bytes.data(), bytes.size(), kIcv}; }
};

Kek make_kek(std::size_t len, std::uint8_t first) {
  Kek kek{Bytes(len)};
  for (std::size_t i = 0; i < len; ++i) kek.bytes[i] = static_cast<std::uint8_t>(first + 7 * i);
  hide(&kek.bytes);
  return kek;
}

class Probe {
 public:
  Probe(std::size_t num_semiblocks, std::size_t num_keys, std::size_t kek_len)
      : n_(num_semiblocks),
        num_(num_keys),
        from_(make_kek(kek_len, 3)),
        to_(make_kek(kek_len, 90)) {}

  // run gives false if a result is wrong, or not as hidden as what it was made of.
  bool run() {
    Bytes keys(8 * n_ * num_);
    for (std::size_t i = 0; i < keys.size(); ++i)
      keys[i] = static_cast<std::uint8_t>(i * i + 11 * i / 256);
    const Bytes copy = keys;
    hide(&keys);
    Bytes wraps((8 * n_ + 8) * num_);
    const KwSide from = from_.side();
    const KwSide to = to_.side();
    kAesniKw.set_up(state_.get(), n_, nullptr, &from);
    kAesniKw.wrap(state_.get(), keys.data(), wraps.data(), num_);
    if (!is_hidden(&wraps)) return false;
    for (std::size_t k = 0; k < num_; k += 3) wraps[k * (8 * n_ + 8) + k % (8 * n_ + 8)] ^= 0x20;

    Bytes rewraps(wraps.size());
    kAesniKw.set_up(state_.get(), n_, &from, &to);
    kAesniKw.rewrap(state_.get(), wraps.data(), rewraps.data(), verdicts_.data(), num_);
    if (!is_hidden(&rewraps) || !are_verdicts_right()) return false;

    Bytes opened(keys.size());
    kAesniKw.set_up(state_.get(), n_, &to, nullptr);
    kAesniKw.unwrap(state_.get(), rewraps.data(), opened.data(), verdicts_.data(), num_);
    if (!is_hidden(&opened) || !are_verdicts_right()) return false;
    kAesniKw.check(state_.get(), rewraps.data(), verdicts_.data(), num_);
    return are_verdicts_right() && are_keys_right(&opened, copy);
  }

 private:
  // All three batches have the same damaged keys: a damaged wrap becomes zeros, and they are no
  // wrap either.
  bool are_verdicts_right() {
    bool right = is_hidden_verdicts();
    show(&verdicts_);
    for (std::size_t k = 0; k < num_; ++k) right = right && verdicts_[k] == (k % 3 == 0 ? 1 : 0);
    std::fill(verdicts_.begin(), verdicts_.end(), kNoVerdict);
    return right;
  }

  // The one bit of a verdict that says something; the others are 0 for everyone, and memcheck may
  // know.
  bool is_hidden_verdicts() {
    Bytes bits(num_);
    if (VALGRIND_GET_VBITS(verdicts_.data(), bits.data(), num_) != 1) return false;
    show(&bits);
    return std::all_of(bits.begin(), bits.end(), [](std::uint8_t b) { return (b & 1) == 1; });
  }

  bool are_keys_right(Bytes* opened, const Bytes& keys) const {
    show(opened);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const bool is_damaged = i / (8 * n_) % 3 == 0;
      if ((*opened)[i] != (is_damaged ? 0 : keys[i])) return false;
    }
    return true;
  }

  std::size_t n_;
  std::size_t num_;
  Kek from_;
  Kek to_;
  Bytes verdicts_ = Bytes(num_, kNoVerdict);
  // Ordinary memory, where valgrind sees rows and schedules; they are undefined as they come.
  std::unique_ptr<KwState> state_{new KwState};
};

// make_mistake does what no kernel may do, with a KEK byte or with a verdict.
int make_mistake(std::string_view which) {
  static const std::array<std::uint8_t, 256> table{1, 2, 3};
  const Kek kek = make_kek(16, 1);
  volatile std::uint8_t sink = 0;
  if (which == "branch") {
    if ((kek.bytes[5] & 1) != 0) sink = 1;
  } else if (which == "lookup") {
    sink = table[kek.bytes[5]];
  } else if (which == "exit") {
    auto state = std::make_unique<KwState>();
    const KwSide side = kek.side();
    const Bytes in(24);
    Bytes verdicts(1);
    kAesniKw.set_up(state.get(), 2, &side, nullptr);
    kAesniKw.check(state.get(), in.data(), verdicts.data(), 1);
    if (verdicts[0] != 0) return 0;
    sink = 1;
  } else {
    return 2;
  }
  return 0 * sink;
}

int run_all() {
  std::size_t num_batches = 0;
  for (std::size_t n = kMinSemiblocks; n <= kMaxSemiblocks; ++n) {
    // One, four and twelve registers; full groups and broken ones; one group, two, and several.
    for (const std::size_t num_keys : {1U, 2U, 4U, 5U, 12U, 13U, 29U, 48U}) {
      for (const std::size_t kek_len : {16U, 24U, 32U}) {
        if (!Probe(n, num_keys, kek_len).run()) {
          std::printf("wrong or not hidden: %zu semiblocks, %zu keys, KEKs of %zu\n", n, num_keys,
                      kek_len);
          return 1;
        }
        ++num_batches;
      }
    }
  }
  std::printf("%zu batches\n", num_batches);
  return 0;
}

}  // namespace
}  // namespace rewrap::aesni

int main(int argc, char** argv) {
  if (RUNNING_ON_VALGRIND == 0) {
    std::puts("this program says something only under valgrind");
    return 2;
  }
  return argc == 1 ? rewrap::aesni::run_all() : rewrap::aesni::make_mistake(argv[1]);
}
