// The GCM kernels against OpenSSL, key by key: all key sizes, batch sizes, alignments and damages.
#include "aesni/gcm.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "engine/ecb_cipher.h"
#include "engine/fused_gcm.h"
#include "engine/transform.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/test_keys.h"
#include "tests/unit/vector_registers.h"

namespace rewrap {
namespace {

constexpr std::size_t kLineLen = 64;
constexpr std::size_t kAadLen = 16;
constexpr std::size_t kAadStride = 24;
constexpr std::uint8_t kGuard = 0xcd;
constexpr std::size_t kGuardLen = 64;

// Gcm is AES-256-GCM by OpenSSL under one KEK and one prefix of additional data.
class Gcm {
 public:
  Gcm(Bytes kek, Bytes prefix)
      : kek_(std::move(kek)), prefix_(std::move(prefix)), ctx_(EVP_CIPHER_CTX_new()) {}

  [[nodiscard]] const Bytes& kek() const { return kek_; }
  [[nodiscard]] const Bytes& prefix() const { return prefix_; }

  Bytes wrap(std::uint32_t fixed_field, std::uint64_t number, ByteView aad, ByteView key) const {
    Bytes record(kGcmIvFieldLen + key.size() + kGcmTagLen);
    store_be64(record.data() + 4, number);
    store_be32(record.data(), fixed_field);
    start(record.data(), aad, 1);
    int len = 0;
    const int key_len = static_cast<int>(key.size());
    require(
        EVP_CipherUpdate(ctx_.get(), record.data() + kGcmIvFieldLen, &len, key.data(), key_len));
    require(EVP_CipherFinal_ex(ctx_.get(), record.data(), &len));
    require(EVP_CIPHER_CTX_ctrl(ctx_.get(), EVP_CTRL_AEAD_GET_TAG, kGcmTagLen,
                                record.data() + kGcmIvFieldLen + key.size()));
    return record;
  }

 private:
  struct CtxDeleter {
    void operator()(EVP_CIPHER_CTX* ctx) const { EVP_CIPHER_CTX_free(ctx); }
  };

  static void require(int result) {
    if (result != 1) throw std::runtime_error("EVP failed");
  }

  void start(const std::uint8_t* iv, ByteView aad, int encrypt) const {
    require(EVP_CipherInit_ex(ctx_.get(), EVP_aes_256_gcm(), nullptr, kek_.data(), iv, encrypt));
    int len = 0;
    for (const ByteView part : {ByteView(prefix_), aad}) {
      if (part.empty()) continue;
      const int part_len = static_cast<int>(part.size());
      require(EVP_CipherUpdate(ctx_.get(), nullptr, &len, part.data(), part_len));
    }
  }

  Bytes kek_;
  Bytes prefix_;
  std::unique_ptr<EVP_CIPHER_CTX, CtxDeleter> ctx_;
};

// Area is a place for results at a chosen misalignment, with guards on both sides.
class Area {
 public:
  Area(std::size_t len, std::size_t misalignment) : len_(len), bytes_(len + 4 * kGuardLen, kGuard) {
    const auto at = reinterpret_cast<std::uintptr_t>(bytes_.data());
    first_ = kGuardLen + (64 - at % 64) % 64 + misalignment % 64;
  }
  std::uint8_t* data() { return bytes_.data() + first_; }
  ByteSpan span() { return ByteSpan(bytes_).subspan(first_, len_); }
  [[nodiscard]] bool guards_are_whole() const {
    const auto is_guard = [](std::uint8_t b) { return b == kGuard; };
    const auto begin = bytes_.begin();
    return std::all_of(begin, begin + static_cast<std::ptrdiff_t>(first_), is_guard) &&
           std::all_of(begin + static_cast<std::ptrdiff_t>(first_ + len_), bytes_.end(), is_guard);
  }

