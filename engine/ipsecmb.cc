// AES-ECB by ipsec-mb's jobs, and the rules by which the library may be used.
#include "engine/ipsecmb.h"

#include <array>
#include <utility>

#include "engine/implementation.h"
#include "engine/ipsecmb_manager.h"
#include "engine/step_sliced.h"
#include "engine/two_step.h"

namespace rewrap {
namespace ipsecmb {
namespace {

// The library looks at CPUID alone; that the operating system saves the registers too is what
// cpu_features() knows. Hence no init_mb_mgr_auto.
void init_for_this_cpu(IMB_MGR* manager) {
  if (cpu_features().avx512) {
    init_mb_mgr_avx512(manager);
  } else if (cpu_features().avx2) {
    init_mb_mgr_avx2(manager);
  } else {
    init_mb_mgr_sse(manager);
  }
}

// Every init runs the library's known-answer tests and notes the result in the manager.
bool may_be_used(IMB_MGR* manager) {
  return manager != nullptr && imb_get_errno(manager) == 0 && ipsecmb_suffices(manager->features);
}

struct Freer {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using HeapManager = std::unique_ptr<IMB_MGR, Freer>;

HeapManager make_functions() {
  if (!cpu_features().aes) return nullptr;
  HeapManager manager(alloc_mb_mgr(0));
  if (!manager) return nullptr;
  init_for_this_cpu(manager.get());
  return may_be_used(manager.get()) ? std::move(manager) : nullptr;
}

constexpr Literal kNotUsable("ipsec-mb cannot be used on this CPU, or failed its own self-test");
constexpr Literal kNotUsableHint("choose another --implementation");

}  // namespace

const IMB_MGR* functions() {
  static const HeapManager manager = make_functions();
  return manager.get();
}

Result<std::unique_ptr<Manager>> Manager::create() {
  if (functions() == nullptr) return Status(Errc::kUnsupported, kNotUsable, kNotUsableHint);
  REWRAP_ASSIGN(SecretBuffer memory, SecretBuffer::create(imb_get_mb_mgr_size()));
  IMB_MGR* manager = imb_set_pointers_mb_mgr(memory.expose_secret().data(), 0, 1);
  if (manager != nullptr) init_for_this_cpu(manager);
  if (!may_be_used(manager)) return Status(Errc::kUnsupported, kNotUsable, kNotUsableHint);
  return std::unique_ptr<Manager>(new Manager(std::move(memory), manager));
}

Manager::~Manager() { imb_clear_mem(memory_.expose_secret().data(), memory_.size()); }

namespace {

// From 256 on a job's fixed cost hardly counts, and the scratch still fits the first-level cache.
constexpr std::size_t kLanes = 256;

// Schedules are the round keys of one KEK for both directions; AES-256 has 15.
struct Schedules {
  std::array<std::uint8_t, 15 * kBlockLen> encrypt;
  std::array<std::uint8_t, 15 * kBlockLen> decrypt;
};

void expand_key(const Kek& kek, Schedules* schedules) {
  const std::uint8_t* key = kek.expose_secret().data();
  std::uint8_t* encrypt = schedules->encrypt.data();
  std::uint8_t* decrypt = schedules->decrypt.data();
  const IMB_MGR* library = functions();
  if (kek.len() == 16) {
    IMB_AES_KEYEXP_128(library, key, encrypt, decrypt);
  } else if (kek.len() == 24) {
    IMB_AES_KEYEXP_192(library, key, encrypt, decrypt);
  } else {
    IMB_AES_KEYEXP_256(library, key, encrypt, decrypt);
  }
}

class Ecb final : public EcbCipher {
 public:
  Ecb(std::shared_ptr<Manager> manager, std::size_t key_len, SecretBuffer schedules)
      : manager_(std::move(manager)),
        key_len_(key_len),
        memory_(std::move(schedules)),
        schedules_(reinterpret_cast<const Schedules*>(memory_.expose_secret().data())) {}

  Status encrypt(ByteSpan blocks) override { return run(blocks, IMB_DIR_ENCRYPT); }
  Status decrypt(ByteSpan blocks) override { return run(blocks, IMB_DIR_DECRYPT); }
  [[nodiscard]] std::size_t preferred_lanes() const override { return kLanes; }

 private:
  // One job over all blocks. Jobs of this cipher are done when submit returns; flush stands for a
  // library that would queue them.
  Status run(ByteSpan blocks, IMB_CIPHER_DIRECTION direction) {
    IMB_MGR* manager = manager_->get();
    fill(IMB_GET_NEXT_JOB(manager), blocks, direction);
    const IMB_JOB* done = IMB_SUBMIT_JOB(manager);
    if (done == nullptr) done = IMB_FLUSH_JOB(manager);
    if (done == nullptr || done->status != IMB_STATUS_COMPLETED) {
      return Status(Errc::kInternal, "ipsec-mb failed an AES-ECB job");
    }
    return {};
  }

  void fill(IMB_JOB* job, ByteSpan blocks, IMB_CIPHER_DIRECTION direction) const {
    *job = {};
    job->cipher_mode = IMB_CIPHER_ECB;
    job->cipher_direction = direction;
    job->chain_order = IMB_ORDER_CIPHER_HASH;
    job->hash_alg = IMB_AUTH_NULL;
    job->enc_keys = schedules_->encrypt.data();
    job->dec_keys = schedules_->decrypt.data();
    job->key_len_in_bytes = key_len_;
    job->src = blocks.data();
    job->dst = blocks.data();
    job->msg_len_to_cipher_in_bytes = blocks.size();
  }

  std::shared_ptr<Manager> manager_;  // with the other side of the same transform
  std::size_t key_len_;
  SecretBuffer memory_;
  const Schedules* schedules_;  // in memory_
};

Result<SlicedSide> make_side(const WrapSide& side, const std::shared_ptr<Manager>& manager) {
  REWRAP_ASSIGN(SecretBuffer memory, SecretBuffer::create(sizeof(Schedules)));
  expand_key(*side.kek, reinterpret_cast<Schedules*>(memory.expose_secret().data()));
  return SlicedSide{side.algorithm,
                    std::make_unique<Ecb>(manager, side.kek->len(), std::move(memory))};
}

}  // namespace
}  // namespace ipsecmb

bool ipsecmb_runs() { return ipsecmb::functions() != nullptr; }

bool ipsecmb_suffices(std::uint64_t features) {
  constexpr std::uint64_t kNeeded =
      IMB_CPUFLAGS_SSE | IMB_FEATURE_SELF_TEST | IMB_FEATURE_SELF_TEST_PASS;
  return (features & kNeeded) == kNeeded && (features & IMB_FEATURE_AESNI_EMU) == 0;
}

Result<std::unique_ptr<Transform>> make_ipsecmb(const TransformSpec& spec) {
  REWRAP_TRY(validate(spec));
  if (has_gcm(spec)) {
    return spec.from && spec.to ? make_in_two_steps(spec, make_ipsecmb) : ipsecmb::make_gcm(spec);
  }
  REWRAP_ASSIGN(const std::shared_ptr<ipsecmb::Manager> manager, ipsecmb::Manager::create());
  std::optional<SlicedSide> from;
  std::optional<SlicedSide> to;
  if (spec.from) {
    REWRAP_ASSIGN(from, ipsecmb::make_side(*spec.from, manager));
  }
  if (spec.to) {
    REWRAP_ASSIGN(to, ipsecmb::make_side(*spec.to, manager));
  }
  return make_step_sliced(spec.key_len, std::move(from), std::move(to), spec.check_only);
}

}  // namespace rewrap