 private:
  std::size_t len_;
  std::size_t first_ = 0;
  Bytes bytes_;
};

// Fenced is a page between two that cannot be touched, with bytes at its beginning or its end.
class Fenced {
 public:
  explicit Fenced(std::size_t len, bool at_end) {
    void* map = mmap(nullptr, 3 * kPageLen, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || len > kPageLen) throw std::bad_alloc();
    map_ = static_cast<std::uint8_t*>(map);
    if (mprotect(map_ + kPageLen, kPageLen, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    bytes_ = ByteSpan(map_ + kPageLen + (at_end ? kPageLen - len : 0), len);
  }
  Fenced(ByteView content, bool at_end) : Fenced(content.size(), at_end) {
    copy_bytes(bytes_, content);
  }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  ~Fenced() { munmap(map_, 3 * kPageLen); }

  [[nodiscard]] std::uint8_t* data() const { return bytes_.data(); }
  [[nodiscard]] ByteSpan span() const { return bytes_; }

 private:
  static constexpr std::size_t kPageLen = 4096;
  std::uint8_t* map_ = nullptr;
  ByteSpan bytes_;
};

// Sample is keys of one length with what OpenSSL makes of them on both sides.
struct Sample {
  static constexpr std::uint32_t kOldField = 1;
  static constexpr std::uint32_t kNewField = 0xfedcba98;

  Sample(test::Random& random, std::size_t len, std::size_t num_keys, std::size_t old_prefix_len,
         std::size_t new_prefix_len, std::uint64_t first_number)
      : old_gcm(random.bytes(32), random.bytes(old_prefix_len)),
        new_gcm(random.bytes(32), random.bytes(new_prefix_len)),
        key_len(len),
        num(num_keys),
        first(first_number),
        keys(random.bytes(num_keys * len)),
        aad(random.bytes(num_keys * kAadStride - (kAadStride - kAadLen))) {
    for (std::size_t i = 0; i < num; ++i) {
      const ByteView key = ByteView(keys).subspan(i * key_len, key_len);
      const ByteView id = ByteView(aad).subspan(i * kAadStride, kAadLen);
      const Bytes old_record = old_gcm.wrap(kOldField, 977 * i, id, key);
      const Bytes new_record = new_gcm.wrap(kNewField, first + i, id, key);
      old_wraps.insert(old_wraps.end(), old_record.begin(), old_record.end());
      new_wraps.insert(new_wraps.end(), new_record.begin(), new_record.end());
    }
  }

  [[nodiscard]] std::size_t record_len() const { return wrapped_len(WrapAlgorithm::kGcm, key_len); }

  Gcm old_gcm;
  Gcm new_gcm;
  std::size_t key_len;
  std::size_t num;
  std::uint64_t first;
  Bytes keys;
  Bytes aad;
  Bytes old_wraps;
  Bytes new_wraps;
};

// Case is the front of a sample, some of it damaged, and what has to come out.
struct Case {
  Bytes wraps;
  Bytes aad;
  Bytes verdicts;
  Bytes new_wraps;
  Bytes keys;
};

Case undamaged(const Sample& sample, std::size_t num) {
  const auto front = [](const Bytes& bytes, std::size_t len) {
    return Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(len));
  };
  return {front(sample.old_wraps, num * sample.record_len()),
          front(sample.aad, num * kAadStride - (kAadStride - kAadLen)), Bytes(num, kIntact),
          front(sample.new_wraps, num * sample.record_len()),
          front(sample.keys, num * sample.key_len)};
}

// damage inverts one bit of key i: of its record, then of its additional data.
void damage(Case* c, const Sample& sample, std::size_t i, std::size_t bit) {
  const std::size_t record_len = sample.record_len();
  if (bit < 8 * record_len) {
    test::flip_bit(ByteSpan(c->wraps).subspan(i * record_len, record_len), bit);
  } else {
    test::flip_bit(ByteSpan(c->aad).subspan(i * kAadStride, kAadLen), bit - 8 * record_len);
  }
  c->verdicts[i] = kDamaged;
  wipe(ByteSpan(c->new_wraps).subspan(i * record_len, record_len));
  wipe(ByteSpan(c->keys).subspan(i * sample.key_len, sample.key_len));
}

class GcmKernelTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::runs_here_by_name("vaes512")) GTEST_SKIP() << "this CPU cannot run vaes512";
  }

  static const aesni::GcmKernels& kernels() { return aesni::kVaes512Gcm; }

  // set_up prepares both sides of a sample.
  void set_up(const Sample& sample) {
    const auto prepare = [&](aesni::GcmSchedule* schedule, const Gcm& gcm) {
      kernels().set_up(schedule, gcm.kek().data(),
                       {sample.key_len, gcm.prefix().data(), gcm.prefix().size()});
    };
    prepare(&from_, sample.old_gcm);
    prepare(&to_, sample.new_gcm);
  }

  static aesni::GcmBatch batch(const Sample& sample, const Case& c, const std::uint8_t* in,
                               std::uint8_t* out, std::uint8_t* verdicts) {
    return {sample.key_len, c.verdicts.size(), in,          out, verdicts, c.aad.data(),
            kAadStride,     Sample::kNewField, sample.first};
  }

  // expect_all runs every kernel over a case; the wraps begin `misalignment` bytes after a line.
  void expect_all(const Sample& sample, const Case& c, std::size_t misalignment) {
    const std::size_t num = c.verdicts.size();
    Area in(c.wraps.size(), misalignment);
    copy_bytes(in.span(), c.wraps);
    Area records(c.wraps.size(), misalignment / 3);
    Area keys(c.keys.size(), misalignment / 2);
    Area verdicts(num, misalignment);
    const auto expect_verdicts = [&](const char* kernel) {
      EXPECT_TRUE(std::ranges::equal(verdicts.span(), c.verdicts)) << kernel;
      std::ranges::fill(verdicts.span(), 0xee);
    };

    kernels().rewrap(from_, to_, batch(sample, c, in.data(), records.data(), verdicts.data()));
    EXPECT_TRUE(std::ranges::equal(records.span(), c.new_wraps)) << "rewrap";
    expect_verdicts("rewrap");
    kernels().unwrap(from_, batch(sample, c, in.data(), keys.data(), verdicts.data()));
    EXPECT_TRUE(std::ranges::equal(keys.span(), c.keys)) << "unwrap";
    expect_verdicts("unwrap");
    kernels().check(from_, batch(sample, c, in.data(), nullptr, verdicts.data()));
    expect_verdicts("check");
    EXPECT_TRUE(std::ranges::equal(in.span(), c.wraps)) << "the input";
    kernels().rewrap(from_, to_, batch(sample, c, in.data(), in.data(), verdicts.data()));
    EXPECT_TRUE(std::ranges::equal(in.span(), c.new_wraps)) << "rewrap in place";
    expect_verdicts("rewrap in place");
    EXPECT_TRUE(in.guards_are_whole() && records.guards_are_whole() && keys.guards_are_whole() &&
                verdicts.guards_are_whole());
  }

  void expect_wrap(const Sample& sample, std::size_t num, std::size_t misalignment) {
    const Case c = undamaged(sample, num);
    Area keys(c.keys.size(), misalignment);
    copy_bytes(keys.span(), c.keys);
    Area records(c.wraps.size(), misalignment / 2);
    Area verdicts(num, 0);
    kernels().wrap(to_, batch(sample, c, keys.data(), records.data(), verdicts.data()));
    EXPECT_TRUE(std::ranges::equal(records.span(), c.new_wraps)) << "wrap";
    EXPECT_TRUE(std::ranges::equal(verdicts.span(), c.verdicts)) << "wrap";
    EXPECT_TRUE(keys.guards_are_whole() && records.guards_are_whole() &&
                verdicts.guards_are_whole());
  }

  static std::unique_ptr<EcbCipher> old_aes(const Sample& sample) {
    return make_openssl_ecb(test::make_kek(sample.old_gcm.kek())).value();
  }

  test::Random random_{71};
  aesni::GcmSchedule from_ = {};
  aesni::GcmSchedule to_ = {};
};

constexpr std::pair<std::size_t, std::size_t> kPrefixLens[] = {{0, 0}, {16, 16}, {0, 16}, {48, 0}};

// Batch sizes 1 to 300 and some up to 1,000, a fifth of the keys damaged in any one bit.
TEST_F(GcmKernelTest, EveryBatchSizeIsAsOpensslDoesIt) {
  for (const std::size_t key_len : kDekLens) {
    const Sample sample(random_, key_len, 1000, 16, 16, 1);
    set_up(sample);
    const std::size_t num_bits = 8 * (sample.record_len() + kAadLen);
    std::vector<std::size_t> nums = {301, 333, 511, 514, 777, 999, 1000};
    for (std::size_t num = 1; num <= 300; ++num) nums.push_back(num);
    for (const std::size_t num : nums) {
      Case c = undamaged(sample, num);
      for (std::size_t i = 0; i < num; ++i) {
        if (random_.below(5) == 0) damage(&c, sample, i, random_.below(num_bits));
      }
      expect_all(sample, c, num);
      expect_wrap(sample, num, num);
      ASSERT_FALSE(HasFailure()) << num << " keys of " << key_len << " bytes";
    }
  }
}

TEST_F(GcmKernelTest, PrefixesOfWholeBlocksMayDifferBetweenTheSides) {
  for (const std::size_t key_len : kDekLens) {
    for (const auto& [old_len, new_len] : kPrefixLens) {
      const Sample sample(random_, key_len, 23, old_len, new_len, 5);
      set_up(sample);
      expect_all(sample, undamaged(sample, sample.num), 0);
      expect_wrap(sample, sample.num, 0);
      ASSERT_FALSE(HasFailure()) << key_len << " " << old_len << " " << new_len;
    }
  }
}

TEST_F(GcmKernelTest, MisalignmentCostsNothingButTime) {
  const Sample sample(random_, 32, 13, 16, 16, 1);
  set_up(sample);
  for (std::size_t misalignment = 0; misalignment < 64; ++misalignment) {
    expect_all(sample, undamaged(sample, sample.num), misalignment);
    expect_wrap(sample, sample.num, misalignment);
    ASSERT_FALSE(HasFailure()) << misalignment;
  }
}

// A read or write beyond any of the buffers ends the test by a signal.
TEST_F(GcmKernelTest, NothingBeyondTheBuffersIsTouched) {
  for (const std::size_t key_len : kDekLens) {
    const Sample sample(random_, key_len, 13, 16, 16, 1);
    set_up(sample);
    for (std::size_t n = 2; n <= 2 * sample.num + 1; ++n) {
      const bool at_end = n % 2 != 0;
      const Case c = undamaged(sample, n / 2);
      const Fenced wraps(c.wraps, at_end);
      const Fenced keys(c.keys, at_end);
      const Fenced aad(c.aad, at_end);
      const Fenced out(c.wraps.size(), at_end);
      const Fenced opened(c.keys.size(), at_end);
      const Fenced verdicts(n / 2, at_end);
      aesni::GcmBatch work = batch(sample, c, wraps.data(), out.data(), verdicts.data());
      work.aad = aad.data();
      kernels().rewrap(from_, to_, work);
      EXPECT_TRUE(std::ranges::equal(out.span(), c.new_wraps));
      kernels().check(from_, work);
      work.out = opened.data();
      kernels().unwrap(from_, work);
      EXPECT_TRUE(std::ranges::equal(opened.span(), c.keys));
      work.in = keys.data();
      work.out = out.data();
      kernels().wrap(to_, work);
      EXPECT_TRUE(std::ranges::equal(out.span(), c.new_wraps));
      ASSERT_FALSE(HasFailure()) << n / 2 << " keys of " << key_len << " bytes";
    }
  }
}

// Each bit of a record and of its additional data, in each lane; the keys between stay intact.
TEST_F(GcmKernelTest, EveryBitIsChecked) {
  for (const std::size_t key_len : kDekLens) {
    const Sample sample(random_, key_len, 12, 16, 16, 1);
    set_up(sample);
    for (std::size_t bit = 0; bit < 8 * (sample.record_len() + kAadLen); ++bit) {
      Case c = undamaged(sample, sample.num);
      damage(&c, sample, bit % 12, bit);
      expect_all(sample, c, 0);
      ASSERT_FALSE(HasFailure()) << "bit " << bit << " of " << key_len << " bytes";
    }
  }
}

TEST_F(GcmKernelTest, ConsecutiveIvsCarryIntoEveryByte) {
  constexpr std::uint64_t kOne = 1;
  for (const unsigned shift : {8U, 16U, 24U, 32U, 40U, 48U, 56U}) {
    const Sample sample(random_, 32, 19, 16, 16, (kOne << shift) - 9);
    set_up(sample);
    expect_all(sample, undamaged(sample, sample.num), 0);
    expect_wrap(sample, sample.num, 0);
    ASSERT_FALSE(HasFailure()) << shift;
  }
}

// A record whose tag is right for what stands beside its IV, as only the KEK's owner could make it.
TEST_F(GcmKernelTest, BytesBesideTheIvAreZeroEvenIfTheTagFits) {
  const Sample sample(random_, 32, 12, 16, 16, 1);
  set_up(sample);
  for (std::size_t bit = 0; bit < 32; ++bit) {
    Case c = undamaged(sample, sample.num);
    const std::size_t i = bit % sample.num;
    const ByteSpan record = ByteSpan(c.wraps).subspan(i * kLineLen, kLineLen);
    // The tag is GHASH ^ AES(counter block 1), and GHASH does not see the IV.
    for (const bool is_flipped : {false, true}) {
      if (is_flipped) test::flip_bit(record, 8 * kGcmIvLen + bit);
      std::array<std::uint8_t, kBlockLen> counter_block = {};
      copy_bytes(counter_block, record.first(kBlockLen));
      counter_block[15] ^= 1;
      ASSERT_OK(old_aes(sample)->encrypt(counter_block));
      for (std::size_t k = 0; k < kGcmTagLen; ++k) record[48 + k] ^= counter_block[k];
    }
    c.verdicts[i] = kDamaged;
    wipe(ByteSpan(c.new_wraps).subspan(i * 64, 64));
    wipe(ByteSpan(c.keys).subspan(i * 32, 32));
    expect_all(sample, c, 0);
    ASSERT_FALSE(HasFailure()) << bit;
  }
}

// Outputs too large for the cache are written in another way, if they are whole lines.
TEST_F(GcmKernelTest, LargeBatchesAreTheSameAsSmallOnes) {
  constexpr std::size_t kNum = (std::size_t{17} << 20) / 64 + 3;
  constexpr std::size_t kPart = 1000;
  const Sample sample(random_, 32, 8, 16, 16, 1);
  set_up(sample);
  const Bytes keys = random_.bytes(kNum * 32);
  const Bytes aad = random_.bytes(kNum * kAadLen);
  Bytes wraps(kNum * 64);
  Bytes verdicts(kNum);
  kernels().wrap(from_,
                 {32, kNum, keys.data(), wraps.data(), verdicts.data(), aad.data(), kAadLen, 1, 1});
  for (std::size_t i = 0; i < kNum; i += 97) test::flip_bit(wraps, i * 512 + i % 512);

  const auto rewrap = [&](std::uint8_t* out, std::size_t first, std::size_t num) {
    kernels().rewrap(from_, to_,
                     {32, num, wraps.data() + first * 64, out + first * 64, verdicts.data() + first,
                      aad.data() + first * kAadLen, kAadLen, 2, 1 + first});
  };
  Area whole(kNum * 64, 0);
  rewrap(whole.data(), 0, kNum);
  const Bytes whole_verdicts = verdicts;
  EXPECT_EQ(std::ranges::count(verdicts, kDamaged), (kNum + 96) / 97);
  Area parts(kNum * 64, 0);
  std::ranges::fill(verdicts, 0xee);
  for (std::size_t i = 0; i < kNum; i += kPart) rewrap(parts.data(), i, std::min(kPart, kNum - i));
  EXPECT_TRUE(std::ranges::equal(whole.span(), parts.span()));
  EXPECT_TRUE(verdicts == whole_verdicts);
  EXPECT_TRUE(whole.guards_are_whole());
}

TEST_F(GcmKernelTest, NoSecretStaysInVectorRegisters) {
  const Sample sample(random_, 32, 40, 16, 16, 1);
  const Case c = undamaged(sample, sample.num);
  Bytes records(c.wraps.size());
  Bytes keys(c.keys.size());
  Bytes verdicts(sample.num);
  set_up(sample);
  EXPECT_TRUE(test::vector_registers_are_zero(16)) << "set_up";
  const auto work = batch(sample, c, c.wraps.data(), records.data(), verdicts.data());
  kernels().rewrap(from_, to_, work);
  EXPECT_TRUE(test::vector_registers_are_zero(16)) << "rewrap";
  kernels().check(from_, work);
  EXPECT_TRUE(test::vector_registers_are_zero(16)) << "check";
  kernels().unwrap(from_, batch(sample, c, c.wraps.data(), keys.data(), verdicts.data()));
  EXPECT_TRUE(test::vector_registers_are_zero(16)) << "unwrap";
  kernels().wrap(to_, batch(sample, c, keys.data(), records.data(), verdicts.data()));
  EXPECT_TRUE(test::vector_registers_are_zero(16)) << "wrap";
}

}  // namespace
}  // namespace rewrap
